//! A state machine small enough to see through, a seeded environment, and stores that misbehave on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{Condition, Driver, ETag, Key, MemoryDriver, Object, Page};
use bucketdb_env::{Environment, Random, TokioEnvironment, WallTime};
use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_log::{
    CheckpointContent, CheckpointError, Checkpointed, Commit, CommitError, CommitId, Freshness, Log, OpenOptions,
    Record, RecordKind, Result, Seq, SessionId, StateMachine, StoreCheck, Validated,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What a map holds in which a key may be claimed once, and the id of every transaction in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims(pub(crate) BTreeMap<String, String>, pub(crate) Vec<CommitId>);

#[derive(Clone, Debug)]
pub(crate) enum Proposal {
    Set(String, String),
    Claim(String, String),
    Schema(String, String),
    /// Sets a key, brings objects and ends an ingest.
    Ingest(String, Vec<String>, Option<Seq>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken(pub(crate) String);

impl StateMachine for Claims {
    type Proposal = Proposal;
    type Refusal = Taken;
    type Group = BTreeSet<String>;

    const MAKES_CHECKPOINTS: bool = true;

    fn validate(&self, group: &mut Self::Group, proposal: &Proposal) -> Result<Validated, Taken> {
        let (key, value) = match proposal {
            Proposal::Claim(key, _) if self.0.contains_key(key) || group.contains(key) => {
                return Err(Taken(key.clone()));
            }
            Proposal::Set(key, value) | Proposal::Claim(key, value) | Proposal::Schema(key, value) => (key, value),
            Proposal::Ingest(key, ..) => (key, key),
        };
        group.insert(key.clone());
        let mut payload = Vec::new();
        codec::put_bytes(&mut payload, key.as_bytes());
        codec::put_bytes(&mut payload, value.as_bytes());
        let kind = match proposal {
            Proposal::Schema(..) => RecordKind::Schema,
            Proposal::Ingest(..) => RecordKind::Ingest,
            _ => RecordKind::Transactions,
        };
        let mut validated = Validated::new(kind, payload.into());
        if let Proposal::Ingest(_, brings, ends) = proposal {
            (validated.brings, validated.ends) = (brings.clone(), *ends);
        }
        Ok(validated)
    }

    fn apply(&mut self, record: &Record) -> Result<(), Malformed> {
        let mut changes = Vec::new();
        for entry in &record.entries {
            let payload = match record.kind {
                RecordKind::Ingest => record.ingest()?.payload,
                _ => entry.payload.clone(),
            };
            let mut reader = Reader::new(payload);
            changes.push((reader.text()?, reader.text()?));
        }
        self.0.extend(changes);
        self.1.extend(record.entries.iter().map(|entry| record.commit_id(entry)));
        Ok(())
    }

    fn load(&mut self, _: Seq, saved: Bytes) -> Result<(), Malformed> {
        assert_eq!(*self, Self::default(), "a state is loaded into an initial machine");
        let mut reader = Reader::new(saved);
        for _ in 0..reader.varint()? {
            self.0.insert(reader.text()?, reader.text()?);
        }
        for _ in 0..reader.varint()? {
            self.1.push(CommitId { session: SessionId(reader.array()?), counter: reader.varint()? });
        }
        reader.finish()
    }

    fn fresh(&self) -> Option<Self> {
        Some(Self::default())
    }
}

impl Claims {
    pub(crate) fn save(&self) -> Bytes {
        let mut saved = Vec::new();
        codec::put_varint(&mut saved, self.0.len() as u64);
        for text in self.0.iter().flat_map(|(key, value)| [key, value]) {
            codec::put_bytes(&mut saved, text.as_bytes());
        }
        codec::put_varint(&mut saved, self.1.len() as u64);
        for id in &self.1 {
            saved.extend_from_slice(&id.session.0);
            codec::put_varint(&mut saved, id.counter);
        }
        saved.into()
    }
}

pub(crate) fn quick_check() -> StoreCheck {
    StoreCheck { rounds: 4, racers: 4 }
}

/// Chance from a seed, time and tasks from tokio: with its clock paused, a test replays exactly.
#[derive(Clone, Debug)]
pub(crate) struct SeededEnvironment {
    random: Arc<Mutex<u64>>,
    started: tokio::time::Instant,
}

impl SeededEnvironment {
    #[expect(clippy::disallowed_methods, reason = "tokio's clock is paused in these tests")]
    pub(crate) fn new(seed: u64) -> Self {
        let random = Arc::new(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
        Self { random, started: tokio::time::Instant::now() }
    }
}

impl Environment for SeededEnvironment {
    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall_clock(&self) -> WallTime {
        WallTime(1_700_000_000_000 + self.monotonic().as_millis() as u64)
    }

    #[expect(clippy::disallowed_methods, reason = "tokio's clock is paused in these tests")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    /// Xorshift: chance enough for a test.
    fn fill_random(&self, buffer: &mut [u8]) {
        let mut state = self.random.lock();
        for byte in buffer {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *byte = (*state >> 32) as u8;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an environment is where tasks start")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// Waits for what must happen in time.
#[expect(clippy::disallowed_methods, reason = "a test that hangs must fail")]
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.expect("it must not take so long")
}

#[expect(clippy::disallowed_methods, reason = "tokio's clock is paused in these tests")]
pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(clippy::disallowed_methods, reason = "tests start tasks")]
pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

/// How a store differs from an honest one.
#[async_trait]
pub(crate) trait Behaviour: Debug + Send + Sync + 'static {
    async fn put(
        &self,
        store: &MemoryDriver,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<ETag> {
        store.put(key, body, condition).await
    }

    async fn get(&self, store: &MemoryDriver, key: &Key) -> bucketdb_driver::Result<Object> {
        store.get(key).await
    }

    async fn list(
        &self,
        store: &MemoryDriver,
        prefix: &str,
        continuation: Option<&str>,
    ) -> bucketdb_driver::Result<Page> {
        store.list(prefix, continuation).await
    }

    fn fingerprint(&self, store: &MemoryDriver) -> String {
        store.fingerprint()
    }
}

/// A memory store that behaves as told. Clones share the behaviour.
#[derive(Debug)]
pub(crate) struct Strange<B> {
    pub(crate) store: MemoryDriver,
    pub(crate) behaviour: Arc<B>,
}

impl<B> Strange<B> {
    pub(crate) fn new(store: &MemoryDriver, behaviour: B) -> Self {
        Self { store: store.clone(), behaviour: Arc::new(behaviour) }
    }
}

impl<B> Clone for Strange<B> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), behaviour: self.behaviour.clone() }
    }
}

#[async_trait]
impl<B: Behaviour> Driver for Strange<B> {
    async fn get(&self, key: &Key) -> bucketdb_driver::Result<Object> {
        self.behaviour.get(&self.store, key).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> bucketdb_driver::Result<ETag> {
        self.behaviour.put(&self.store, key, body, condition).await
    }

    async fn delete(&self, key: &Key) -> bucketdb_driver::Result<()> {
        self.store.delete(key).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> bucketdb_driver::Result<Page> {
        self.behaviour.list(&self.store, prefix, continuation).await
    }

    fn fingerprint(&self) -> String {
        self.behaviour.fingerprint(&self.store)
    }
}

/// Takes a random time for every request, part of it before the store acts and part of it after.
#[derive(Debug)]
pub(crate) struct Jitter {
    pub(crate) env: SeededEnvironment,
    pub(crate) most: Duration,
}

impl Jitter {
    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        let half_us = self.most.as_micros() as u64 / 2;
        self.env.sleep(Duration::from_micros(self.env.random_below(half_us))).await;
        let answer = call.await;
        self.env.sleep(Duration::from_micros(self.env.random_below(half_us))).await;
        answer
    }
}

#[async_trait]
impl Behaviour for Jitter {
    async fn put(
        &self,
        store: &MemoryDriver,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<ETag> {
        self.around(store.put(key, body, condition)).await
    }

    async fn get(&self, store: &MemoryDriver, key: &Key) -> bucketdb_driver::Result<Object> {
        self.around(store.get(key)).await
    }

    async fn list(
        &self,
        store: &MemoryDriver,
        prefix: &str,
        continuation: Option<&str>,
    ) -> bucketdb_driver::Result<Page> {
        self.around(store.list(prefix, continuation)).await
    }
}

pub(crate) fn is_record(key: &str) -> bool {
    key.contains("/log/")
}

/// The keys of all objects, in order.
pub(crate) async fn keys(store: &MemoryDriver) -> Vec<String> {
    let mut keys = Vec::new();
    let mut page = store.list("", None).await.unwrap();
    loop {
        keys.extend(page.objects.iter().map(|object| object.key.to_string()));
        match page.next {
            Some(next) => page = store.list("", Some(&next)).await.unwrap(),
            None => return keys,
        }
    }
}

/// The full key of the record at `seq` of the database that these tests use.
pub(crate) fn record_key(seq: u64) -> Key {
    Key::new(format!("db/log/{seq:020}")).unwrap()
}

pub(crate) fn options(change: impl FnOnce(&mut OpenOptions)) -> OpenOptions {
    let mut options = OpenOptions { prefix: "db".to_owned(), creation_check: quick_check(), ..OpenOptions::default() };
    change(&mut options);
    options
}

pub(crate) async fn open_in(
    env: impl Environment,
    driver: impl Driver,
    change: impl FnOnce(&mut OpenOptions),
) -> Result<Log<Claims>> {
    Log::open(Arc::new(driver), Arc::new(env), options(change), Claims::default()).await
}

pub(crate) async fn open_with(driver: impl Driver, change: impl FnOnce(&mut OpenOptions)) -> Result<Log<Claims>> {
    open_in(TokioEnvironment::new(), driver, change).await
}

pub(crate) async fn open(driver: impl Driver) -> Log<Claims> {
    open_with(driver, |_| {}).await.unwrap()
}

pub(crate) async fn set(log: &Log<Claims>, key: &str, value: &str) -> Result<Commit, CommitError<Taken>> {
    set_within(log, key, value, DEADLINE).await
}

pub(crate) async fn set_within(
    log: &Log<Claims>,
    key: &str,
    value: &str,
    deadline: Duration,
) -> Result<Commit, CommitError<Taken>> {
    log.commit(Proposal::Set(key.to_owned(), value.to_owned()), Freshness::Strict, deadline).await
}

pub(crate) async fn claim(log: &Log<Claims>, key: &str, value: &str) -> Result<Commit, CommitError<Taken>> {
    log.commit(Proposal::Claim(key.to_owned(), value.to_owned()), Freshness::Strict, DEADLINE).await
}

pub(crate) async fn read(log: &Log<Claims>, key: &str) -> Result<Option<String>> {
    log.refresh(Freshness::Strict).await?;
    log.read(|claims, _| claims.0.get(key).cloned())
}

/// The whole state, as whoever opens the database now sees it. No transaction may be in it twice.
pub(crate) async fn fresh_state(store: &MemoryDriver) -> Claims {
    let log = open_with(store.clone(), |options| options.read_only = true).await.unwrap();
    let claims = log.read(|claims, _| claims.clone()).unwrap();
    let unique: BTreeSet<_> = claims.1.iter().collect();
    assert_eq!(unique.len(), claims.1.len(), "a commit id is in the log twice");
    claims
}

/// Makes a checkpoint of the state as it is, with what `change` says beside it.
pub(crate) async fn checkpoint(
    log: &Log<Claims>,
    change: impl FnOnce(&mut CheckpointContent),
) -> Result<Checkpointed, CheckpointError> {
    let captured = log.capture(|claims, _| claims.save()).unwrap();
    let mut content = CheckpointContent { saved: captured.value.clone(), ..CheckpointContent::default() };
    change(&mut content);
    log.checkpoint(captured, content, DEADLINE).await
}

/// Removes records as whoever collects garbage does, without waiting.
pub(crate) async fn delete_records(store: &MemoryDriver, seqs: std::ops::Range<u64>) {
    for seq in seqs {
        store.delete(&record_key(seq)).await.unwrap();
    }
}
