//! What is told of a commit is what became of it, also when the answer was late or nobody waited for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bucketdb_driver::{DelayDriver, Fault, FaultDriver, MemoryDriver, Operation};
use bucketdb_env::Environment;
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

/// Refreshes a log over a store that takes so long for a read, and loses the first gets of records that follow. How long it
/// took, and how many of these gets there were.
async fn refreshed(takes: Duration, lost: usize) -> (Duration, usize) {
    let (asked, is_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (count, switch) = (asked.clone(), is_open.clone());
    let env = SeededEnvironment::new(1);
    let slow = DelayDriver::new(MemoryDriver::new(), env.clone()).reads(takes);
    let driver = FaultDriver::new(slow, move |operation, key| {
        let is_counted = operation == Operation::Get && is_record(key) && switch.load(Ordering::SeqCst);
        if is_counted && count.fetch_add(1, Ordering::SeqCst) < lost { Fault::Hang } else { Fault::None }
    });
    let log = open_in(env.clone(), driver, |options| options.request_timeout = Duration::from_secs(10)).await.unwrap();
    is_open.store(true, Ordering::SeqCst);
    let began = env.monotonic();
    log.refresh(Freshness::Strict).await.unwrap();
    (env.monotonic().saturating_sub(began), asked.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_not_answered_is_asked_for_again_within_its_time() {
    let (took, gets) = refreshed(Duration::from_millis(20), 1).await;
    assert_eq!((took.as_millis(), gets), (5_020, 2));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_answered_in_half_its_time_is_one_request() {
    for millis in [0, 20, 4_000] {
        let (took, gets) = refreshed(Duration::from_millis(millis), 0).await;
        assert_eq!((took.as_millis(), gets), (u128::from(millis), 1));
    }
    // It was asked for again when the answer came, to the first.
    let (took, gets) = refreshed(Duration::from_secs(8), 0).await;
    assert_eq!((took.as_millis(), gets), (8_000, 2));
}
