//! What commits and reads cost in requests: exact, and the same everywhere.

use crate::support::{DEADLINE, claim, delete_records, open, open_with, read, set};
use std::time::Duration;

use bucketdb_driver::{DelayDriver, MemoryDriver, MeteredDriver, Operation};
use bucketdb_env::TokioEnvironment;
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
