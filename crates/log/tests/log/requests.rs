//! What commits and reads cost in requests: exact, and the same everywhere.

use crate::support::{
    DEADLINE, SeededEnvironment, claim, delete_records, open, open_in, open_with, read, set, sleep, spawn,
};
use std::time::Duration;

use bucketdb_driver::{DelayDriver, MemoryDriver, MeteredDriver, Operation};
use bucketdb_env::{Environment, TokioEnvironment};
use bucketdb_log::{Freshness, LogError};

fn metered(store: &MemoryDriver) -> MeteredDriver {
    MeteredDriver::new(store.clone(), TokioEnvironment::new())
}

#[tokio::test]
async fn an_uncontended_commit_is_one_put_and_nothing_else() {
    let meter = metered(&MemoryDriver::new());
    let log = open(meter.clone()).await;
    let before = meter.usage();
    for round in 0..10 {
        set(&log, "a", &round.to_string()).await.unwrap();
    }
    claim(&log, "b", "1").await.unwrap();
    let used = meter.usage() - before;
    assert_eq!((used.requests(Operation::Put), used.total_requests()), (11, 11));
}

#[tokio::test]
async fn many_concurrent_commits_share_puts() {
    let meter = metered(&MemoryDriver::new());
    let log = open(meter.clone()).await;
    let before = meter.usage();
    let commits = (0..1000).map(|number| {
        let log = log.clone();
        async move { claim(&log, &number.to_string(), "x").await.unwrap() }
    });
    futures::future::join_all(commits).await;
    let used = meter.usage() - before;
    assert!(used.total_requests() <= 40, "{used:?}");
    assert_eq!(log.read(|claims, _| claims.0.len()).unwrap(), 1000);
}

#[tokio::test]
async fn a_strict_read_is_one_get_and_others_are_free() {
    let meter = metered(&MemoryDriver::new());
    let log = open(meter.clone()).await;
    set(&log, "a", "1").await.unwrap();
    let before = meter.usage();
    assert_eq!(read(&log, "a").await.unwrap().as_deref(), Some("1"));
    let used = meter.usage() - before;
    assert_eq!((used.requests(Operation::Get), used.total_requests()), (1, 1));

    let before = meter.usage();
    log.refresh(Freshness::Local).await.unwrap();
    log.refresh(Freshness::Bounded(Duration::from_secs(60))).await.unwrap();
    assert_eq!((meter.usage() - before).total_requests(), 0);
}

#[tokio::test]
async fn strict_reads_that_wait_together_share_one_get() {
    let env = TokioEnvironment::new();
    let meter =
        MeteredDriver::new(DelayDriver::new(MemoryDriver::new(), env.clone()).reads(Duration::from_millis(5)), env);
    let log = open(meter.clone()).await;
    let before = meter.usage();
    let reads: Vec<_> = (0..100).map(|_| log.refresh(Freshness::Strict)).collect();
    for outcome in futures::future::join_all(reads).await {
        outcome.unwrap();
    }
    let used = (meter.usage() - before).total_requests();
    assert!(used <= 2, "{used} requests for 100 reads");
}

#[tokio::test]
async fn a_refusal_rests_on_fresh_state_at_one_get() {
    let meter = metered(&MemoryDriver::new());
    let log = open(meter.clone()).await;
    claim(&log, "a", "1").await.unwrap();
    let before = meter.usage();
    claim(&log, "a", "2").await.unwrap_err();
    let used = meter.usage() - before;
    assert_eq!((used.requests(Operation::Get), used.total_requests()), (1, 1));
}

#[tokio::test]
async fn opening_without_a_checkpoint_takes_a_get_of_head_a_listing_and_a_get_for_every_fourth_record() {
    let store = MemoryDriver::new();
    let log = open(store.clone()).await;
    for round in 0..20 {
        set(&log, "a", &round.to_string()).await.unwrap();
    }
    let meter = metered(&store);
    let again = open(meter.clone()).await;
    let used = meter.usage();
    assert_eq!((used.requests(Operation::List), used.requests(Operation::Get), used.total_requests()), (1, 7, 8));
    assert_eq!(again.position(), log.position());
}

#[tokio::test]
async fn one_commit_of_somebody_else_costs_a_reader_one_get_more() {
    let store = MemoryDriver::new();
    let meter = metered(&store);
    let (reader, writer) = (open(meter.clone()).await, open(store).await);
    for (commits, gets) in [(1, 2), (2, 4), (10, 16)] {
        for round in 0..commits {
            set(&writer, "a", &round.to_string()).await.unwrap();
        }
        let before = meter.usage();
        reader.refresh(Freshness::Strict).await.unwrap();
        let used = meter.usage() - before;
        assert_eq!((used.requests(Operation::Get), used.total_requests()), (gets, gets), "{commits} commits");
        assert_eq!(reader.position(), writer.position());
    }
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_fails_looks_once_for_a_database_that_was_dropped() {
    let store = MemoryDriver::new();
    let log = open(store.clone()).await;
    for round in 0..40 {
        set(&log, "a", &round.to_string()).await.unwrap();
    }
    log.close(DEADLINE).await.unwrap();
    delete_records(&store, 3..4).await;
    let meter = metered(&store);
    let error = open_with(meter.clone(), |_| {}).await.err().unwrap();
    assert!(matches!(error, LogError::Missing { .. }), "{error}");
    let used = meter.usage();
    // Four attempts, each of which looks for a checkpoint and for what is wrong, and one look at the 38 records behind the gap.
    assert_eq!((used.requests(Operation::List), used.requests(Operation::Get)), (4 * 2 + 1, 4 * 84 + 38));
}

/// How long a put takes, unless it is said.
const PUT: Duration = Duration::from_millis(40);

/// Callers that commit a hundred times, one thing after the other, and think for so long in between. How long all of it took, in
/// puts, and how many puts there were.
async fn steady_callers(callers: u32, put: Duration, thinks: Duration) -> (f64, u64) {
    let env = SeededEnvironment::new(1);
    let meter = MeteredDriver::new(DelayDriver::new(MemoryDriver::new(), env.clone()).writes(put), env.clone());
    let log = open_in(env.clone(), meter.clone(), |_| {}).await.unwrap();
    // The first requests tell how long one takes.
    for number in 0..8 {
        set(&log, "warm-up", &number.to_string()).await.unwrap();
    }
    let (before, began) = (meter.usage(), env.monotonic());
    let caller = |caller: u32| {
        let log = log.clone();
        async move {
            // They do not begin together.
            sleep(put * 7 * caller / 40).await;
            for number in 0..100 {
                set(&log, &format!("{caller}"), &number.to_string()).await.unwrap();
                sleep(thinks).await;
            }
        }
    };
    futures::future::join_all((0..callers).map(caller)).await;
    let puts = (meter.usage() - before).requests(Operation::Put);
    ((env.monotonic() - began).as_secs_f64() / put.as_secs_f64(), puts)
}

#[tokio::test(start_paused = true)]
async fn callers_that_come_back_at_once_share_one_record_each_time() {
    // For a put of ten milliseconds no timer is set: others are let go on for a while. Each put of the store may be a millisecond
    // late, a tenth of such a one.
    let cases =
        [(PUT, Duration::ZERO, 110.0), (PUT, Duration::from_millis(1), 110.0), (PUT / 4, Duration::ZERO, 120.0)];
    for (put, thinks, most) in cases {
        let (took, puts) = steady_callers(10, put, thinks).await;
        assert!(puts <= 106, "{puts} puts of {put:?} for a hundred commits of each that thinks {thinks:?}");
        assert!(took <= most, "as long as {took} puts of {put:?}");
    }
}

/// How many puts so many callers on two threads need for so many commits each.
async fn puts_of_threads(callers: u64, commits: u64) -> u64 {
    let meter = metered(&MemoryDriver::new());
    let log = open(meter.clone()).await;
    let before = meter.usage();
    let caller = |caller: u64| {
        let log = log.clone();
        spawn(async move {
            for number in 0..commits {
                set(&log, &caller.to_string(), &number.to_string()).await.unwrap();
            }
        })
    };
    for caller in (0..callers).map(caller).collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    (meter.usage() - before).requests(Operation::Put)
}

/// On several threads a writer is done with a record of such a store before most of those whom it answers have run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_on_several_threads_share_records_of_a_store_that_answers_at_once() {
    let mut fewest = u64::MAX;
    // One of the threads may not come to run for a while where others have the cores.
    for _ in 0..8 {
        fewest = fewest.min(puts_of_threads(64, 200).await);
    }
    assert!(fewest <= 300, "{fewest} puts for two hundred commits of each");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_alone_waits_for_nobody() {
    let (took, puts) = steady_callers(1, PUT, Duration::ZERO).await;
    assert_eq!(puts, 100);
    assert!(took <= 102.0, "as long as {took} puts");
}

#[tokio::test(start_paused = true)]
async fn callers_that_do_not_come_back_are_not_waited_for() {
    let (took, _) = steady_callers(3, PUT, Duration::from_millis(33)).await;
    // A caller's commit takes two records at most where nobody waits for anybody, and it thinks for most of one.
    assert!(took <= 100.0 * (2.0 + 33.0 / 40.0) * 1.01, "as long as {took} puts");
}
