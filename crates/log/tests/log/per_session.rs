//! Stores without create-only: one node, and a second one by mistake is a clear error and not a loss.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{DelayDriver, Driver, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, Operation};
use bucketdb_log::{CommitError, Freshness, Log, LogError, NodeId, Seq, SlotNames};
use parking_lot::Mutex;

use crate::liar::{Liar, Lie, liar};
use crate::support::{
    Claims, DEADLINE, SeededEnvironment, Strange, claim, fresh_state, is_record, keys, open, open_in, open_with, read,
    set, set_within, sleep, spawn, within,
};

fn unfit() -> Strange<Liar> {
    liar(&MemoryDriver::new(), Lie::IgnoresCreateOnly)
}

async fn assert_forked(log: &Log<Claims>) {
    assert!(matches!(read(log, "a").await, Err(LogError::Forked { .. })));
    assert!(matches!(set(log, "a", "1").await, Err(CommitError::Log(LogError::Forked { .. }))));
}

#[tokio::test(start_paused = true)]
async fn several_nodes_are_refused_with_the_reason() {
    let driver = unfit();
    for node in [0, 1] {
        let opening = open_with(driver.clone(), |options| {
            options.ring_size = Some(2);
            options.node = NodeId(node);
        });
        let error = opening.await.unwrap_err().to_string();
        assert!(error.contains("create-only") && error.contains("ring size of 1"), "{error}");
    }
    let log = open(driver.clone()).await;
    let error = log.set_ring_size(2, crate::support::quick_check(), DEADLINE).await.unwrap_err().to_string();
    assert!(error.contains("ring size of 1 only"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_session_after_another_and_readers_beside_them() {
    let driver = unfit();
    let reader = {
        open(driver.clone()).await.close(DEADLINE).await.unwrap();
        open_with(driver.clone(), |options| options.read_only = true).await.unwrap()
    };
    for life in 0..4 {
        let log = open(driver.clone()).await;
        claim(&log, &format!("a{life}"), "1").await.unwrap();
        claim(&log, "a0", "2").await.unwrap_err();
        assert_eq!(set(&log, "b", &life.to_string()).await.unwrap().seq, Seq(3 + 2 * life));
        assert_eq!(read(&reader, "b").await.unwrap(), Some(life.to_string()));
        assert_eq!(log.record(Seq(2)).await.unwrap().unwrap().seq, Seq(2));
        log.close(DEADLINE).await.unwrap();
    }
    assert_eq!(fresh_state(&driver.store).await.0["b"], "3");
}

#[tokio::test(start_paused = true)]
async fn a_second_process_by_mistake_is_an_error_on_both_sides_and_loses_nothing() {
    for seed in 0..8 {
        let driver = unfit();
        open(driver.clone()).await.close(DEADLINE).await.unwrap();
        let mut tasks = Vec::new();
        for node in 0..2 {
            let env = SeededEnvironment::new(seed * 10 + node);
            let slow = DelayDriver::new(driver.clone(), env.clone())
                .reads(Duration::from_millis(3 + 2 * seed))
                .writes(Duration::from_millis(1 + 3 * node + seed / 2));
            tasks.push(spawn(async move {
                let log = open_in(env, slow, |_| {}).await?;
                let mut acknowledged = Vec::new();
                loop {
                    match set(&log, "a", "1").await {
                        Ok(commit) => acknowledged.push(commit),
                        Err(CommitError::OutcomeUnknown { .. }) => {}
                        Err(CommitError::Log(error)) => {
                            assert!(matches!(error, LogError::Forked { .. }), "{error}");
                            assert_forked(&log).await;
                            return Ok::<_, LogError>(acknowledged);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        let mut acknowledged = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(commits) => acknowledged.extend(commits),
                Err(error) => assert!(matches!(error, LogError::Forked { .. }), "{error}"),
            }
        }
        let keys = keys(&driver.store).await;
        for commit in acknowledged {
            let key = format!("db/log/{:020}-{}", commit.seq.0, commit.id.session);
            assert!(keys.contains(&key), "{key} was acknowledged");
        }
        assert!(matches!(open_with(driver, |_| {}).await, Err(LogError::Forked { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_create_the_database_at_the_same_time_find_out() {
    for seed in 0..8 {
        let driver = unfit();
        let tasks: Vec<_> = (0..2)
            .map(|node| {
                let env = SeededEnvironment::new(seed * 10 + node);
                let slow = DelayDriver::new(driver.clone(), env.clone())
                    .reads(Duration::from_millis(3 + node))
                    .writes(Duration::from_millis(1 + seed));
                spawn(async move {
                    let log = open_in(env, slow, |_| {}).await?;
                    for _ in 0..3 {
                        // What was written before the other's record was seen stays.
                        let _ = set(&log, "a", "1").await;
                    }
                    assert_forked(&log).await;
                    Ok::<_, LogError>(())
                })
            })
            .collect();
        for task in tasks {
            if let Err(error) = task.await.unwrap() {
                assert!(matches!(error, LogError::Forked { seq: Seq(1), .. }), "{error}");
            }
        }
        assert!(matches!(open_with(driver, |_| {}).await, Err(LogError::Forked { seq: Seq(1), .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_made_there_stays_as_it_is_when_the_store_gets_better() {
    let driver = unfit();
    set(&open(driver.clone()).await, "a", "1").await.unwrap();
    *driver.behaviour.lie.lock() = Lie::None;
    let log = open(driver.clone()).await;
    assert_eq!(log.slot_names(), SlotNames::PerSession);
    assert_eq!(set(&log, "b", "1").await.unwrap().seq, Seq(3));
    log.set_ring_size(2, crate::support::quick_check(), DEADLINE).await.unwrap_err();
    assert_eq!(fresh_state(&driver.store).await.0.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn unclear_answers_are_settled_under_the_same_name() {
    let (before, after) = (Fault::Before(ErrorKind::Transient), Fault::After(ErrorKind::Transient));
    let denied = Fault::Before(ErrorKind::Denied);
    for story in [
        vec![before.clone()],
        vec![after.clone()],
        vec![Fault::Hang, Fault::HangAfter],
        vec![after, denied.clone()],
        vec![before, denied],
    ] {
        for operation in [Operation::Put, Operation::List] {
            let driver = unfit();
            open(driver.clone()).await.close(DEADLINE).await.unwrap();
            let faults = Arc::new(Mutex::new(VecDeque::new()));
            let rest = faults.clone();
            let faulty = FaultDriver::new(driver.clone(), move |asked, key| {
                let concerned = asked == operation && (is_record(key) || operation == Operation::List);
                if concerned { rest.lock().pop_front().unwrap_or(Fault::None) } else { Fault::None }
            });
            let timeout = Duration::from_millis(100);
            let log = open_with(faulty, |options| options.request_timeout = timeout).await.unwrap();
            faults.lock().extend(story.clone());
            let commit = set(&log, "a", "1").await.unwrap();
            assert_eq!(set(&log, "b", "1").await.unwrap().seq, Seq(3), "{story:?}");
            let state = fresh_state(&driver.store).await;
            assert_eq!((state.1.len(), state.1[0]), (2, commit.id), "{story:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_first_try_is_a_failure() {
    let driver = unfit();
    open(driver.clone()).await.close(DEADLINE).await.unwrap();
    let denying = FaultDriver::new(driver.clone(), |operation, key| match operation {
        Operation::Put if is_record(key) => Fault::Before(ErrorKind::Denied),
        _ => Fault::None,
    });
    let error = set(&open(denying).await, "a", "1").await.unwrap_err();
    assert!(matches!(error, CommitError::Log(LogError::Driver(_))), "{error:?}");
    assert_eq!(keys(&driver.store).await.len(), 1);
}

/// A writer that opened after our record was written, and before we had listed, continues the log.
#[tokio::test(start_paused = true)]
async fn a_record_behind_ours_is_no_fork() {
    let driver = unfit();
    open(driver.clone()).await.close(DEADLINE).await.unwrap();
    let env = SeededEnvironment::new(1);
    let slow = DelayDriver::new(driver.clone(), env.clone()).reads(Duration::from_secs(4));
    let log = open_in(env, slow, |_| {}).await.unwrap();
    let commit = spawn({
        let log = log.clone();
        async move { set(&log, "a", "1").await }
    });
    sleep(Duration::from_secs(1)).await;
    let next = open(driver.clone()).await;
    assert_eq!(set(&next, "b", "1").await.unwrap().seq, Seq(3));
    assert_eq!(commit.await.unwrap().unwrap().seq, Seq(2));
    assert_eq!(read(&log, "b").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_no_listing_shows_is_not_acknowledged_and_a_vanished_one_is_named() {
    let driver = unfit();
    let log = open(driver.clone()).await;
    let first = set(&log, "a", "1").await.unwrap();
    *driver.behaviour.lie.lock() = Lie::LosesRecords;
    let outcome = set(&log, "b", "1").await;
    assert!(matches!(outcome, Err(CommitError::OutcomeUnknown { slot: Seq(3), .. })), "{outcome:?}");
    assert!(matches!(set(&log, "b", "1").await, Err(CommitError::Log(LogError::Missing { .. }))));

    *driver.behaviour.lie.lock() = Lie::IgnoresCreateOnly;
    let (writer, reader) =
        (open(driver.clone()).await, open_with(driver.clone(), |o| o.read_only = true).await.unwrap());
    let newest = format!("db/log/{:020}-{}", first.seq.0, first.id.session);
    Driver::delete(&driver.store, &Key::new(&newest).unwrap()).await.unwrap();
    let read = reader.refresh(Freshness::Strict).await.unwrap_err();
    assert!(matches!(set(&writer, "c", "1").await, Err(CommitError::OutcomeUnknown { .. })));
    let CommitError::Log(written) = set(&writer, "c", "1").await.unwrap_err() else { panic!("the log is broken") };
    for error in [read, written] {
        assert!(matches!(&error, LogError::Missing { object, .. } if *object == newest), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_store_keeps_no_task_alive_once_everybody_left() {
    for operation in [Operation::Put, Operation::List] {
        let driver = unfit();
        open(driver.clone()).await.close(DEADLINE).await.unwrap();
        let broken = Arc::new(Mutex::new(false));
        let switch = broken.clone();
        let dead = FaultDriver::new(driver.clone(), move |asked, _| match *switch.lock() && asked == operation {
            true => Fault::Before(ErrorKind::Transient),
            false => Fault::None,
        });
        let log = open(dead).await;
        *broken.lock() = true;
        let outcome = set_within(&log, "a", "1", Duration::from_secs(3)).await;
        assert!(matches!(outcome, Err(CommitError::OutcomeUnknown { .. })), "{outcome:?}");
        drop(log);
        within(Duration::from_secs(120), async {
            // The rule is held by the driver, the driver by the task.
            while Arc::strong_count(&broken) > 1 {
                sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
    }
}

/// A process that wrote from a position that another had long left is told, and so is the other, which would not look
/// back at that position; and doing what the errors say makes the log whole again without losing what was acknowledged.
#[tokio::test(start_paused = true)]
async fn a_fork_far_behind_a_writer_stops_it_as_well_and_can_be_mended() {
    for writes_first in [true, false] {
        let driver = unfit();
        let (first, late) = (open(driver.clone()).await, open(driver.clone()).await);
        for round in 0..3 {
            set(&first, "a", &round.to_string()).await.unwrap();
        }
        let acknowledged = keys(&driver.store).await;
        assert!(matches!(set(&late, "a", "late").await, Err(CommitError::OutcomeUnknown { slot: Seq(2), .. })));
        assert!(matches!(read(&late, "a").await, Err(LogError::Forked { seq: Seq(2), .. })));
        if writes_first {
            assert!(matches!(set(&first, "a", "3").await, Err(CommitError::OutcomeUnknown { slot: Seq(5), .. })));
        }
        let error = read(&first, "a").await.unwrap_err();
        assert!(matches!(error, LogError::Forked { .. } | LogError::Halted { .. }), "{error}");
        loop {
            let object = match open_with(driver.clone(), |_| {}).await {
                Ok(_) => break,
                Err(LogError::Forked { first, second, .. }) if acknowledged.contains(&first) => second,
                Err(LogError::Forked { first, .. }) => first,
                Err(LogError::Halted { object, .. }) => object,
                Err(error) => panic!("{error}"),
            };
            assert!(!acknowledged.contains(&object));
            driver.store.delete(&Key::new(object).unwrap()).await.unwrap();
        }
        // What nobody could say of may be there or not.
        let found = fresh_state(&driver.store).await.0["a"].clone();
        assert!(found == "2" || (writes_first && found == "3"), "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_strict_read_beside_a_commit_disturbs_nothing() {
    let driver = liar(&MemoryDriver::new(), Lie::IgnoresCreateOnly);
    let log = open(driver.clone()).await;
    *driver.behaviour.slow_answers.lock() = Duration::from_millis(50);
    let writer = log.clone();
    let commit = spawn(async move { set(&writer, "a", "1").await });
    sleep(Duration::from_millis(10)).await;
    log.refresh(Freshness::Strict).await.unwrap();
    commit.await.unwrap().unwrap();
}
