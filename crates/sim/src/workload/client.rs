use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bucketdb::{Batch, Commit, CommitOutcome, Database, Error, Freshness, KeyType, LogError, Schema, Seq};
use bucketdb_history::Op;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::workload::documents::{Claim, HALVES, Half, List, Marked, NOTES, Register, Tables};
use crate::workload::indexes::{INDEX_OF_HALVES, or_without_index};
use crate::workload::{Beside, Caller, Outcome, Read, Recorder, Seen, Token, Work, Write};
use crate::{GroupId, Scheduler, SimRandom};

/// After so many operations of all clients, other names are claimed.
const OPERATIONS_PER_GENERATION: u64 = 16;

/// What all clients of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct ClientSettings {
    /// What they do, and how often.
    pub(crate) mix: Vec<(Work, u64)>,
    /// How many keys each table has.
    pub(crate) keys: u64,
    /// How many names there are to claim at a time.
    pub(crate) names: u64,
    /// The longest pause between two operations.
    pub(crate) think: Duration,
    /// Whether they ask what became of commits of unknown outcome.
    pub(crate) settle: bool,
    /// How many operations all of them still are to do.
    pub(crate) budget: Arc<Mutex<u64>>,
    /// For how long nothing is removed that somebody may need; `None` is the usual time.
    pub(crate) grace: Option<Duration>,
    /// What was acknowledged of what is beside the database.
    pub(crate) beside: Arc<Mutex<Beside>>,
}

/// One client of a process: calls, writes down what was answered, thinks, and calls again.
pub(crate) struct Client {
    pub(crate) tables: Tables,
    pub(crate) settings: ClientSettings,
    pub(crate) recorder: Recorder,
    pub(crate) scheduler: Scheduler,
    pub(crate) random: SimRandom,
    pub(crate) caller: Caller,
    /// Lives that were told to open the database again.
    pub(crate) fallen: Fallen,
    /// What this client has open of the databases that are dropped and created anew.
    pub(crate) successor: Option<Database>,
}

/// Lives that were told to open the database again.
pub(crate) type Fallen = Arc<Mutex<BTreeSet<GroupId>>>;

impl Client {
    /// Works until the budget of all clients is used up.
    pub(crate) async fn run(mut self) {
        loop {
            let think = self.random.duration(Duration::ZERO, self.settings.think);
            self.scheduler.sleep(think).await;
            {
                let mut budget = self.settings.budget.lock();
                if *budget == 0 {
                    return;
                }
                *budget -= 1;
            }
            let work = self.choose();
            self.work(work).await;
        }
    }

    fn choose(&mut self) -> Work {
        let all = self.settings.mix.iter().map(|(_, weight)| weight).sum();
        let mut place = self.random.below(all);
        for (work, weight) in &self.settings.mix {
            if place < *weight {
                return *work;
            }
            place -= weight;
        }
        Work::Get
    }

    pub(super) fn key(&mut self) -> String {
        format!("k{}", self.random.below(self.settings.keys))
    }

    /// One of the names that are claimed at this time of the run: there are always some that nobody has yet.
    fn name(&mut self) -> String {
        let generation = self.recorder.next_token() / OPERATIONS_PER_GENERATION;
        format!("n{generation}-{}", self.random.below(self.settings.names))
    }

    pub(super) fn freshness(&mut self) -> Freshness {
        match self.random.below(10) {
            0..5 => Freshness::Strict,
            5..8 => {
                let age = self.random.magnitude(Duration::from_millis(1), Duration::from_secs(10));
                Freshness::Bounded(age)
            }
            _ => Freshness::Local,
        }
    }

    pub(super) fn begin(&self, freshness: Freshness, what: String, writes: Vec<Write>) -> Token {
        let token = self.recorder.begin(self.caller, freshness, &what, writes);
        self.recorder.knows(token, self.tables.db.position());
        token
    }

    async fn work(&mut self, work: Work) {
        match work {
            Work::Get => self.get().await,
            Work::Put => self.put().await,
            Work::Delete => self.delete().await,
            Work::Update => self.update().await,
            Work::Append => self.append().await,
            Work::Claim => self.claim().await,
            Work::WriteAll => self.write_all().await,
            Work::QueryAll => self.query_all().await,
            Work::Batch => self.batch().await,
            Work::Transact => self.transact().await,
            Work::Transfer => self.transfer().await,
            Work::Balances => self.balances().await,
            Work::Seat => self.seat().await,
            Work::Past => self.past().await,
            Work::Note => self.note().await,
            Work::Schema => self.schema().await,
            Work::Hold => self.hold().await,
            Work::Load => self.load().await,
            Work::Index => self.index().await,
            Work::Find => self.find().await,
            Work::Name => self.named().await,
            Work::Picture => self.picture().await,
            Work::Ticket => self.ticket().await,
            Work::Ask => Box::pin(self.ask()).await,
            Work::Branch => Box::pin(self.branch()).await,
            Work::Backup => Box::pin(self.back_up()).await,
            Work::Succeed => Box::pin(self.succeed()).await,
        }
    }

    async fn get(&mut self) {
        let freshness = self.freshness();
        let tables = self.tables.clone();
        let key = self.key();
        match self.random.below(3) {
            0 => {
                let token = self.begin(freshness, format!("get registers/{key} {freshness:?}"), Vec::new());
                let found = tables.registers.with_freshness(freshness).get(&key).await;
                self.end_get(token, "registers", key, found);
            }
            1 => {
                let token = self.begin(freshness, format!("get lists/{key} {freshness:?}"), Vec::new());
                let found = tables.lists.with_freshness(freshness).get(&key).await;
                if let (Ok(list), Freshness::Strict) = (&found, freshness) {
                    let values = list.as_ref().map(|list| list.values.clone()).unwrap_or_default();
                    self.recorder.steps(token, vec![Op::read(key.as_str(), values)]);
                }
                self.end_get(token, "lists", key, found);
            }
            _ => {
                let name = self.name();
                let token = self.begin(freshness, format!("get claims/{name} {freshness:?}"), Vec::new());
                let found = tables.claims.with_freshness(freshness).get(&name).await;
                if let (Ok(claim), Freshness::Strict) = (&found, freshness) {
                    let owner = claim.as_ref().map(|claim| claim.token.into());
                    self.recorder.steps(token, vec![Op::Owner { email: name.as_str().into(), owner }]);
                }
                self.end_get(token, "claims", name, found);
            }
        }
    }

    fn end_get<T: Marked>(&self, token: Token, table: &'static str, key: String, found: Result<Option<T>, Error>) {
        let (reads, outcome) = match found {
            Ok(found) => {
                let seen = found.map_or(Seen::Absent, |document| Seen::Token(document.token()));
                (vec![Read { table, key, seen }], Outcome::Ok(None))
            }
            Err(error) => (Vec::new(), Outcome::of_error(&error)),
        };
        self.recorder.end(token, reads, outcome);
    }

    async fn put(&mut self) {
        let key = self.key();
        let token = self.begin(Freshness::Local, format!("put registers/{key}"), vec![put("registers", &key)]);
        let outcome = self.tables.registers.put(&Register { key, token, base: 0, count: 0 }).await;
        self.end(token, outcome).await;
    }

    async fn delete(&mut self) {
        let key = self.key();
        let write = Write { table: "registers", key: key.clone(), delete: true };
        let token = self.begin(Freshness::Local, format!("delete registers/{key}"), vec![write]);
        let outcome = self.tables.registers.delete(&key).await;
        self.end(token, outcome).await;
    }

    async fn update(&mut self) {
        let (key, freshness) = (self.key(), self.freshness());
        let token = self.begin(freshness, format!("update registers/{key}"), vec![put("registers", &key)]);
        let registers = self.tables.registers.clone().with_freshness(freshness);
        let updated = registers.update(key.as_str(), |register| {
            register.base = register.token;
            register.token = token;
            register.count += 1;
        });
        let updated = updated.await;
        self.end_refusable(token, "registers", &key, updated.map(|_| None)).await;
    }

    /// Appends to a list, and makes it if there is none.
    async fn append(&mut self) {
        let (key, freshness) = (self.key(), self.freshness());
        let token = self.begin(freshness, format!("append to lists/{key}"), vec![put("lists", &key)]);
        self.recorder.steps(token, vec![Op::append(key.as_str(), token)]);
        let lists = self.tables.lists.clone().with_freshness(freshness);
        let updated = lists.update(key.as_str(), |list| {
            list.base = list.token;
            list.token = token;
            list.values.push(token);
        });
        match updated.await {
            Err(Error::NotFound { .. }) => {
                let absent = Read { table: "lists", key: key.clone(), seen: Seen::Absent };
                let failed = Outcome::Failed("there is no such list".to_owned());
                self.recorder.end(token, vec![absent], failed);
                let token = self.begin(self.default_freshness(), format!("make lists/{key}"), vec![put("lists", &key)]);
                let list = List { key: key.clone(), token, base: 0, values: vec![token] };
                self.recorder.steps(token, vec![Op::append(key.as_str(), token)]);
                let made = self.tables.lists.insert(&list).await;
                self.end_refusable(token, "lists", &key, made.map(|commit| Some(commit.seq))).await;
            }
            updated => {
                self.end_refusable(token, "lists", &key, updated.map(|_| None)).await;
            }
        }
    }

    async fn claim(&mut self) {
        let key = self.name();
        let token = self.begin(self.default_freshness(), format!("claim claims/{key}"), vec![put("claims", &key)]);
        self.recorder.steps(token, vec![claim_step(&key, token)]);
        let claimed = self.tables.claims.insert(&Claim { key: key.clone(), token }).await;
        self.end_refusable(token, "claims", &key, claimed.map(|commit| Some(commit.seq))).await;
    }

    async fn write_all(&mut self) {
        let keys = halves();
        let writes = keys.iter().map(|key| put("halves", key)).collect();
        let token = self.begin(Freshness::Local, "write all halves".to_owned(), writes);
        let mut batch = self.tables.db.batch();
        let filled = keys.into_iter().try_for_each(|key| batch.put(&Half { key, token }));
        let outcome = commit(batch, filled).await;
        self.end(token, outcome).await;
    }

    async fn query_all(&mut self) {
        let freshness = self.freshness();
        let token = self.begin(freshness, format!("query halves {freshness:?}"), Vec::new());
        let halves_now = || self.tables.halves.query().freshness(freshness);
        let found = match self.random.chance(0.5) {
            true => or_without_index(halves_now().by_index(INDEX_OF_HALVES).fetch().await, halves_now().fetch()).await,
            false => halves_now().fetch().await,
        };
        match found {
            Ok(found) => {
                let reads = halves().into_iter().map(|key| {
                    let half = found.iter().find(|half| half.key == key);
                    Read { table: "halves", key, seen: half.map_or(Seen::Absent, |half| Seen::Token(half.token)) }
                });
                self.recorder.end(token, reads.collect(), Outcome::Ok(None));
            }
            Err(error) => self.recorder.end(token, Vec::new(), Outcome::of_error(&error)),
        }
    }

    async fn batch(&mut self) {
        let (name, key) = (self.name(), self.key());
        let mut writes = vec![put("registers", &key), put("claims", &name)];
        writes.extend(halves().iter().map(|half| put("halves", half)));
        let what = format!("batch: claim claims/{name}, put registers/{key}, write all halves");
        let token = self.begin(self.default_freshness(), what, writes);
        let mut batch = self.tables.db.batch();
        let filled = batch
            .put(&Register { key, token, base: 0, count: 0 })
            .and_then(|()| batch.insert(&Claim { key: name.clone(), token }))
            .and_then(|()| halves().into_iter().try_for_each(|key| batch.put(&Half { key, token })));
        self.recorder.steps(token, vec![claim_step(&name, token)]);
        let committed = commit(batch, filled).await;
        self.end_refusable(token, "claims", &name, committed.map(|commit| Some(commit.seq))).await;
    }

    async fn note(&mut self) {
        let key = self.key();
        let token = self.begin(Freshness::Local, format!("put notes/{key}"), vec![put(NOTES, &key)]);
        let outcome = self.tables.notes.put(&json!({ "key": key, "token": token, "more": [token, key] })).await;
        self.end(token, outcome).await;
    }

    /// Ends an operation that may have been refused by what is there.
    pub(super) async fn end_refusable(
        &mut self,
        token: Token,
        table: &'static str,
        key: &str,
        outcome: Result<Option<Seq>, Error>,
    ) {
        let (reads, outcome) = match outcome {
            Ok(seq) => (Vec::new(), Outcome::Ok(seq)),
            Err(error) => (refusal(table, key, &error), self.settled(&error).await),
        };
        self.recorder.end(token, reads, outcome);
    }

    /// Schemas change while others write: nothing of it may disturb them.
    async fn schema(&mut self) {
        let number = self.random.below(4);
        let schema = match number {
            0 => Schema::open(&format!("extra-{}", self.random.below(100)), "key", KeyType::Integer),
            number => {
                let builder = Schema::builder(NOTES).version(u32::try_from(number).unwrap_or(1));
                let fields = (0..number)
                    .fold(builder.field::<String>("key").field::<u64>("token"), |builder, field| {
                        builder.field::<Value>(&format!("more-{field}"))
                    });
                fields.key(&["key"]).finish()
            }
        };
        let (table, version) = (schema.table().to_owned(), schema.version());
        let token = self.begin(Freshness::Strict, format!("register version {version} of {table}"), Vec::new());
        let outcome = match self.tables.db.create_collection(schema).await {
            Ok(_) => Outcome::Ok(None),
            Err(error) => Outcome::of_error(&error),
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    pub(super) fn default_freshness(&self) -> Freshness {
        self.tables.db.freshness()
    }

    async fn end(&mut self, token: Token, outcome: Result<Commit, Error>) {
        let outcome = match outcome {
            Ok(commit) => Outcome::Ok(Some(commit.seq)),
            Err(error) => self.settled(&error).await,
        };
        self.recorder.end(token, Vec::new(), outcome);
    }

    /// What an error promises; of an unknown outcome, half of the clients want to know it.
    pub(super) async fn settled(&mut self, error: &Error) -> Outcome {
        if matches!(error, Error::Log(LogError::FellBehind { .. })) {
            self.fallen.lock().insert(self.caller.life);
        }
        let Error::CommitOutcomeUnknown { id, slot } = error else { return Outcome::of_error(error) };
        if !self.settings.settle || self.random.chance(0.3) {
            return Outcome::of_error(error);
        }
        for _ in 0..3 {
            match self.tables.db.settle_commit(*id, *slot).await {
                Ok(CommitOutcome::Committed { seq }) => return Outcome::Ok(Some(seq.unwrap_or(*slot))),
                Ok(CommitOutcome::NotCommitted) => return Outcome::Failed("settled: not committed".to_owned()),
                Ok(CommitOutcome::Undecided | CommitOutcome::Forgotten) | Err(_) => {}
            }
            self.scheduler.sleep(Duration::from_secs(1)).await;
        }
        Outcome::of_error(error)
    }
}

fn claim_step(name: &str, token: Token) -> Op {
    Op::Claim { email: name.into(), owner: token.into() }
}

/// The keys of all halves.
fn halves() -> Vec<String> {
    (0..HALVES).map(|number| format!("h{number}")).collect()
}

pub(super) fn put(table: &'static str, key: &str) -> Write {
    Write { table, key: key.to_owned(), delete: false }
}

async fn commit(batch: Batch, filled: Result<(), Error>) -> Result<Commit, Error> {
    filled?;
    batch.commit().await
}

/// "It exists already" tells what is there, and "there is none" that nothing is.
fn refusal(table: &'static str, key: &str, error: &Error) -> Vec<Read> {
    let read = |key: &str, seen| vec![Read { table, key: key.to_owned(), seen }];
    match error {
        Error::AlreadyExists { key, .. } => read(key.trim_matches('"'), Seen::Present),
        Error::NotFound { .. } => read(key, Seen::Absent),
        _ => Vec::new(),
    }
}
