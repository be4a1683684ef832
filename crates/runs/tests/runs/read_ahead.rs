//! Requests of scans that are under way while rows are given out. Time is virtual: only requests and pauses take any.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{DelayDriver, MemoryDriver, MeteredDriver, Operation};
use bucketdb_env::{Environment, TokioEnvironment};
use bucketdb_log::Seq;
use bucketdb_runs::{Direction, Run, RunOptions, RunScan, ScanOptions};

use bytes::Bytes;

use crate::support::{MIB, key, row, store};

const LATENCY: Duration = Duration::from_millis(100);
const ROWS: u64 = 2000;

/// A store far away, with one run of about 2 MB in it.
struct Distant {
    /// Counts what arrives at the store.
    store: MeteredDriver,
    env: TokioEnvironment,
}

#[expect(clippy::disallowed_methods, reason = "the clock of these tests is virtual")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// A scan in requests of 256 KiB.
fn scan(run: &Run, direction: Direction, range: (Bound<Bytes>, Bound<Bytes>)) -> RunScan {
    run.scan(range, ScanOptions { direction, read_ahead_bytes: 256 << 10, fill_cache: false })
}

impl Distant {
    fn new() -> Self {
        let env = TokioEnvironment::new();
        Self { store: MeteredDriver::new(MemoryDriver::new(), env.clone()), env }
    }

    /// A scan of all rows with nothing in memory, and the size of the run in bytes.
    async fn scan(&self, direction: Direction) -> (RunScan, u64) {
        let run = self.run().await;
        (scan(&run, direction, (Bound::Unbounded, Bound::Unbounded)), run.meta().size_bytes)
    }

    /// The run, with nothing in memory.
    async fn run(&self) -> Run {
        let writer = store(Arc::new(self.store.clone()), 0);
        let mut writer = writer.writer(Seq(1), RunOptions::default());
        for number in 0..ROWS {
            writer.add(&key(number), Seq(number + 1), Some(&row(number, 1000))).await.unwrap();
        }
        let meta = Arc::new(writer.finish().await.unwrap().unwrap());
        let far = DelayDriver::new(self.store.clone(), self.env.clone()).reads(LATENCY);
        store(Arc::new(far), 16 * MIB).open(Arc::clone(&meta))
    }

    fn gets(&self) -> u32 {
        self.store.usage().requests(Operation::Get).try_into().unwrap()
    }

    fn moved_bytes(&self) -> u64 {
        self.store.usage().of(Operation::Get).bytes
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_rows_at_once_waits_for_every_request_once() {
    for direction in [Direction::Forward, Direction::Reverse] {
        let distant = Distant::new();
        let (mut scan, size_bytes) = distant.scan(direction).await;
        let begun = now();
        let mut rows = 0;
        while scan.next().await.unwrap().is_some() {
            rows += 1;
        }
        assert_eq!(rows, ROWS);
        let gets = distant.gets();
        assert!((8..=11).contains(&gets), "the footer, 208 KiB, and the rest by 256 KiB: {gets}, {direction:?}");
        let took = begun.elapsed();
        assert!(took <= gets * (LATENCY + Duration::from_millis(3)), "{took:?} for {gets} requests, {direction:?}");
        assert!(distant.moved_bytes() <= size_bytes, "nothing is read twice, {direction:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_time_over_rows_waits_for_the_first_requests_only() {
    for direction in [Direction::Forward, Direction::Reverse] {
        let distant = Distant::new();
        let (mut scan, size_bytes) = distant.scan(direction).await;
        let (mut waited, mut waits) = (Duration::ZERO, 0);
        loop {
            let asked = now();
            let row = scan.next().await.unwrap();
            waited += asked.elapsed();
            waits += u32::from(asked.elapsed() >= LATENCY / 2);
            if row.is_none() {
                break;
            }
            distant.env.sleep(Duration::from_millis(1)).await;
        }
        // The footer and the first stretch at once, and the second stretch.
        assert_eq!(waits, 2, "{direction:?}");
        assert!(waited <= 4 * (LATENCY + Duration::from_millis(3)), "{waited:?}, {direction:?}");
        assert!(distant.moved_bytes() <= size_bytes, "nothing is read twice, {direction:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_scan_takes_its_request_with_it() {
    for is_dropped in [false, true] {
        let distant = Distant::new();
        let (mut scan, _) = distant.scan(Direction::Forward).await;
        while distant.gets() < 3 {
            scan.next().await.unwrap().unwrap();
        }
        // Half of the third answer's rows, and some.
        for _ in 0..180 {
            scan.next().await.unwrap().unwrap();
        }
        distant.env.sleep(LATENCY / 4).await;
        assert_eq!(distant.gets(), 3, "the next request is on its way and has not arrived");
        let kept = (!is_dropped).then_some(scan);
        distant.env.sleep(10 * LATENCY).await;
        assert_eq!(distant.gets(), if is_dropped { 3 } else { 4 });
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_asks_for_nothing_behind_its_end() {
    for direction in [Direction::Forward, Direction::Reverse] {
        let distant = Distant::new();
        let run = distant.run().await;
        let mut all = scan(&run, direction, (Bound::Unbounded, Bound::Unbounded));
        let mut keys = Vec::new();
        while let Some(entry) = all.next().await.unwrap() {
            keys.push(entry.key);
        }
        let before = distant.gets();
        // Up to a row in the second half of the second stretch, behind which there is much to read ahead.
        let (from, to) = match direction {
            Direction::Forward => (Bound::Unbounded, Bound::Included(keys[320].clone())),
            Direction::Reverse => (Bound::Included(keys[320].clone()), Bound::Unbounded),
        };
        let mut scan = scan(&run, direction, (from, to));
        while scan.next().await.unwrap().is_some() {
            distant.env.sleep(Duration::from_millis(1)).await;
        }
        distant.env.sleep(10 * LATENCY).await;
        assert_eq!(distant.gets() - before, 2, "{direction:?}");
    }
}
