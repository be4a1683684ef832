//! Writers that commit as fast as they can share the log fairly and waste few puts.

use std::time::Duration;

use bucketdb_driver::{DelayDriver, MemoryDriver, MeteredDriver, Operation};
use bucketdb_env::{Environment, Random};
use bucketdb_log::{CommitError, Log, NodeId};
use futures::stream::{self, StreamExt};

use crate::support::{Claims, DEADLINE, SeededEnvironment, claim, open_in, set, sleep, spawn};

const PUT: Duration = Duration::from_millis(30);
const RUN: Duration = Duration::from_secs(60);

struct Outcome {
    commits: Vec<usize>,
    puts: u64,
    gets: u64,
}

/// Every writer in a process of its own, each with so many callers that commit one change after the other.
async fn contend(writers: u8, callers: usize, get: Duration) -> Outcome {
    let store = MemoryDriver::new();
    // With the writers' clock: one that is ahead would hide how long ago something was written.
    open_in(SeededEnvironment::new(0), store.clone(), |options| options.ring_size = Some(256)).await.unwrap();
    let mut tasks = Vec::new();
    let mut meters = Vec::new();
    for node in 0..writers {
        let env = SeededEnvironment::new(u64::from(node) + 1);
        let slow = DelayDriver::new(store.clone(), env.clone()).reads(get).writes(PUT);
        let meter = MeteredDriver::new(slow, env.clone());
        let log = open_in(env.clone(), meter.clone(), |options| options.node = NodeId(node)).await.unwrap();
        meters.push(meter);
        for caller in 0..callers {
            let (log, env) = (log.clone(), env.clone());
            tasks.push((
                node,
                spawn(async move {
                    let begun = env.monotonic();
                    let mut commits = 0;
                    while env.monotonic() - begun < RUN {
                        set(&log, &format!("{node}-{caller}"), "x").await.unwrap();
                        commits += 1;
                    }
                    commits
                }),
            ));
        }
    }
    let mut commits = vec![0; usize::from(writers)];
    for (node, task) in tasks {
        commits[usize::from(node)] += task.await.unwrap();
    }
    let count = |operation| meters.iter().map(|meter| meter.usage().requests(operation)).sum();
    Outcome { commits, puts: count(Operation::Put), gets: count(Operation::Get) }
}

#[tokio::test(start_paused = true)]
async fn writers_that_contend_take_turns() {
    for get in [PUT / 2, PUT] {
        for writers in [2, 8, 32] {
            let Outcome { commits, puts, gets } = contend(writers, 1, get).await;
            let total: usize = commits.iter().sum();
            let least = *commits.iter().min().unwrap() as f64 * f64::from(writers) / total as f64;
            let of_limit = total as f64 * PUT.as_secs_f64() / RUN.as_secs_f64();
            let wasted = (puts as f64 - total as f64) / puts as f64;
            let what =
                format!("{writers} writers, get {get:?}: {of_limit:.2} of the limit, {wasted:.3} wasted, {gets} gets");
            // The timer of these tests rounds every pause up to a millisecond: the simulator measures exactly.
            assert!(of_limit > 0.77, "{what}");
            assert!(wasted < 0.15, "{what}");
            assert!(least > 0.5, "{what}; the slowest had {least:.2} of its share");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_alone_asks_for_nothing_and_hardly_ever_pauses() {
    let Outcome { commits, puts, gets } = contend(1, 1, PUT).await;
    let total: usize = commits.iter().sum();
    assert_eq!((puts as usize, gets), (total, 2), "two gets when it was opened");
    assert!(total as f64 * PUT.as_secs_f64() / RUN.as_secs_f64() > 0.97);
}

async fn node(store: &MemoryDriver, seed: u64) -> (Log<Claims>, MeteredDriver, SeededEnvironment) {
    node_with(store, seed, PUT).await
}

async fn node_with(store: &MemoryDriver, seed: u64, get: Duration) -> (Log<Claims>, MeteredDriver, SeededEnvironment) {
    let env = SeededEnvironment::new(seed);
    let slow = DelayDriver::new(store.clone(), env.clone()).reads(get).writes(PUT);
    let meter = MeteredDriver::new(slow, env.clone());
    let log = open_in(env.clone(), meter.clone(), |_| {}).await.unwrap();
    (log, meter, env)
}

#[tokio::test(start_paused = true)]
async fn nodes_that_write_now_and_then_pay_for_what_they_missed_and_no_more() {
    let store = MemoryDriver::new();
    let (a, b) = (node(&store, 1).await, node(&store, 2).await);
    for round in 0..6 {
        for (log, meter, env) in [&a, &b] {
            sleep(Duration::from_secs(10)).await;
            let (before, begun) = (meter.usage(), env.monotonic());
            set(log, "k", "v").await.unwrap();
            let used = meter.usage() - before;
            let used = (used.requests(Operation::Put), used.requests(Operation::Get));
            // Whoever was overtaken once looks first from then on, and for the record behind as well.
            let (most, rounds) = if round < 2 { ((2, 2), 3) } else { ((1, 2), 2) };
            assert!(used.0 <= most.0 && used.1 <= most.1, "{used:?} in round {round}");
            assert!(env.monotonic() - begun <= PUT * rounds + Duration::from_millis(3));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_wrote_once_and_left_slows_nobody() {
    let store = MemoryDriver::new();
    let (log, _, env) = node(&store, 1).await;
    for _ in 0..10 {
        set(&log, "k", "v").await.unwrap();
    }
    let (other, _, _) = node(&store, 2).await;
    set(&other, "k", "v").await.unwrap();
    other.close(DEADLINE).await.unwrap();
    let begun = env.monotonic();
    for _ in 0..60 {
        set(&log, "k", "v").await.unwrap();
    }
    assert!(env.monotonic() - begun < PUT * 75, "{:?}", env.monotonic() - begun);
}

/// Commits for as long as others do, with a pause behind each commit.
fn commit_steadily(log: Log<Claims>, pause: Duration) -> tokio::task::JoinHandle<()> {
    spawn(async move {
        loop {
            set(&log, "steady", "x").await.unwrap();
            sleep(pause).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn who_writes_seldom_gets_in_between_the_records_of_one_that_pauses() {
    // How long the other one pauses, in milliseconds, and how many puts a commit may last.
    for (get, pauses) in
        [(PUT / 3, [(10, 12), (30, 7), (60, 6), (150, 7)]), (PUT, [(10, 100), (30, 40), (60, 16), (150, 16)])]
    {
        for (pause, most) in pauses {
            let store = MemoryDriver::new();
            let (steady, ..) = node_with(&store, 1, get).await;
            let (seldom, meter, env) = node_with(&store, 2, get).await;
            let steady = commit_steadily(steady, Duration::from_millis(pause));
            let mut slowest = Duration::ZERO;
            for _ in 0..60 {
                sleep(Duration::from_millis(1_000 + env.random_below(500))).await;
                let begun = env.monotonic();
                set(&seldom, "seldom", "x").await.unwrap();
                slowest = slowest.max(env.monotonic() - begun);
            }
            steady.abort();
            let used = meter.usage();
            let (puts, gets) = (used.requests(Operation::Put), used.requests(Operation::Get));
            let what = format!("get {get:?}, pause {pause} ms: {slowest:?}, {puts} puts, {gets} gets for 60 commits");
            assert!(slowest < PUT * most, "{what}");
            assert!(puts <= 60 * 5 && gets <= 60 * 72, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_not_looked_for_long_finds_out_by_two_puts_that_there_is_much() {
    let store = MemoryDriver::new();
    let (seldom, meter, env) = node(&store, 1).await;
    let (busy, ..) = node(&store, 2).await;
    for _ in 0..40 {
        set(&busy, "k", "v").await.unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    let (before, begun) = (meter.usage(), env.monotonic());
    set(&seldom, "k", "v").await.unwrap();
    let used = meter.usage() - before;
    let (puts, took) = (used.requests(Operation::Put), env.monotonic() - begun);
    assert!(puts <= 3 && took < PUT * 20, "{puts} puts, {took:?}");
}

/// Whose proposals are refused writes nothing, and waits for nobody's turn.
#[tokio::test(start_paused = true)]
async fn claims_that_come_too_late_are_refused_without_waiting_for_a_turn() {
    const KEYS: u64 = 320;
    let claim_all = async |log: &Log<Claims>| {
        let claims = stream::iter(0..KEYS).map(async |key| match claim(log, &key.to_string(), "x").await {
            Ok(_) => 1,
            Err(CommitError::Refused(_)) => 0,
            Err(error) => panic!("{error}"),
        });
        claims.buffered(16).fold(0, async |won, more| won + more).await
    };
    for seed in 0..5 {
        let store = MemoryDriver::new();
        let (steady, ..) = node_with(&store, 3 * seed, PUT / 3).await;
        let (first, ..) = node_with(&store, 3 * seed + 1, PUT / 3).await;
        let (second, meter, env) = node_with(&store, 3 * seed + 2, PUT / 3).await;
        let steady = commit_steadily(steady, PUT * 2);
        let first = spawn(async move { claim_all(&first).await });
        let begun = env.monotonic();
        let won: u64 = claim_all(&second).await;
        let took = env.monotonic() - begun;
        let won = won + first.await.unwrap();
        steady.abort();
        assert_eq!(won, KEYS);
        let gets = meter.usage().requests(Operation::Get);
        assert!(took < PUT * 60 && gets < 100, "seed {seed}: {took:?}, {gets} gets");
    }
}
