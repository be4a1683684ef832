//! What is told of a commit is what became of it, also when the answer was late or nobody waited for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bucketdb_driver::{Fault, FaultDriver, MemoryDriver, Operation};
use bucketdb_log::{CommitError, CommitOutcome, Freshness};
use futures::future;

use crate::liar::{Lie, liar};
use crate::support::{
    DEADLINE, SeededEnvironment, fresh_state, is_record, open, open_in, open_with, set, set_within, sleep, spawn,
};

/// A store whose puts of records hang while the switch is on.
fn hanging(store: &MemoryDriver) -> (FaultDriver, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(true));
    let switch = broken.clone();
    let driver = FaultDriver::new(store.clone(), move |operation, key| match operation {
        Operation::Put if is_record(key) && switch.load(Ordering::SeqCst) => Fault::Hang,
        _ => Fault::None,
    });
    (driver, broken)
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_somebody_else_has_decides_also_of_a_sessions_first_commit() {
    let store = MemoryDriver::new();
    let other = open(store.clone()).await;
    let (driver, broken) = hanging(&store);
    let log = open_with(driver, |options| options.request_timeout = Duration::from_millis(100)).await.unwrap();
    let outcome = set_within(&log, "a", "1", Duration::from_secs(2)).await;
    let Err(CommitError::OutcomeUnknown { id, slot }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(log.outcome(id, Some(slot)).await.unwrap(), CommitOutcome::Undecided);
    set(&other, "b", "1").await.unwrap();
    broken.store(false, Ordering::SeqCst);
    assert_eq!(log.outcome(id, Some(slot)).await.unwrap(), CommitOutcome::NotCommitted);
    set(&log, "c", "1").await.unwrap();
    assert_eq!(log.settle(id, slot, DEADLINE).await.unwrap(), CommitOutcome::NotCommitted);
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_is_not_sent_after_its_deadline() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let (driver, broken) = hanging(&store);
    let env = SeededEnvironment::new(1);
    let log = open_in(env, driver, |options| options.request_timeout = Duration::from_millis(100)).await.unwrap();
    for number in 0..100 {
        let value = number.to_string();
        let dropped = Box::pin(set_within(&log, "a", &value, Duration::from_secs(1)));
        future::select(dropped, Box::pin(sleep(Duration::from_millis(500)))).await;
    }
    sleep(Duration::from_secs(3600)).await;
    broken.store(false, Ordering::SeqCst);
    set(&log, "b", "1").await.unwrap();
    // The first was under way all the time.
    let held = fresh_state(&store).await.1.len();
    assert!(held <= 2, "{held} transactions are in the log");
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_recognised_though_a_reader_has_gone_on_to_a_large_record() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let slow = liar(&store, Lie::None);
    let log = open(slow.clone()).await;
    let other = open(store.clone()).await;
    *slow.behaviour.slow_answers.lock() = Duration::from_secs(2);
    let writer = log.clone();
    let commit = spawn(async move { set(&writer, "a", "1").await });
    sleep(Duration::from_millis(10)).await;
    set(&other, "b", &"x".repeat((8 << 20) - 64)).await.unwrap();
    log.refresh(Freshness::Strict).await.unwrap();
    commit.await.unwrap().unwrap();
}
