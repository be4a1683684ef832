//! The end of an open log: what is under way is settled first, everybody gets an answer, and no task stays behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bucketdb_driver::{DelayDriver, Fault, FaultDriver, MemoryDriver, Operation};
use bucketdb_env::{Environment, Random};
use bucketdb_log::{CommitError, LogError, Seq};

use crate::support::{
    DEADLINE, SeededEnvironment, fresh_state, is_record, open, open_in, open_with, set, set_within, sleep, spawn,
    within,
};

/// A switch, and a driver that hangs while it is on. Whoever holds the driver holds the switch.
fn hanging(store: &MemoryDriver) -> (Arc<AtomicBool>, FaultDriver) {
    let broken = Arc::new(AtomicBool::new(false));
    let switch = broken.clone();
    let driver = FaultDriver::new(store.clone(), move |operation, key| match operation {
        Operation::Put if is_record(key) && switch.load(Ordering::SeqCst) => Fault::Hang,
        _ => Fault::None,
    });
    (broken, driver)
}

async fn assert_task_ends(held: &Arc<AtomicBool>) {
    within(Duration::from_secs(120), async {
        while Arc::strong_count(held) > 1 {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn close_settles_first_and_later_commits_are_told() {
    let env = SeededEnvironment::new(1);
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let slow = DelayDriver::new(store.clone(), env.clone()).writes(Duration::from_secs(2));
    let log = open_in(env, slow, |_| {}).await.unwrap();
    let commit = spawn({
        let log = log.clone();
        async move { set(&log, "a", "1").await }
    });
    sleep(Duration::from_millis(500)).await;
    log.close(DEADLINE).await.unwrap();
    assert_eq!(fresh_state(&store).await.0["a"], "1", "it was settled before");
    commit.await.unwrap().unwrap();
    assert!(matches!(set(&log, "b", "1").await, Err(CommitError::Log(LogError::Closed))));
    log.close(DEADLINE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_steady_stream_of_commits_does_not_keep_a_log_open() {
    let env = SeededEnvironment::new(1);
    let store = MemoryDriver::new();
    let slow = DelayDriver::new(store.clone(), env.clone()).writes(Duration::from_millis(50));
    let log = open_in(env, slow, |_| {}).await.unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let log = log.clone();
            spawn(async move {
                let mut committed = 0;
                loop {
                    match set(&log, &writer.to_string(), "1").await {
                        Ok(_) => committed += 1,
                        Err(CommitError::Log(LogError::Closed)) => return committed,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    sleep(Duration::from_secs(1)).await;
    within(Duration::from_secs(1), log.close(DEADLINE)).await.unwrap();
    let mut committed = 0;
    for writer in writers {
        committed += within(Duration::from_secs(1), writer).await.unwrap();
    }
    assert_eq!(fresh_state(&store).await.1.len(), committed);
}

#[tokio::test(start_paused = true)]
async fn close_beside_commits_gives_each_a_definite_answer() {
    for seed in 0..20 {
        let env = SeededEnvironment::new(seed);
        let store = MemoryDriver::new();
        let slow = DelayDriver::new(store.clone(), env.clone()).writes(Duration::from_millis(20));
        let log = open_in(env.clone(), slow, |_| {}).await.unwrap();
        let writers: Vec<_> = (0..64)
            .map(|writer| {
                let (log, env) = (log.clone(), env.clone());
                spawn(async move {
                    env.sleep(Duration::from_micros(env.random_below(100_000))).await;
                    let key = writer.to_string();
                    let outcome = within(Duration::from_secs(1), set(&log, &key, "1")).await;
                    (key, outcome)
                })
            })
            .collect();
        sleep(Duration::from_millis(50)).await;
        log.close(DEADLINE).await.unwrap();
        let state = fresh_state(&store).await;
        let mut kinds = [0, 0];
        for writer in writers {
            let (key, outcome) = writer.await.unwrap();
            match outcome {
                Ok(_) => assert!(state.0.contains_key(&key)),
                Err(CommitError::Log(LogError::Closed)) => assert!(!state.0.contains_key(&key)),
                Err(ref error) => panic!("{error}"),
            }
            kinds[usize::from(outcome.is_ok())] += 1;
        }
        assert!(kinds[0] > 0 && kinds[1] > 0, "{kinds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn close_on_a_store_that_hangs_is_an_error_by_its_deadline_and_the_task_ends() {
    for keep_the_handle in [true, false] {
        let store = MemoryDriver::new();
        open(store.clone()).await;
        let (broken, driver) = hanging(&store);
        let log = open(driver).await;
        broken.store(true, Ordering::SeqCst);
        let outcome = set_within(&log, "a", "1", Duration::from_secs(1)).await;
        assert!(matches!(outcome, Err(CommitError::OutcomeUnknown { slot: Seq(2), .. })), "{outcome:?}");
        let error = within(Duration::from_secs(6), log.close(Duration::from_secs(5))).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("db/log/00000000000000000002"), "{error}");
        let closed = set(&log, "b", "1").await;
        assert!(matches!(closed, Err(CommitError::Log(LogError::Closed))), "{closed:?}");
        if keep_the_handle {
            // Whoever closed it has been told; nobody waits for the record any more.
            sleep(Duration::from_secs(30)).await;
            log.close(DEADLINE).await.unwrap();
        }
        drop(log);
        assert_task_ends(&broken).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_close_waits_as_the_first_did() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let (broken, driver) = hanging(&store);
    let log = open_with(driver, |options| options.request_timeout = Duration::from_secs(1)).await.unwrap();
    broken.store(true, Ordering::SeqCst);
    let commit = spawn({
        let log = log.clone();
        async move { set_within(&log, "a", "1", Duration::from_secs(60)).await }
    });
    sleep(Duration::from_millis(10)).await;
    log.close(Duration::from_secs(3)).await.unwrap_err();
    log.close(Duration::from_secs(3)).await.unwrap_err();
    broken.store(false, Ordering::SeqCst);
    log.close(DEADLINE).await.unwrap();
    assert_eq!(commit.await.unwrap().unwrap().seq, Seq(2), "somebody still waited for it");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_task() {
    let store = MemoryDriver::new();
    let (held, driver) = hanging(&store);
    let log = open(driver).await;
    let other = log.clone();
    drop(log);
    set(&other, "a", "1").await.unwrap();
    assert!(Arc::strong_count(&held) > 1);
    drop(other);
    assert_task_ends(&held).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_store_keeps_no_task_alive_once_everybody_left() {
    for closed in [false, true] {
        let store = MemoryDriver::new();
        open(store.clone()).await;
        let (broken, driver) = hanging(&store);
        let log = open(driver).await;
        broken.store(true, Ordering::SeqCst);
        {
            // The callers neither wait to the end nor take their proposals back.
            let commit = std::pin::pin!(set(&log, "a", "1"));
            futures::future::select(commit, std::pin::pin!(sleep(Duration::from_millis(5)))).await;
            let queued = std::pin::pin!(set(&log, "b", "1"));
            futures::future::select(queued, std::pin::pin!(sleep(Duration::from_millis(5)))).await;
            if closed {
                log.close(Duration::from_millis(5)).await.unwrap_err();
            }
        }
        drop(log);
        assert_task_ends(&broken).await;
    }
}
