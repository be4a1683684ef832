use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bucketdb::{DriverError, ErrorKind, Key, Operation};
use futures::channel::oneshot;
use parking_lot::Mutex;

use crate::store::archive::Records;
use crate::store::bucket::{Answer, Bucket, Request};
use crate::store::{FaultCounts, Faults, Latencies, Latency, Reach, SimStore, StoreUsage};
use crate::{GroupId, Scheduler, SimRandom, Trace};

/// A simulated process, over all its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

impl ProcessId {
    /// The first of those that nothing ever happens to.
    pub const OUTSIDE: Self = Self(1000);

    /// Whether nothing ever happens to its requests: it observes.
    fn is_outside(self) -> bool {
        self >= Self::OUTSIDE
    }
}

/// How long the requests of observers take, each way.
const OUTSIDE_LATENCY: Duration = Duration::from_micros(500);

impl fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "p{}", self.0)
    }
}

/// The one store of a simulation, and the weather between it and the processes. Clones are the same.
///
/// Requests run in the world and not in their clients: once sent, a request takes its course whether or not anybody
/// still waits for the answer.
#[derive(Clone, Debug)]
pub struct StoreWorld {
    scheduler: Scheduler,
    trace: Trace,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    records: Records,
    random: SimRandom,
    latencies: Latencies,
    faults: Faults,
    /// What part of all requests fails now.
    brown_out: f64,
    reach: BTreeMap<ProcessId, Reach>,
    usage: BTreeMap<ProcessId, StoreUsage>,
    by_folder: BTreeMap<(Operation, String), u64>,
    counts: FaultCounts,
    page_keys: usize,
    requests: u64,
    under_way: u64,
}

/// How one request fares; drawn when it is sent.
#[derive(Debug, Default)]
struct Fate {
    to_store: Duration,
    to_client: Duration,
    fails_before: Option<(ErrorKind, &'static str)>,
    fails_after: Option<&'static str>,
    lost: bool,
    unanswered: bool,
    again_after: Option<Duration>,
    lies: bool,
}

/// A request on its way.
struct Travelling {
    number: u64,
    process: ProcessId,
    request: Request,
}

type Reply = Result<Answer, DriverError>;

impl StoreWorld {
    /// An empty store without faults.
    #[must_use]
    pub fn new(seed: u64, scheduler: Scheduler, trace: Trace) -> Self {
        let state = State {
            bucket: Bucket::default(),
            records: Records::default(),
            random: SimRandom::stream(seed, "store"),
            latencies: Latencies::default(),
            faults: Faults::default(),
            brown_out: 0.0,
            reach: BTreeMap::new(),
            usage: BTreeMap::new(),
            by_folder: BTreeMap::new(),
            counts: FaultCounts::default(),
            page_keys: 1000,
            requests: 0,
            under_way: 0,
        };
        Self { scheduler, trace, state: Arc::new(Mutex::new(state)) }
    }

    /// The store as a process sees it.
    #[must_use]
    pub fn handle(&self, process: ProcessId) -> SimStore {
        SimStore::new(self.clone(), process)
    }

    /// Sets how long requests take from now on.
    pub fn set_latencies(&self, latencies: Latencies) {
        self.state.lock().latencies = latencies;
    }

    /// Sets what goes wrong from now on. What is under way keeps its fate.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Lets that part of all requests fail from now on; zero ends it.
    pub fn set_brown_out(&self, part: f64) {
        self.state.lock().brown_out = part;
    }

    /// Sets how many keys a page of a listing holds.
    pub fn set_page_keys(&self, page_keys: usize) {
        self.state.lock().page_keys = page_keys.max(1);
    }

    /// Cuts a process off from the store, or connects it again.
    pub fn set_reach(&self, process: ProcessId, reach: Reach) {
        self.state.lock().reach.insert(process, reach);
    }

    /// Ends all faults, slowness among them; requests under way keep their fate.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.latencies = Latencies::all(Latency::Fixed(Duration::from_millis(1)));
        state.faults = Faults::default();
        state.brown_out = 0.0;
        state.reach.clear();
    }

    /// What a process asked of the store.
    #[must_use]
    pub fn usage(&self, process: ProcessId) -> StoreUsage {
        self.state.lock().usage.get(&process).copied().unwrap_or_default()
    }

    /// What all processes asked of the store, by what it was about: the second part of the key or prefix.
    #[must_use]
    pub fn usage_by_folder(&self) -> BTreeMap<(Operation, String), u64> {
        self.state.lock().by_folder.clone()
    }

    /// How often each fault happened.
    #[must_use]
    pub fn fault_counts(&self) -> FaultCounts {
        self.state.lock().counts
    }

    /// How many requests are on their way, repetitions included.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.state.lock().under_way
    }

    /// How many objects there are.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.state.lock().bucket.len()
    }

    /// The bytes of an object as they are at this moment, past all faults.
    #[must_use]
    pub fn peek(&self, key: &Key) -> Option<bytes::Bytes> {
        self.state.lock().bucket.object(key).map(|object| object.body.clone())
    }

    /// Puts bytes there at this moment, past all faults.
    pub fn place(&self, key: &Key, body: &bytes::Bytes) {
        let now = self.scheduler.now();
        self.state.lock().bucket.write(now, key, body);
    }

    /// The keys of all objects, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.state.lock().bucket.keys().cloned().collect()
    }

    /// Looks at all records that ever were.
    pub(crate) fn records<T>(&self, look: impl FnOnce(&Records) -> T) -> T {
        look(&self.state.lock().records)
    }

    /// Removes an object at this moment, past all faults.
    pub fn remove(&self, key: &Key) {
        let now = self.scheduler.now();
        // Removing cannot fail.
        let _ = self.state.lock().bucket.apply(now, &Request::Delete { key: key.clone() });
    }

    pub(super) fn page_keys(&self) -> usize {
        self.state.lock().page_keys
    }

    /// Sends a request. The answer may never come.
    pub(super) fn send(&self, process: ProcessId, mut request: Request) -> oneshot::Receiver<Reply> {
        let (reply, answer) = oneshot::channel();
        let (fate, number) = {
            let mut state = self.state.lock();
            state.requests += 1;
            state.under_way += 1;
            state.count(process, &request);
            (state.draw(process, &mut request), state.requests)
        };
        self.trace.note(format_args!("{process} r{number} {request} …"));
        let travelling = Travelling { number, process, request };
        self.scheduler.spawn(GroupId::WORLD, Box::pin(self.clone().travel(travelling, fate, reply)));
        answer
    }

    async fn travel(self, travelling: Travelling, fate: Fate, reply: oneshot::Sender<Reply>) {
        let Travelling { number, process, request } = &travelling;
        self.scheduler.sleep(fate.to_store).await;
        let outcome = match fate.fails_before {
            _ if fate.lost => None,
            Some((kind, detail)) => Some(Err(request.error(kind, detail))),
            None => Some(self.arrive(&travelling, fate.lies, "")),
        };
        let outcome = match (outcome, fate.fails_after) {
            (Some(Ok(_)), Some(detail)) => Some(Err(request.error(ErrorKind::Transient, detail))),
            (outcome, _) => outcome,
        };
        match outcome {
            Some(outcome) if !fate.unanswered => {
                self.scheduler.sleep(fate.to_client).await;
                match &outcome {
                    Ok(_) => self.trace.note(format_args!("{process} r{number} answered")),
                    Err(error) => self.trace.note(format_args!("{process} r{number} answered: {error}")),
                };
                // Whoever asked may have gone.
                let _ = reply.send(outcome);
            }
            _ => {
                self.trace.note(format_args!("{process} r{number} gets no answer"));
            }
        }
        if let Some(pause) = fate.again_after {
            self.scheduler.sleep(pause).await;
            let again = self.arrive(&travelling, false, "again, ");
            if travelling.request.operation() == Operation::Put && again.is_ok() {
                self.state.lock().counts.duplicates_applied += 1;
            }
        }
        self.state.lock().under_way -= 1;
    }

    /// The request takes effect.
    fn arrive(&self, travelling: &Travelling, lies: bool, again: &str) -> Reply {
        let Travelling { number, process, request } = travelling;
        let now = self.scheduler.now();
        let mut state = self.state.lock();
        let mut outcome = state.bucket.apply(now, request);
        if let (Ok(_), Request::Put { key, body, .. }) = (&outcome, request) {
            state.records.written(key, body, now);
        }
        if let (Err(error), Request::Put { key, body, .. }) = (&outcome, request)
            && error.is_precondition_failed()
        {
            if lies {
                outcome = Ok(Answer::Written(state.bucket.write(now, key, body)));
                state.records.overwritten(key, body, now);
                state.counts.lies += 1;
            } else if again.is_empty() {
                state.usage.entry(*process).or_default().lost_puts += 1;
            }
        }
        drop(state);
        match &outcome {
            Ok(_) => self.trace.note(format_args!("{process} r{number} {again}{request}: done")),
            Err(error) => self.trace.note(format_args!("{process} r{number} {again}{request}: {:?}", error.kind())),
        };
        outcome
    }
}

impl State {
    fn count(&mut self, process: ProcessId, request: &Request) {
        let folder = request.subject().split('/').nth(1).unwrap_or_default().to_owned();
        *self.by_folder.entry((request.operation(), folder)).or_default() += 1;
        let usage = self.usage.entry(process).or_default();
        match request.operation() {
            Operation::Put => usage.puts += 1,
            Operation::List => usage.lists += 1,
            Operation::Delete => usage.deletes += 1,
            _ => usage.gets += 1,
        }
    }

    fn draw(&mut self, process: ProcessId, request: &mut Request) -> Fate {
        if process.is_outside() {
            return Fate { to_store: OUTSIDE_LATENCY, to_client: OUTSIDE_LATENCY, ..Fate::default() };
        }
        let Self { random, latencies, faults, counts, .. } = self;
        let latency = latencies.of(request.operation()).draw(random);
        let to_store = random.duration(Duration::ZERO, latency);
        let mut fate = Fate { to_store, to_client: latency.saturating_sub(to_store), ..Fate::default() };
        if let Request::List { lag, .. } = request
            && !faults.list_lag.is_zero()
        {
            *lag = random.duration(Duration::ZERO, faults.list_lag);
            counts.stale_lists += 1;
        }
        match self.reach.get(&process).copied().unwrap_or_default() {
            Reach::Whole => {}
            reach => {
                counts.cut_off += 1;
                match reach {
                    Reach::Refused => fate.fails_before = Some((ErrorKind::Transient, "connection refused")),
                    Reach::NoRequests => fate.lost = true,
                    Reach::Denied => fate.fails_before = Some((ErrorKind::Denied, "403: the credentials have expired")),
                    Reach::NoAnswers | Reach::Whole => fate.unanswered = true,
                }
                return fate;
            }
        }
        if random.chance(self.brown_out) {
            counts.browned_out += 1;
            fate.fails_before = Some((ErrorKind::Transient, "503 service unavailable"));
            return fate;
        }
        if random.chance(faults.fail_before) {
            counts.failed_before += 1;
            let errors = ["500 internal error", "503 slow down", "429 too many requests", "409 conflict"];
            let detail = random.pick(&errors).copied().unwrap_or_default();
            fate.fails_before = Some((ErrorKind::Transient, detail));
        } else if random.chance(faults.deny) {
            counts.denied += 1;
            fate.fails_before = Some((ErrorKind::Denied, "403 forbidden"));
        } else if random.chance(faults.fail_after) {
            counts.failed_after += 1;
            let errors = ["500 internal error", "connection reset"];
            fate.fails_after = random.pick(&errors).copied();
        } else if random.chance(faults.lose_request) {
            counts.lost_requests += 1;
            fate.lost = true;
        } else if random.chance(faults.lose_answer) {
            counts.lost_answers += 1;
            fate.unanswered = true;
        }
        if random.chance(faults.delay) {
            counts.delayed += 1;
            fate.to_store += random.magnitude(Duration::from_millis(100), faults.longest_delay);
        }
        if !fate.lost && fate.fails_before.is_none() && random.chance(faults.duplicate) {
            counts.duplicated += 1;
            fate.again_after = Some(random.magnitude(Duration::from_millis(1), faults.longest_delay));
        }
        fate.lies = request.is_create() && random.chance(faults.lie);
        fate
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get { key } => write!(formatter, "GET {key}"),
            Self::Put { key, body, condition } => {
                let hash = blake3::hash(body).to_hex();
                let hash = hash.split_at(8).0;
                write!(formatter, "PUT {key} {condition:?} {} B {hash}", body.len())
            }
            Self::Delete { key } => write!(formatter, "DELETE {key}"),
            Self::List { prefix, after, lag, .. } => {
                write!(formatter, "LIST {prefix:?} after {after:?}")?;
                if lag.is_zero() { Ok(()) } else { write!(formatter, " as of {lag:?} ago") }
            }
        }
    }
}
