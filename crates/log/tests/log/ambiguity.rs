//! Answers that get lost, come late or contradict each other: a commit happens once or not at all, and nobody is told
//! something else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{
    Condition, DriverError, ETag, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, Object, Operation,
};
use bucketdb_log::{CommitError, LogError, Seq};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::support::{
    Behaviour, Strange, fresh_state, is_record, keys, open, open_with, set, set_within, sleep, spawn, within,
};

const TIMEOUT: Duration = Duration::from_millis(100);

/// A store whose first puts of log records go wrong as listed; what is behind them goes well.
fn puts_go_wrong(store: &MemoryDriver, faults: impl IntoIterator<Item = Fault>) -> FaultDriver {
    let faults = Mutex::new(faults.into_iter().collect::<VecDeque<_>>());
    FaultDriver::new(store.clone(), move |operation, key| match operation {
        Operation::Put if is_record(key) => faults.lock().pop_front().unwrap_or(Fault::None),
        _ => Fault::None,
    })
}

/// A switch, and a store whose puts of log records hang while it is on.
fn puts_hang(store: &MemoryDriver, fault: Fault) -> (Arc<AtomicBool>, FaultDriver) {
    let broken = Arc::new(AtomicBool::new(true));
    let switch = broken.clone();
    let driver = FaultDriver::new(store.clone(), move |operation, key| match operation {
        Operation::Put if is_record(key) && broken.load(Ordering::SeqCst) => fault.clone(),
        _ => Fault::None,
    });
    (switch, driver)
}

#[tokio::test(start_paused = true)]
async fn an_unclear_answer_never_makes_a_commit_happen_twice_or_fail() {
    let (before, after) = (Fault::Before(ErrorKind::Transient), Fault::After(ErrorKind::Transient));
    let denied = Fault::Before(ErrorKind::Denied);
    let exists = Fault::Before(ErrorKind::PreconditionFailed);
    let stories = [
        vec![after.clone()],
        vec![before.clone()],
        vec![Fault::Hang],
        vec![Fault::HangAfter],
        vec![before.clone(), Fault::Hang, after.clone(), Fault::HangAfter],
        // "It exists", and then nothing is found there.
        vec![exists.clone(), exists.clone()],
        vec![exists, before.clone(), after.clone()],
        // [H21] Forbidden is no failure once an earlier attempt may have arrived.
        vec![after, denied.clone(), denied.clone()],
        vec![before, denied.clone(), Fault::Before(ErrorKind::NoSpace), Fault::Before(ErrorKind::Permanent)],
        vec![Fault::HangAfter, denied],
    ];
    for story in stories {
        let store = MemoryDriver::new();
        open(store.clone()).await;
        let driver = puts_go_wrong(&store, story.clone());
        let log = open_with(driver, |options| options.request_timeout = TIMEOUT).await.unwrap();
        let commit = set(&log, "a", "1").await.unwrap_or_else(|error| panic!("{story:?}: {error}"));
        assert_eq!(commit.seq, Seq(2), "{story:?}");
        assert_eq!(set(&log, "a", "2").await.unwrap().seq, Seq(3), "{story:?}");
        let state = fresh_state(&store).await;
        assert_eq!((state.1.len(), state.1[0]), (2, commit.id), "{story:?}");
        assert_eq!(keys(&store).await.len(), 3, "{story:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_first_try_is_a_failure_and_nothing_appears_later() {
    for kind in [ErrorKind::Denied, ErrorKind::NoSpace, ErrorKind::Permanent] {
        let store = MemoryDriver::new();
        open(store.clone()).await;
        let log = open(puts_go_wrong(&store, [Fault::Before(kind)])).await;
        match set(&log, "a", "1").await.unwrap_err() {
            CommitError::Log(LogError::Driver(error)) => assert_eq!(error.kind(), kind),
            other => panic!("{other:?}"),
        }
        sleep(Duration::from_secs(600)).await;
        assert_eq!(keys(&store).await.len(), 1);
        set(&log, "b", "1").await.unwrap();
        assert!(!fresh_state(&store).await.0.contains_key("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_deadline_a_record_under_way_appears_in_its_slot_before_any_other() {
    let unclear = Fault::Before(ErrorKind::Transient);
    // The last hangs longer than its caller waits, although its record is there.
    for (fault, timeout) in [(Fault::Hang, TIMEOUT), (unclear, TIMEOUT), (Fault::HangAfter, Duration::from_secs(5))] {
        let store = MemoryDriver::new();
        open(store.clone()).await;
        let (broken, driver) = puts_hang(&store, fault);
        let log = open_with(driver, |options| options.request_timeout = timeout).await.unwrap();
        let CommitError::OutcomeUnknown { id, slot } =
            set_within(&log, "a", "1", Duration::from_secs(2)).await.unwrap_err()
        else {
            panic!("the record may still arrive")
        };
        assert_eq!(slot, Seq(2));
        broken.store(false, Ordering::SeqCst);
        assert_eq!(set(&log, "b", "1").await.unwrap().seq, Seq(3), "the open slot is settled first");
        assert_eq!(fresh_state(&store).await.1[0], id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_whose_outcome_is_unknown_never_moves_to_another_slot() {
    let store = MemoryDriver::new();
    let other = open(store.clone()).await;
    let (broken, driver) = puts_hang(&store, Fault::Hang);
    let log = open_with(driver, |options| options.request_timeout = TIMEOUT).await.unwrap();
    let unknown = set_within(&log, "a", "1", Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(unknown, CommitError::OutcomeUnknown { slot: Seq(2), .. }), "{unknown:?}");
    assert_eq!(set(&other, "b", "1").await.unwrap().seq, Seq(2));
    broken.store(false, Ordering::SeqCst);
    assert_eq!(set(&log, "c", "1").await.unwrap().seq, Seq(3));
    sleep(Duration::from_secs(600)).await;
    assert!(!fresh_state(&store).await.0.contains_key("a"));
}

#[tokio::test(start_paused = true)]
async fn what_timed_out_in_the_queue_never_appears() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let (broken, driver) = puts_hang(&store, Fault::Hang);
    let log = open_with(driver, |options| options.request_timeout = TIMEOUT).await.unwrap();
    let first = spawn({
        let log = log.clone();
        async move { set(&log, "first", "1").await }
    });
    sleep(Duration::from_millis(10)).await;
    let queued = set_within(&log, "queued", "1", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(queued, CommitError::TimedOut), "{queued:?}");
    broken.store(false, Ordering::SeqCst);
    assert_eq!(first.await.unwrap().unwrap().seq, Seq(2));
    set(&log, "later", "1").await.unwrap();
    let state = fresh_state(&store).await;
    assert_eq!(state.0.keys().collect::<Vec<_>>(), ["first", "later"]);
}

/// Carries the first put of a log record out long after its sender gave it up.
#[derive(Debug)]
struct Late {
    armed: AtomicBool,
    delay: Duration,
    landed: Arc<Mutex<Option<Result<ETag, DriverError>>>>,
}

#[async_trait]
impl Behaviour for Late {
    async fn put(
        &self,
        store: &MemoryDriver,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<ETag> {
        use bucketdb_driver::Driver;
        if is_record(key.as_str()) && self.armed.swap(false, Ordering::SeqCst) {
            let (store, key, landed, delay) = (store.clone(), key.clone(), self.landed.clone(), self.delay);
            spawn(async move {
                sleep(delay).await;
                *landed.lock() = Some(store.put(&key, body, condition).await);
            });
            return std::future::pending().await;
        }
        store.put(key, body, condition).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_lands_minutes_late_meets_a_conflict() {
    for somebody_else_wins in [false, true] {
        let store = MemoryDriver::new();
        let other = open(store.clone()).await;
        let landed = Arc::default();
        let late = Late { armed: AtomicBool::new(true), delay: Duration::from_secs(300), landed: Arc::clone(&landed) };
        let log = open_with(Strange::new(&store, late), |options| options.request_timeout = TIMEOUT).await.unwrap();
        let commit = spawn({
            let log = log.clone();
            async move { set(&log, "a", "1").await }
        });
        if somebody_else_wins {
            sleep(TIMEOUT / 2).await;
            set(&other, "b", "1").await.unwrap();
        }
        let commit = commit.await.unwrap().unwrap();
        for round in 0..5 {
            set(&log, "c", &round.to_string()).await.unwrap();
        }
        sleep(Duration::from_secs(400)).await;
        assert!(landed.lock().take().unwrap().unwrap_err().is_precondition_failed());
        let state = fresh_state(&store).await;
        assert_eq!(state.1.iter().filter(|id| **id == commit.id).count(), 1);
        assert_eq!(state.0["c"], "4");
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_lands_after_everybody_left_is_in_its_slot_or_nowhere() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let landed = Arc::default();
    let late = Late { armed: AtomicBool::new(true), delay: Duration::from_secs(300), landed: Arc::clone(&landed) };
    let log = open_with(Strange::new(&store, late), |_| {}).await.unwrap();
    let outcome = set_within(&log, "a", "1", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(outcome, CommitError::OutcomeUnknown { slot: Seq(2), .. }), "{outcome:?}");
    drop(log);
    sleep(Duration::from_secs(400)).await;
    assert!(landed.lock().is_some());
    let state = fresh_state(&store).await;
    assert_eq!(state.1.len(), 1);
}

/// Spoils one read of a log record.
#[derive(Debug)]
struct Misread(AtomicBool);

#[async_trait]
impl Behaviour for Misread {
    async fn put(
        &self,
        store: &MemoryDriver,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<ETag> {
        use bucketdb_driver::Driver;
        let outcome = store.put(key, body, condition).await;
        if outcome.is_ok() && self.0.load(Ordering::SeqCst) {
            return Err(DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), "the answer was lost"));
        }
        outcome
    }

    async fn get(&self, store: &MemoryDriver, key: &Key) -> bucketdb_driver::Result<Object> {
        use bucketdb_driver::Driver;
        let mut object = store.get(key).await?;
        if self.0.swap(false, Ordering::SeqCst) {
            let mut bytes = object.body.to_vec();
            bytes[80] ^= 1;
            object.body = bytes.into();
        }
        Ok(object)
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_comes_back_spoilt_may_be_ours_and_is_not_reported_as_failed() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let misread = Strange::new(&store, Misread(AtomicBool::new(false)));
    let log = open(misread.clone()).await;
    misread.behaviour.0.store(true, Ordering::SeqCst);
    let outcome = set(&log, "a", "1").await.unwrap_err();
    let CommitError::OutcomeUnknown { id, slot: Seq(2) } = outcome else { panic!("it is in the log: {outcome:?}") };
    set(&log, "b", "1").await.unwrap();
    let state = fresh_state(&store).await;
    assert_eq!((state.1.len(), state.1[0]), (2, id));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_no_record_can_hold_is_refused_with_its_size_and_does_no_harm() {
    for length in [(8 << 20) + 1, 20 << 20] {
        let store = MemoryDriver::new();
        let log = open(store.clone()).await;
        let large = "x".repeat(length);
        let (large, second, third) = tokio::join!(
            crate::support::claim(&log, "a", &large),
            crate::support::claim(&log, "a", "2"),
            set(&log, "b", "3")
        );
        let CommitError::TooLarge { size_bytes, limit_bytes } = large.unwrap_err() else { panic!("it is too large") };
        assert!(size_bytes > length && limit_bytes <= 8 << 20, "{size_bytes}, {limit_bytes}");
        second.expect("what was refused for its size claims nothing");
        third.unwrap();
        assert_eq!(fresh_state(&store).await.0["a"], "2");
    }
    let store = MemoryDriver::new();
    let log = open(store.clone()).await;
    set(&log, "a", &"x".repeat((8 << 20) - 64)).await.unwrap();
    assert_eq!(fresh_state(&store).await.0["a"].len(), (8 << 20) - 64);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_holds_nobody_up_for_ever() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    for hanging in [Operation::List, Operation::Get] {
        let driver = FaultDriver::new(store.clone(), move |operation, _| match operation {
            _ if operation == hanging => Fault::Hang,
            _ => Fault::None,
        });
        let opening = open_with(driver, |options| options.request_timeout = TIMEOUT);
        let error = within(Duration::from_secs(60), opening).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }
    for hanging in [Operation::Put, Operation::Delete] {
        let driver = FaultDriver::new(MemoryDriver::new(), move |operation, _| match operation {
            _ if operation == hanging => Fault::Hang,
            _ => Fault::None,
        });
        let creating = open_with(driver, |options| options.request_timeout = TIMEOUT);
        let error = within(Duration::from_secs(60), creating).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn opening_survives_passing_faults() {
    let store = MemoryDriver::new();
    set(&open(store.clone()).await, "a", "1").await.unwrap();
    let count = Mutex::new(0);
    let driver = FaultDriver::new(store.clone(), move |_, _| {
        let mut count = count.lock();
        *count += 1;
        if *count % 2 == 1 { Fault::Before(ErrorKind::Transient) } else { Fault::None }
    });
    assert_eq!(open(driver).await.position(), Seq(2));
}
