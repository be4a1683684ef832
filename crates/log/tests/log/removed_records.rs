//! A writer is held up for longer than the grace while its slot is given up, and the record of another late writer falls
//! into the empty place: what it is told must be what happened to the record that it once had there.

use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{Condition, Driver, DriverError, ETag, ErrorKind, Key, MemoryDriver, Operation};
use bucketdb_log::{CommitError, Freshness, Log, OpenOptions};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::support::{
    Behaviour, Claims, DEADLINE, SeededEnvironment, Strange, is_record, open_in, open_with, record_key, set,
    set_within, sleep, spawn,
};

const GRACE: Duration = Duration::from_secs(60);

/// What becomes of the next put of a record.
#[derive(Debug, Default)]
struct Scripted {
    /// Done at once; the answer, an error that leaves it open, comes so much later.
    done_and_fails_late: Mutex<Option<Duration>>,
    /// Arrives so much later.
    late: Mutex<Option<Duration>>,
}

#[async_trait]
impl Behaviour for Scripted {
    async fn put(
        &self,
        store: &MemoryDriver,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<ETag> {
        if is_record(key.as_str()) {
            let by = self.done_and_fails_late.lock().take();
            if let Some(by) = by {
                store.put(key, body, condition).await.unwrap();
                sleep(by).await;
                return Err(DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), "lost"));
            }
            let by = self.late.lock().take();
            if let Some(by) = by {
                sleep(by).await;
            }
        }
        store.put(key, body, condition).await
    }
}

async fn write_late(reads_meanwhile: bool) {
    let store = MemoryDriver::new();
    open_with(store.clone(), |options| options.grace = Some(GRACE)).await.unwrap();
    let patient = |options: &mut OpenOptions| options.request_timeout = Duration::from_secs(3600);
    let (slow_store, late_store) =
        (Strange::new(&store, Scripted::default()), Strange::new(&store, Scripted::default()));
    let slow = open_in(SeededEnvironment::new(1), slow_store.clone(), patient).await.unwrap();
    let other = open_in(SeededEnvironment::new(2), store.clone(), patient).await.unwrap();
    let late = open_in(SeededEnvironment::new(3), late_store.clone(), patient).await.unwrap();
    *slow_store.behaviour.done_and_fails_late.lock() = Some(Duration::from_secs(200));
    *late_store.behaviour.late.lock() = Some(Duration::from_secs(150));
    let write = |log: &Log<Claims>, key: &'static str| {
        let log = log.clone();
        spawn(async move { set_within(&log, key, "x", Duration::from_secs(10_000)).await })
    };
    let (of_slow, of_late) = (write(&slow, "slow"), write(&late, "late"));
    sleep(Duration::from_secs(1)).await;
    set(&other, "other", "1").await.unwrap();
    let floor = other.position().next();
    other.raise_floor(floor, DEADLINE).await.unwrap();
    if reads_meanwhile {
        slow.refresh(Freshness::Strict).await.unwrap();
    }
    sleep(GRACE + Duration::from_secs(5)).await;
    for seq in 1..floor.0 {
        Driver::delete(&store, &record_key(seq)).await.unwrap();
    }
    let late_outcome = of_late.await.unwrap();
    assert!(matches!(late_outcome, Err(CommitError::OutcomeUnknown { .. })), "{late_outcome:?}");
    let outcome = of_slow.await.unwrap();
    other.refresh(Freshness::Strict).await.unwrap();
    let (transactions, keys) = other.read(|claims, _| (claims.1.clone(), claims.0.clone())).unwrap();
    match outcome {
        Err(CommitError::OutcomeUnknown { .. }) => assert!(!reads_meanwhile, "it could have known"),
        Ok(_) => assert_eq!(transactions.len(), 2, "a commit is in the log twice"),
        Err(error) => assert!(!keys.contains_key("slow"), "reported as failed ({error}), and in the log"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_took_effect_is_not_reported_as_failed() {
    write_late(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_took_effect_is_not_made_again() {
    write_late(true).await;
}
