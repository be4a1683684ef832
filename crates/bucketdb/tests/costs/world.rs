//! Processes that use one store one after the other, or at the same time.

use std::cell::Cell;
use std::time::Duration;

use bucketdb::{
    Database, DatabaseBuilder, DelayDriver, Environment, Freshness, MeteredDriver, Operation, Table, Usage,
};

use crate::environment::Virtual;
use crate::person::Person;
use crate::store::Store;

/// What every request takes.
const LATENCY: Duration = Duration::from_millis(100);

/// What passes between two processes.
const BETWEEN: Duration = Duration::from_secs(60);

/// A store, and how late it is.
pub(crate) struct World {
    pub(crate) store: Store,
    is_encrypted: bool,
    now: Cell<Duration>,
    seeds: Cell<u64>,
}

/// One process.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) env: Virtual,
    meter: MeteredDriver,
    is_encrypted: bool,
    store: Store,
    seed: u64,
}

/// What something costs.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    usage: Usage,
    took: Duration,
}

impl Cost {
    /// Puts, gets, lists and deletes.
    pub(crate) fn requests(&self) -> [u64; 4] {
        let kinds = [Operation::Put, Operation::Get, Operation::List, Operation::Delete];
        let requests = kinds.map(|kind| self.usage.requests(kind));
        assert_eq!(requests.iter().sum::<u64>(), self.usage.total_requests(), "no column has all requests");
        requests
    }

    pub(crate) fn written_bytes(&self) -> u64 {
        self.usage.of(Operation::Put).bytes
    }

    pub(crate) fn read_bytes(&self) -> u64 {
        self.usage.of(Operation::Get).bytes
    }

    /// How many requests one after the other take as long.
    pub(crate) fn round_trips(&self) -> f64 {
        self.took.as_secs_f64() / LATENCY.as_secs_f64()
    }
}

/// A row of a table: what it is that costs so much.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) cost: Cost,
    /// Whether it takes as long as it says, whatever the store takes.
    pub(crate) is_waiting: bool,
}

pub(crate) fn row(what: &'static str, cost: Cost) -> Row {
    Row { what, cost, is_waiting: false }
}

impl World {
    pub(crate) fn new(is_encrypted: bool) -> Self {
        Self { store: Store::default(), is_encrypted, now: Cell::default(), seeds: Cell::new(1) }
    }

    /// The same once more, for what changes it.
    pub(crate) fn copy(&self) -> Self {
        let store = self.run(async |process| process.store.copy().await);
        Self { store, is_encrypted: self.is_encrypted, now: self.now.clone(), seeds: self.seeds.clone() }
    }

    /// A store without anything in it, at the same time.
    pub(crate) fn emptied(&self) -> Self {
        let (now, seeds) = (self.now.clone(), self.seeds.clone());
        Self { store: Store::default(), is_encrypted: self.is_encrypted, now, seeds }
    }

    /// Runs a process to its end. What it leaves open is left as if it was killed.
    pub(crate) fn run<T>(&self, work: impl AsyncFnOnce(Process) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let seed = self.seeds.get();
        self.seeds.set(seed + 1);
        runtime.block_on(async {
            let env = Virtual::new(self.now.get(), seed);
            let process = Process::new(env.clone(), self.store.clone(), self.is_encrypted, seed);
            let outcome = work(process).await;
            self.now.set(env.monotonic() + BETWEEN);
            outcome
        })
    }
}

impl Process {
    fn new(env: Virtual, store: Store, is_encrypted: bool, seed: u64) -> Self {
        let meter = MeteredDriver::new(store.clone(), env.clone());
        Self { env, meter, is_encrypted, store, seed }
    }

    /// Another process, which runs beside this one.
    pub(crate) fn another(&self) -> Self {
        // Far from those that come next.
        let seed = self.seed + (1 << 16);
        Self::new(self.env.with_seed(seed), self.store.clone(), self.is_encrypted, seed)
    }

    pub(crate) fn builder(&self) -> DatabaseBuilder {
        let slow = DelayDriver::new(self.meter.clone(), self.env.clone()).reads(LATENCY).writes(LATENCY);
        let builder = Database::builder().driver(slow).prefix("db").environment(self.env.clone());
        #[cfg(feature = "encryption")]
        if self.is_encrypted {
            let key = bucketdb::EncryptionKey::from_bytes([8; 32]);
            return builder.encryption(bucketdb::EncryptionKeys::new(key));
        }
        builder
    }

    pub(crate) async fn open(&self) -> Database {
        self.builder().open().await.unwrap()
    }

    /// The table as this process knows it.
    pub(crate) async fn people(&self) -> (Database, Table<Person>) {
        let db = self.open().await;
        let people = db.table::<Person>().await.unwrap().with_freshness(Freshness::Local);
        (db, people)
    }

    /// What `work` asks of the store, and whatever this process asks meanwhile.
    pub(crate) async fn cost<T>(&self, work: impl Future<Output = T>) -> (T, Cost) {
        let (before, begun) = (self.meter.usage(), self.env.monotonic());
        let outcome = work.await;
        (outcome, Cost { usage: self.meter.usage() - before, took: self.env.monotonic() - begun })
    }

    /// What is asked for while nothing is done for so long.
    pub(crate) async fn waiting(&self, what: &'static str, work: impl Future<Output = ()>) -> Row {
        let ((), cost) = self.cost(work).await;
        Row { what, cost, is_waiting: true }
    }
}
