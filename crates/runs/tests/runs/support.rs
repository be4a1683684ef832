//! A store of runs in memory, and runs to fill it with.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bucketdb_driver::{MemoryDriver, MeteredDriver, Operation};
use bucketdb_env::TokioEnvironment;
use bucketdb_log::{DatabaseId, Layout, Seq};
use bucketdb_runs::{Cache, Direction, Run, RunEntry, RunMeta, RunOptions, RunScan, RunStore, ScanOptions};
use bytes::Bytes;

pub(crate) const MIB: u64 = 1 << 20;

/// Keys with the position that wrote them and their rows: what a run is to hold.
pub(crate) type Model = BTreeMap<Bytes, (Seq, Option<Bytes>)>;

/// A store in memory whose requests are counted.
pub(crate) struct Bench {
    pub(crate) memory: MemoryDriver,
    pub(crate) driver: MeteredDriver,
    pub(crate) runs: RunStore,
}

impl Bench {
    pub(crate) fn new(cache_bytes: u64) -> Self {
        let memory = MemoryDriver::new();
        let driver = MeteredDriver::new(memory.clone(), TokioEnvironment::new());
        let runs = store(Arc::new(driver.clone()), cache_bytes);
        Self { memory, driver, runs }
    }

    pub(crate) fn gets(&self) -> u64 {
        self.driver.usage().requests(Operation::Get)
    }

    pub(crate) async fn write(&self, model: &Model, options: RunOptions) -> Option<RunMeta> {
        write(&self.runs, model, options).await
    }

    /// A run of `count` rows of `row_bytes`, opened with nothing in memory.
    pub(crate) async fn numbered(&self, count: u64, row_bytes: usize) -> Run {
        let mut writer = self.runs.writer(Seq(1), RunOptions::default());
        for number in 0..count {
            writer.add(&key(number), Seq(number + 1), Some(&row(number, row_bytes))).await.unwrap();
        }
        self.open(writer.finish().await.unwrap().unwrap())
    }

    pub(crate) fn open(&self, meta: RunMeta) -> Run {
        self.runs.open(Arc::new(meta))
    }

    /// The same store, with nothing in memory.
    pub(crate) fn cold(&self, cache_bytes: u64) -> RunStore {
        store(Arc::new(self.driver.clone()), cache_bytes)
    }
}

pub(crate) fn store(driver: Arc<dyn bucketdb_driver::Driver>, cache_bytes: u64) -> RunStore {
    let layout = Layout::new("db").unwrap();
    let env = Arc::new(TokioEnvironment::new());
    RunStore::new(driver, env, layout, DatabaseId([7; 16]), Cache::new(cache_bytes))
}

pub(crate) async fn write(runs: &RunStore, model: &Model, options: RunOptions) -> Option<RunMeta> {
    let mut writer = runs.writer(Seq(9), options);
    for (key, (seq, row)) in model {
        writer.add(key, *seq, row.as_deref()).await.unwrap();
    }
    writer.finish().await.unwrap()
}

/// Every second number has a key; the others are absent.
pub(crate) fn key(number: u64) -> Vec<u8> {
    format!("customer/{:012}", number * 2).into_bytes()
}

pub(crate) fn absent_key(number: u64) -> Vec<u8> {
    format!("customer/{:012}", number * 2 + 1).into_bytes()
}

/// A row that does not compress to nothing.
pub(crate) fn row(number: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    (0..bytes).map(|_| random.u8(..)).collect()
}

pub(crate) fn entry(key: &Bytes, (seq, row): &(Seq, Option<Bytes>)) -> RunEntry {
    RunEntry { key: key.clone(), seq: *seq, row: row.clone() }
}

pub(crate) async fn collect(mut scan: RunScan) -> Vec<RunEntry> {
    let mut entries = Vec::new();
    while let Some(entry) = scan.next().await.unwrap() {
        entries.push(entry);
    }
    assert_eq!(scan.next().await.unwrap(), None, "an end stays one");
    entries
}

pub(crate) fn all(direction: Direction) -> ((Bound<Bytes>, Bound<Bytes>), ScanOptions) {
    ((Bound::Unbounded, Bound::Unbounded), ScanOptions { direction, ..ScanOptions::default() })
}
