//! What a writer takes, what it holds, and what it leaves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bucketdb_driver::{Condition, Driver, DriverError, ETag, ErrorKind, Key, MemoryDriver, Object, Operation, Page};
use bucketdb_log::Seq;
use bucketdb_runs::{RunError, RunOptions};
use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};

use crate::support::{Bench, MIB, key, row, store};

#[tokio::test]
async fn a_run_without_entries_is_none() {
    let bench = Bench::new(MIB);
    let writer = bench.runs.writer(Seq(1), RunOptions::default());
    assert_eq!(writer.finish().await.unwrap(), None);
    assert_eq!(bench.driver.usage().total_requests(), 0);
}

#[tokio::test]
async fn keys_that_do_not_ascend_and_rows_that_are_too_long_are_refused_and_leave_the_rest() {
    let bench = Bench::new(MIB);
    let mut writer = bench.runs.writer(Seq(1), RunOptions::default());
    writer.add(b"b", Seq(1), Some(b"1")).await.unwrap();
    assert!(matches!(writer.add(b"b", Seq(2), None).await, Err(RunError::OutOfOrder)));
    assert!(matches!(writer.add(b"a", Seq(2), None).await, Err(RunError::OutOfOrder)));
    let long = vec![0; (16 << 20) + 1];
    assert!(matches!(writer.add(b"c", Seq(2), Some(&long)).await, Err(RunError::TooLong { what: "row", .. })));
    assert!(matches!(writer.add(&long[..70_000], Seq(2), None).await, Err(RunError::TooLong { what: "key", .. })));
    writer.add(b"c", Seq(2), Some(&long[..16 << 20])).await.unwrap();
    let meta = writer.finish().await.unwrap().unwrap();
    assert_eq!((meta.entries, &meta.last_key[..]), (2, &b"c"[..]));
    let read = bench.open(meta).get(b"c").await.unwrap().unwrap();
    assert_eq!(read.row.unwrap().len(), 16 << 20);
}

#[tokio::test]
async fn a_short_run_is_put_in_one_request_and_bears_its_position_in_its_name() {
    let bench = Bench::new(MIB);
    let mut writer = bench.runs.writer(Seq(42), RunOptions::default());
    writer.add(b"a", Seq(1), Some(b"1")).await.unwrap();
    let name = writer.name();
    let meta = writer.finish().await.unwrap().unwrap();
    assert_eq!((meta.name, meta.name.begun_at), (name, Seq(42)));
    assert_eq!(bench.driver.usage().requests(Operation::Put), 1);
    assert_eq!(bench.driver.usage().of(Operation::Put).bytes, meta.size_bytes);
}

/// A store in memory that takes uploads piece by piece, and counts how much of each it was given so far.
#[derive(Clone)]
struct Slow {
    memory: MemoryDriver,
    taken_bytes: Arc<AtomicUsize>,
    /// After how many bytes it takes no more.
    stall_after: usize,
    fails: bool,
}

impl fmt::Debug for Slow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Slow")
    }
}

#[async_trait]
impl Driver for Slow {
    async fn get(&self, key: &Key) -> Result<Object, DriverError> {
        self.memory.get(key).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag, DriverError> {
        self.memory.put(key, body, condition).await
    }

    async fn delete(&self, key: &Key) -> Result<(), DriverError> {
        self.memory.delete(key).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page, DriverError> {
        self.memory.list(prefix, continuation).await
    }

    async fn put_stream(
        &self,
        key: &Key,
        mut pieces: BoxStream<'_, Result<Bytes, DriverError>>,
        condition: Condition,
    ) -> Result<ETag, DriverError> {
        let mut body = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            self.taken_bytes.fetch_add(piece.len(), Ordering::Relaxed);
            body.extend_from_slice(&piece);
            if body.len() >= self.stall_after {
                if self.fails {
                    return Err(DriverError::new(ErrorKind::NoSpace, Operation::Put, key.as_str(), "it is full"));
                }
                std::future::pending::<()>().await;
            }
        }
        self.memory.put(key, body.into(), condition).await
    }
}

fn slow(stall_after: usize, fails: bool) -> Slow {
    Slow { memory: MemoryDriver::new(), taken_bytes: Arc::default(), stall_after, fails }
}

#[tokio::test]
async fn a_long_run_goes_out_while_it_is_written_and_reads_back() {
    let driver = slow(usize::MAX, false);
    let runs = store(Arc::new(driver.clone()), 64 * MIB);
    let mut writer = runs.writer(Seq(1), RunOptions::default());
    let count = 120_000;
    for number in 0..count {
        writer.add(&key(number), Seq(1), Some(&row(number, 200))).await.unwrap();
        let held = writer.bytes_written() as usize - driver.taken_bytes.load(Ordering::Relaxed);
        assert!(held <= 13 << 20, "{held} bytes are in memory");
    }
    let meta = writer.finish().await.unwrap().unwrap();
    assert!(meta.size_bytes > 20 << 20);
    let report = runs.verify(&meta).await.unwrap();
    assert_eq!(report.entries, count);
    assert!(report.partitions >= 7);
    let run = runs.open(Arc::new(meta));
    assert_eq!(run.get(&key(100_000)).await.unwrap().unwrap().row.unwrap(), row(100_000, 200));
}

#[tokio::test]
async fn a_writer_waits_for_a_store_that_does_not_keep_up() {
    let driver = slow(10 << 20, false);
    let runs = store(Arc::new(driver.clone()), MIB);
    let mut writer = runs.writer(Seq(1), RunOptions::default());
    for number in 0u64.. {
        let entry = row(number, 1000);
        let key = key(number);
        let add = writer.add(&key, Seq(1), Some(&entry));
        let mut add = std::pin::pin!(add);
        let waits = futures::poll!(&mut add).is_pending();
        if waits {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            if futures::poll!(&mut add).is_pending() {
                break;
            }
        }
        assert!(number < 30_000, "it never waits");
    }
    assert!(writer.bytes_written() <= 24 << 20, "{} bytes were written", writer.bytes_written());
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_nothing() {
    let driver = slow(usize::MAX, false);
    let runs = store(Arc::new(driver.clone()), MIB);
    let mut writer = runs.writer(Seq(1), RunOptions::default());
    for number in 0..12_000 {
        writer.add(&key(number), Seq(1), Some(&row(number, 1000))).await.unwrap();
    }
    assert!(driver.taken_bytes.load(Ordering::Relaxed) > 0, "it has begun to go out");
    drop(writer);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(driver.memory.list("", None).await.unwrap().objects, []);
}

#[tokio::test]
async fn the_failure_of_a_store_reaches_the_writer() {
    let runs = store(Arc::new(slow(9 << 20, true)), MIB);
    let mut writer = runs.writer(Seq(1), RunOptions::default());
    let mut outcome = Ok(());
    for number in 0..30_000 {
        outcome = writer.add(&key(number), Seq(1), Some(&row(number, 1000))).await;
        if outcome.is_err() {
            break;
        }
    }
    assert!(matches!(outcome, Err(RunError::Driver(error)) if error.kind() == ErrorKind::NoSpace));
    assert!(writer.finish().await.is_err(), "it cannot be finished any more");
}

#[tokio::test]
async fn long_and_short_rows_stand_side_by_side() {
    let bench = Bench::new(64 * MIB);
    let mut writer = bench.runs.writer(Seq(1), RunOptions::default());
    let length = |number: u64| if number % 50 == 7 { 300_000 } else { 100 };
    for number in 0..300 {
        writer.add(&key(number), Seq(1), Some(&row(number, length(number)))).await.unwrap();
    }
    let meta = writer.finish().await.unwrap().unwrap();
    bench.runs.verify(&meta).await.unwrap();
    let run = bench.open(meta);
    for number in 0..300 {
        assert_eq!(run.get(&key(number)).await.unwrap().unwrap().row.unwrap(), row(number, length(number)));
    }
    let wanted: Vec<Bytes> = (0..300).map(|number| key(number).into()).collect();
    assert!(run.get_many(&wanted).await.unwrap().iter().all(Option::is_some));
}

#[tokio::test]
async fn the_stored_form_stays_as_it_is() {
    use bucketdb_env::Environment;
    use futures::future::BoxFuture;
    use std::time::Duration;

    /// An environment whose random bytes are all 5.
    #[derive(Debug)]
    struct Fixed;

    impl Environment for Fixed {
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn wall_clock(&self) -> bucketdb_env::WallTime {
            bucketdb_env::WallTime(0)
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }

        fn fill_random(&self, buffer: &mut [u8]) {
            buffer.fill(5);
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {
            panic!("a short run needs no task")
        }
    }

    let memory = MemoryDriver::new();
    let layout = bucketdb_log::Layout::new("db").unwrap();
    let cache = bucketdb_runs::Cache::new(MIB);
    let database = bucketdb_log::DatabaseId([7; 16]);
    let runs = bucketdb_runs::RunStore::new(Arc::new(memory.clone()), Arc::new(Fixed), layout, database, cache);
    let mut writer = runs.writer(Seq(300), RunOptions { block_bytes: 40 });
    writer.add(b"apple", Seq(9), Some(b"red")).await.unwrap();
    writer.add(b"apricot", Seq(7), None).await.unwrap();
    writer.add(b"banana", Seq(8), Some(&[b'y'; 200])).await.unwrap();
    let meta = writer.finish().await.unwrap().unwrap();
    assert_eq!(meta.name.to_string(), "run/00000000000000000300-05050505050505050505050505050505");
    let object = memory.get(&Key::new(format!("db/{}", meta.name)).unwrap()).await.unwrap().body;
    let hex: String = object.iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = [
        // block
        "010000001700000017000000020005020504000702006170706c657269636f7472656486a37cae94c2ebd4ede0ae4f836cda",
        "cf",
        // block, compressed
        "0101000019000000d5000000ef010006c901080062616e616e61790100ae607979797979796f3c82e3a64c3564ffcc130bf3",
        "1b960c",
        // partition
        "020000003e0000003e000000020033350007000661707269636f7462616e616e6101c15c0289ec2d0a910800000008000000",
        "00b80000000000000000000000000000006d0000000000416baf266106e6db296e91b087986cb3d3",
        // top index
        "030000000d0000000d00000001685a0068000662616e616e61b0de2c94a7285cb5b20e6d6a5a023067",
        // footer
        "c20000000000000003000000000000000100000000000000d6000000000000002b0100000000000040000100424b524e9725",
        "9a707c0ecc38752b020236566ac0",
    ];
    assert_eq!(hex, golden.concat());
    assert_eq!(meta.size_bytes, object.len() as u64);
}
