use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bucketdb::simulation::{TailLimits, set_tail_limits};
use bucketdb::{
    Capabilities, Collection, Condition, Database, DatabaseBuilder, Driver, DriverError, DropReport, ETag, ErrorKind,
    Freshness, Key, Object, Operation, Page, Seq, StoreCheck,
};
use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    Executor, GroupId, Latencies, Latency, Limits, MachineClock, ProcessId, Scheduler, SimEnvironment, SimRandom,
    SimStore, StoreWorld, Trace,
};

/// For how long nothing is removed on a stage, as a rule.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// How long the store takes for a request.
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

/// Where the database is.
pub(crate) const PREFIX: &str = "db";

/// How long a node waits for an answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3_600);

/// What went wrong, in words.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// Runs something on virtual time to its end, however many steps it takes.
pub(crate) fn play<T, F>(seed: u64, play: impl FnOnce(Scheduler) -> F) -> Outcome<T>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send + 'static,
{
    let executor = Executor::new(seed, Limits { polls: u64::MAX, ..Limits::default() });
    let scheduler = executor.scheduler();
    executor.run(play(scheduler)).unwrap_or_else(|stuck| Err(stuck.to_string()))
}

/// Where a scenario plays: a store without chance, and nodes whose requests fare as the script says.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) scheduler: Scheduler,
    pub(crate) world: StoreWorld,
    /// For how long nothing is removed.
    pub(crate) grace: Duration,
    /// For how long the database keeps its past.
    pub(crate) history: Duration,
    /// How long its log may grow.
    pub(crate) tail_limits: TailLimits,
    /// Whether the store tells the time.
    pub(crate) tells_time: bool,
    /// The branch that nodes open; `None` for the database itself.
    branch: Option<&'static str>,
    nodes: Arc<Mutex<u32>>,
}

/// One process on a [`Stage`].
#[derive(Clone)]
pub(crate) struct Actor {
    pub(crate) db: Database,
    pub(crate) clock: MachineClock,
    pub(crate) group: GroupId,
    script: Script,
}

/// How a request fares other than well.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Twist {
    /// It arrives so much later; the answer comes then.
    Late(Duration),
    /// It takes effect, and the answer comes so much later.
    LateAnswer(Duration),
    /// Nothing is done, and the answer is this.
    Fails(ErrorKind),
    /// Nothing is done, and an answer that leaves that open comes so much later.
    FailsLate(Duration),
    /// It arrives so much later, and the answer, which comes at once, is an error that leaves that open.
    FailsAndArrives(Duration),
    /// It takes effect, and the answer is an error that leaves that open.
    DoneAndFails,
    /// It overwrites what is there, whatever its condition says.
    Overwrites,
}

#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<Vec<(Operation, String, Twist)>>>);

/// A store whose requests for log records fare as a script says, each line of it once.
#[derive(Clone)]
struct ScriptedStore {
    inner: SimStore,
    scheduler: Scheduler,
    script: Script,
    tells_time: bool,
}

impl Stage {
    pub(crate) fn new(scheduler: Scheduler) -> Self {
        let world = StoreWorld::new(1, scheduler.clone(), Trace::new(scheduler.clone(), false));
        world.set_latencies(Latencies::all(Latency::Fixed(LATENCY)));
        let (grace, history, tail_limits) = (GRACE, Duration::ZERO, TailLimits::default());
        Self { scheduler, world, grace, history, tail_limits, tells_time: false, branch: None, nodes: Arc::default() }
    }

    /// The same one, on which nodes open a branch of the database.
    pub(crate) fn on_branch(&self, name: &'static str) -> Self {
        Self { branch: Some(name), ..self.clone() }
    }

    /// Another node, which opens the database, and creates it if it is the first.
    pub(crate) async fn actor(&self) -> Outcome<Actor> {
        let number = self.next();
        self.actor_drawing(&format!("node {number}")).await
    }

    /// A node whose random numbers are those of `stream`: with the same stream twice, a machine and its copy.
    pub(crate) async fn actor_drawing(&self, stream: &str) -> Outcome<Actor> {
        self.open(stream, REQUEST_TIMEOUT * 10).await
    }

    /// A node that waits for its commits that long only.
    pub(crate) async fn actor_waiting(&self, commit_timeout: Duration) -> Outcome<Actor> {
        let number = self.next();
        self.open(&format!("node {number}"), commit_timeout).await
    }

    async fn open(&self, stream: &str, commit_timeout: Duration) -> Outcome<Actor> {
        let (clock, script) = (MachineClock::default(), Script::default());
        let (group, builder) = self.builder(stream, &clock, &script);
        let mut builder = builder.commit_timeout(commit_timeout).history(self.history);
        if let Some(name) = self.branch {
            builder = builder.branch(name);
        }
        let opened = builder.open().await;
        let db = opened.map_err(|error| format!("a node cannot open the database: {error}"))?;
        Ok(Actor { db, clock, group, script })
    }

    /// What a node opens the database with.
    fn builder(&self, stream: &str, clock: &MachineClock, script: &Script) -> (GroupId, DatabaseBuilder) {
        let number = self.next();
        let group = self.scheduler.new_group();
        let env = SimEnvironment::new(self.scheduler.clone(), group, clock.clone(), SimRandom::stream(1, stream));
        let store = ScriptedStore {
            inner: self.world.handle(ProcessId(number)),
            scheduler: self.scheduler.clone(),
            script: script.clone(),
            tells_time: self.tells_time,
        };
        let builder = Database::builder()
            .driver(store)
            .environment(env)
            .prefix(PREFIX)
            .grace(self.grace)
            .request_timeout(REQUEST_TIMEOUT)
            .store_check(StoreCheck { rounds: 1, racers: 2 });
        (group, set_tail_limits(builder, self.tail_limits))
    }

    /// A process that does nothing but remove what a dropped database has left, as far as it may, and whose wall clock is
    /// so far off.
    pub(crate) async fn drop_again(&self, skew_ms: i64, wait: bool) -> Outcome<DropReport> {
        let clock = MachineClock::default();
        clock.skew(skew_ms);
        let (_, builder) = self.builder("dropper", &clock, &Script::default());
        builder.drop_database(PREFIX, wait).await.map_err(|error| format!("nothing of it is removed: {error}"))
    }

    fn next(&self) -> u32 {
        let mut nodes = self.nodes.lock();
        *nodes += 1;
        *nodes
    }

    /// Starts something beside the scenario, on a node, and gives what will come of it; `None` if the node was killed.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        actor: &Actor,
        task: impl Future<Output = T> + Send + 'static,
    ) -> BoxFuture<'static, Option<T>> {
        let (reply, result) = oneshot::channel();
        self.scheduler.spawn(
            actor.group,
            Box::pin(async move {
                let _ = reply.send(task.await);
            }),
        );
        Box::pin(async move { result.await.ok() })
    }

    pub(crate) async fn pass(&self, time: Duration) {
        self.scheduler.sleep(time).await;
    }

    /// Makes a checkpoint of what `by` knows, and removes what it made superfluous a grace later.
    pub(crate) async fn truncate(&self, by: &Actor) -> Outcome {
        by.checkpoint().await?;
        self.pass(GRACE + LATENCY).await;
        by.db.collect_garbage().await.map_err(|error| format!("nothing is removed: {error}"))?;
        Ok(())
    }

    /// What a node that opens the database now sees of a document.
    pub(crate) async fn truth(&self, id: &str) -> Outcome<Option<Value>> {
        let number = self.next();
        let opened = self.actor_drawing(&format!("node {number}")).await?;
        opened.read(id).await.map_err(|error| format!("a fresh node cannot read: {error}"))
    }
}

impl Actor {
    /// The next request of that kind for that record fares so.
    pub(crate) fn twist(&self, operation: Operation, seq: Seq, twist: Twist) {
        self.twist_at(operation, &format!("/log/{:020}", seq.0), twist);
    }

    /// The next request of that kind for an object whose key has that part fares so.
    pub(crate) fn twist_at(&self, operation: Operation, part: &str, twist: Twist) {
        self.script.0.lock().push((operation, part.to_owned(), twist));
    }

    /// Forgets what was to go wrong.
    pub(crate) fn untwist(&self) {
        self.script.0.lock().clear();
    }

    /// Makes a checkpoint.
    pub(crate) async fn checkpoint(&self) -> Outcome {
        self.db.checkpoint().await.map_err(|error| format!("no checkpoint is made: {error}"))
    }

    /// Merges everything.
    pub(crate) async fn compact(&self) -> Outcome {
        self.db.compact().await.map(|_| ()).map_err(|error| format!("nothing is merged: {error}"))
    }

    pub(crate) fn collection(&self) -> Collection {
        self.db.collection("things")
    }

    /// The position that the node writes to next.
    pub(crate) fn next(&self) -> Seq {
        Seq(self.db.position().0 + 1)
    }

    pub(crate) async fn put(&self, id: &str, value: u64) -> Result<bucketdb::Commit, bucketdb::Error> {
        self.collection().put(&json!({"id": id, "value": value})).await
    }

    /// As [`put`](Self::put), which must succeed.
    pub(crate) async fn write(&self, id: &str, value: u64) -> Outcome<bucketdb::Commit> {
        self.put(id, value).await.map_err(|error| format!("a write failed: {error}"))
    }

    /// A strict read.
    pub(crate) async fn read(&self, id: &str) -> Result<Option<Value>, bucketdb::Error> {
        let collection = self.collection().with_freshness(Freshness::Strict);
        Ok(collection.get(&json!(id)).await?.map(|document| value_of(&document)))
    }

    pub(crate) async fn refresh(&self) -> Outcome {
        self.db.refresh(Freshness::Strict).await.map_err(|error| error.to_string())
    }
}

/// The value of a document that [`Actor::put`] wrote.
pub(crate) fn value_of(document: &Value) -> Value {
    document.get("value").cloned().unwrap_or_default()
}

/// Gives `otherwise` as what went wrong unless `holds`.
pub(crate) fn must(holds: bool, otherwise: impl fmt::Display) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.to_string()) }
}

impl ScriptedStore {
    fn twist(&self, operation: Operation, key: &Key) -> Option<Twist> {
        let mut script = self.script.0.lock();
        let line = script.iter().position(|(of, part, _)| *of == operation && key.as_str().contains(part.as_str()))?;
        Some(script.remove(line).2)
    }
}

#[async_trait]
impl Driver for ScriptedStore {
    async fn get(&self, key: &Key) -> Result<Object, DriverError> {
        match self.twist(Operation::Get, key) {
            Some(Twist::LateAnswer(by)) => {
                let answer = self.inner.get(key).await;
                self.scheduler.sleep(by).await;
                answer
            }
            Some(Twist::Late(by)) => {
                self.scheduler.sleep(by).await;
                self.inner.get(key).await
            }
            _ => self.inner.get(key).await,
        }
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag, DriverError> {
        let error = |kind| DriverError::new(kind, Operation::Put, key.as_str(), "as the script says");
        let Some(twist) = self.twist(Operation::Put, key) else { return self.inner.put(key, body, condition).await };
        match twist {
            Twist::Fails(kind) => Err(error(kind)),
            Twist::FailsLate(by) => {
                self.scheduler.sleep(by).await;
                Err(error(ErrorKind::Transient))
            }
            Twist::DoneAndFails => {
                self.inner.put(key, body, condition).await?;
                Err(error(ErrorKind::Transient))
            }
            Twist::Overwrites => self.inner.put(key, body, Condition::Always).await,
            Twist::LateAnswer(by) => {
                let answer = self.inner.put(key, body, condition).await;
                self.scheduler.sleep(by).await;
                answer
            }
            Twist::Late(by) => {
                let (reply, answer) = oneshot::channel();
                self.send_late(key, body, condition, by, Some(reply));
                answer.await.unwrap_or_else(|_| Err(error(ErrorKind::Transient)))
            }
            Twist::FailsAndArrives(by) => {
                self.send_late(key, body, condition, by, None);
                Err(error(ErrorKind::Transient))
            }
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), DriverError> {
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page, DriverError> {
        self.inner.list(prefix, continuation).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page, DriverError> {
        self.inner.list_after(prefix, after).await
    }

    async fn server_time(&self) -> Result<Option<SystemTime>, DriverError> {
        let time_ms = MachineClock::default().wall(self.scheduler.now()).0;
        Ok(self.tells_time.then(|| UNIX_EPOCH + Duration::from_millis(time_ms)))
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.server_time = self.tells_time;
        capabilities
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}

impl ScriptedStore {
    /// A request that is under way whatever becomes of who sent it.
    fn send_late(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
        by: Duration,
        reply: Option<oneshot::Sender<Result<ETag, DriverError>>>,
    ) {
        let (store, scheduler, key) = (self.inner.clone(), self.scheduler.clone(), key.clone());
        let late = async move {
            scheduler.sleep(by).await;
            let answer = store.put(&key, body, condition).await;
            if let Some(reply) = reply {
                let _ = reply.send(answer);
            }
        };
        self.scheduler.spawn(GroupId::WORLD, Box::pin(late));
    }
}

impl fmt::Debug for ScriptedStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}
