//! Several writers on one log: one order, one winner, one state, and nothing acknowledged gets lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{
    DelayDriver, Driver, DriverError, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, Object, Operation,
};
use bucketdb_env::{Environment, Random};
use bucketdb_log::{Commit, CommitError, Freshness, Log, LogError, NodeId};
use futures::future::{self, Either};
use parking_lot::Mutex;

use crate::support::{
    Behaviour, Claims, DEADLINE, Jitter, Proposal, SeededEnvironment, Strange, claim, fresh_state, is_record, keys,
    open, open_in, open_with, set, set_within, sleep, spawn, within,
};

async fn cluster(seed: u64, store: &MemoryDriver, nodes: u8) -> Vec<Log<Claims>> {
    open_with(store.clone(), |options| options.ring_size = Some(u16::from(nodes))).await.unwrap();
    let mut logs = Vec::new();
    for node in 0..nodes {
        let env = SeededEnvironment::new(seed * 100 + u64::from(node));
        let driver = Strange::new(store, Jitter { env: env.clone(), most: Duration::from_millis(40) });
        logs.push(open_in(env, driver, |options| options.node = NodeId(node)).await.unwrap());
    }
    logs
}

/// All nodes have the same state, which is that of a fresh opener, in a log without a gap.
async fn assert_agreement(store: &MemoryDriver, logs: &[Log<Claims>]) -> Claims {
    let fresh = fresh_state(store).await;
    for log in logs {
        log.refresh(Freshness::Strict).await.unwrap();
        assert_eq!(log.read(|claims, _| claims.clone()).unwrap(), fresh);
    }
    for (index, key) in keys(store).await.iter().enumerate() {
        assert_eq!(*key, format!("db/log/{:020}", index + 1));
    }
    fresh
}

#[tokio::test(start_paused = true)]
async fn each_claim_has_exactly_one_winner_and_all_nodes_agree() {
    for seed in 0..5 {
        let store = MemoryDriver::new();
        let logs = cluster(seed, &store, 4).await;
        let mut tasks = Vec::new();
        for (node, log) in logs.iter().enumerate() {
            for task in 0..16 {
                let log = log.clone();
                tasks.push(spawn(async move {
                    let mut won: Vec<(String, Commit)> = Vec::new();
                    let me = format!("{node}-{task}");
                    for number in 0..20 {
                        let key = format!("{task}-{number}");
                        match claim(&log, &key, &me).await {
                            Ok(commit) => {
                                won.push((key.clone(), commit));
                                let mine = log.read(|claims, _| claims.0.get(&key).cloned()).unwrap();
                                assert_eq!(mine.as_deref(), Some(me.as_str()), "a node sees its own commits");
                            }
                            Err(CommitError::Refused(_)) => {
                                assert!(
                                    log.read(|claims, _| claims.0.contains_key(&key)).unwrap(),
                                    "refused for what?"
                                );
                            }
                            Err(error) => panic!("{error}"),
                        }
                        set(&log, &format!("own-{me}"), &number.to_string()).await.unwrap();
                    }
                    (me, won)
                }));
            }
        }
        let mut winners = BTreeMap::new();
        let mut commits = Vec::new();
        for task in tasks {
            let (me, won) = task.await.unwrap();
            for (key, commit) in won {
                assert_eq!(winners.insert(key, me.clone()), None, "two won");
                commits.push(commit.id);
            }
        }
        let fresh = assert_agreement(&store, &logs).await;
        assert_eq!(winners.len(), 16 * 20);
        for (key, winner) in &winners {
            assert_eq!(fresh.0[key], *winner);
        }
        assert!(commits.iter().all(|id| fresh.1.contains(id)));
        assert_eq!(fresh.1.len(), 16 * 20 + 4 * 16 * 20, "each acknowledged commit once and nothing else");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_commit_at_any_moment_takes_nothing_back_and_wedges_nobody() {
    for seed in 0..5 {
        let store = MemoryDriver::new();
        let logs = cluster(seed, &store, 3).await;
        let env = SeededEnvironment::new(seed + 77);
        let mut tasks = Vec::new();
        for (node, log) in logs.iter().enumerate() {
            for task in 0..12 {
                let (log, env) = (log.clone(), env.clone());
                tasks.push(spawn(async move {
                    let mut acknowledged = Vec::new();
                    for number in 0..15 {
                        let key = format!("{node}-{task}-{number}");
                        let patience = env.sleep(Duration::from_micros(env.random_below(80_000)));
                        let commit = std::pin::pin!(claim(&log, &key, "1"));
                        if let Either::Left((outcome, _)) = future::select(commit, patience).await {
                            acknowledged.push(outcome.unwrap().id);
                        }
                        let patience = env.sleep(Duration::from_micros(env.random_below(20_000)));
                        let refresh = std::pin::pin!(log.refresh(Freshness::Strict));
                        future::select(refresh, patience).await;
                    }
                    acknowledged
                }));
            }
        }
        let mut acknowledged = Vec::new();
        for task in tasks {
            acknowledged.extend(task.await.unwrap());
        }
        assert!(!acknowledged.is_empty() && acknowledged.len() < 3 * 12 * 15, "some were dropped, some were not");
        for log in &logs {
            set(log, "last", "1").await.unwrap();
        }
        let fresh = assert_agreement(&store, &logs).await;
        assert!(acknowledged.iter().all(|id| fresh.1.contains(id)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_nobody_polls_any_more_does_not_hold_up_the_writer() {
    let env = SeededEnvironment::new(1);
    let store = MemoryDriver::new();
    let slow = DelayDriver::new(store.clone(), env.clone()).reads(Duration::from_millis(10));
    let log = open_in(env, slow, |_| {}).await.unwrap();
    claim(&log, "a", "1").await.unwrap();
    let mut read = Box::pin(log.refresh(Freshness::Strict));
    assert!(futures::poll!(&mut read).is_pending());
    // The refusal needs a request of its own.
    let refused = within(Duration::from_secs(5), claim(&log, "a", "2")).await.unwrap_err();
    assert!(matches!(refused, CommitError::Refused(_)), "{refused:?}");
    read.await.unwrap();
}

/// [H10]
#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_rest_on_a_member_that_never_got_into_the_log() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let denied = Arc::new(AtomicBool::new(true));
    let switch = denied.clone();
    let driver = FaultDriver::new(store.clone(), move |operation, key| match operation {
        Operation::Put if is_record(key) && switch.swap(false, Ordering::SeqCst) => Fault::Before(ErrorKind::Denied),
        _ => Fault::None,
    });
    let log = open(driver).await;
    let (first, second, third) = tokio::join!(claim(&log, "a", "1"), claim(&log, "a", "2"), claim(&log, "a", "3"));
    assert!(matches!(first, Err(CommitError::Log(LogError::Driver(_)))), "{first:?}");
    second.expect("the one before it never got into the log");
    assert!(matches!(third, Err(CommitError::Refused(_))), "{third:?}");
    assert_eq!(fresh_state(&store).await.0["a"], "2");
}

/// [H10]
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_given_before_the_member_that_it_rests_on_is_in_the_log() {
    let env = SeededEnvironment::new(1);
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let slow = DelayDriver::new(store.clone(), env.clone()).writes(Duration::from_secs(4));
    let log = open_in(env, slow, |_| {}).await.unwrap();
    let first = spawn({
        let log = log.clone();
        async move { claim(&log, "a", "1").await }
    });
    let second = spawn({
        let log = log.clone();
        async move { claim(&log, "a", "2").await }
    });
    sleep(Duration::from_millis(3_900)).await;
    assert!(!second.is_finished(), "refused on the strength of a record that may still fail");
    first.await.unwrap().unwrap();
    assert!(matches!(second.await.unwrap(), Err(CommitError::Refused(_))));
}

/// [H6] Two copies of one machine draw the same session id.
#[tokio::test(start_paused = true)]
async fn copies_of_a_machine_do_not_take_each_others_records_for_their_own() {
    for by_reading in [false, true] {
        let store = MemoryDriver::new();
        open(store.clone()).await;
        let copy = || open_in(SeededEnvironment::new(9), store.clone(), |_| {});
        let (one, two) = (copy().await.unwrap(), copy().await.unwrap());
        let mut commits = vec![set(&one, "a", "one").await.unwrap()];
        if by_reading {
            // It learns of the other's record by a read, not by losing the position.
            two.refresh(Freshness::Strict).await.unwrap();
        }
        for round in 0..4 {
            commits.push(set(&two, &format!("b{round}"), "two").await.unwrap());
            commits.push(set(&one, &format!("c{round}"), "one").await.unwrap());
        }
        assert_eq!(commits.len(), 9);
        let state = fresh_state(&store).await;
        assert_eq!(state.1, commits.iter().map(|commit| commit.id).collect::<Vec<_>>());
        assert_eq!(state.0["a"], "one");
    }
}

/// [H6] A machine that is set back to an earlier moment draws what it has drawn before.
#[tokio::test(start_paused = true)]
async fn a_machine_that_is_set_back_does_not_use_a_commit_id_again() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    for life in 0..4 {
        let log = open_in(SeededEnvironment::new(9), store.clone(), |_| {}).await.unwrap();
        set(&log, "a", &life.to_string()).await.unwrap();
        log.close(DEADLINE).await.unwrap();
    }
    assert_eq!(fresh_state(&store).await.1.len(), 4);
}

/// Some records are not there yet when they are asked for the first time, as if they were appended a moment later,
/// together with those behind them.
#[derive(Debug, Default)]
struct GrowingTail(Mutex<BTreeSet<String>>);

#[async_trait]
impl Behaviour for GrowingTail {
    async fn get(&self, store: &MemoryDriver, key: &Key) -> bucketdb_driver::Result<Object> {
        let seq = key.as_str().strip_prefix("db/log/").and_then(|digits| digits.parse::<u64>().ok());
        if seq.is_some_and(|seq| seq % 8 == 7) && self.0.lock().insert(key.to_string()) {
            return Err(DriverError::not_found(Operation::Get, key));
        }
        store.get(key).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_catch_up_beside_busy_writers_finds_no_hole_that_is_none() {
    let store = MemoryDriver::new();
    let reader = open(Strange::new(&store, GrowingTail::default())).await;
    let writer = open(store.clone()).await;
    for round in 0..300 {
        set(&writer, "a", &round.to_string()).await.unwrap();
    }
    reader.refresh(Freshness::Strict).await.unwrap();
    assert_eq!(reader.position(), writer.position());
}

#[tokio::test(start_paused = true)]
async fn each_caller_has_its_own_deadline() {
    let env = SeededEnvironment::new(1);
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let slow = DelayDriver::new(store.clone(), env.clone()).writes(Duration::from_secs(3));
    let log = open_in(env, slow, |_| {}).await.unwrap();
    let (patient, hasty) =
        tokio::join!(set_within(&log, "a", "1", DEADLINE), set_within(&log, "b", "1", Duration::from_secs(1)));
    patient.unwrap();
    assert!(matches!(hasty, Err(CommitError::OutcomeUnknown { .. })), "{hasty:?}");
    assert_eq!(fresh_state(&store).await.0.len(), 2);
    let proposal = || Proposal::Claim("a".to_owned(), "2".to_owned());
    let local = log.commit(proposal(), Freshness::Local, DEADLINE).await;
    assert!(matches!(local, Err(CommitError::Refused(_))));
}
