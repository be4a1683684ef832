//! What each call costs in requests: exact, and the same on every store.

use std::time::Duration;

use bucketdb::{Freshness, MemoryDriver, Operation, Usage};

use crate::support::{User, metered, on, open, user};

/// Puts, gets, and all requests.
fn requests(usage: &Usage) -> (u64, u64, u64) {
    (usage.requests(Operation::Put), usage.requests(Operation::Get), usage.total_requests())
}

#[tokio::test]
async fn each_call_costs_what_it_should() {
    let meter = metered(&MemoryDriver::new());
    let db = on(meter.clone()).staleness(Duration::from_secs(3600)).open().await.unwrap();
    let users = db.table::<User>().await.unwrap();
    let strict = users.clone().with_freshness(Freshness::Strict);
    let local = users.clone().with_freshness(Freshness::Local);

    let before = meter.usage();
    users.insert(&user(1)).await.unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (1, 0, 1), "insert");

    let before = meter.usage();
    users.put(&user(1)).await.unwrap();
    users.delete("u_2").await.unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (2, 0, 2), "put and delete");

    let before = meter.usage();
    users.update("u_1", |user| user.age += 1).await.unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (1, 0, 1), "update");

    let before = meter.usage();
    strict.get("u_1").await.unwrap().unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (0, 1, 1), "strict read");

    let before = meter.usage();
    strict.query().fetch().await.unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (0, 1, 1), "strict query");

    let before = meter.usage();
    local.get("u_1").await.unwrap().unwrap();
    users.get("u_1").await.unwrap().unwrap();
    users.query().fetch().await.unwrap();
    db.table::<User>().await.unwrap();
    db.stats().unwrap();
    assert_eq!(requests(&(meter.usage() - before)), (0, 0, 0), "local and bounded reads, registering again");
}

#[tokio::test]
async fn an_idle_database_asks_for_nothing() {
    let meter = metered(&MemoryDriver::new());
    let db = open(meter.clone()).await;
    db.table::<User>().await.unwrap().insert(&user(1)).await.unwrap();
    let before = meter.usage();
    #[expect(clippy::disallowed_methods, reason = "idling takes real time")]
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((meter.usage() - before).total_requests(), 0);
    drop(db);
}

#[tokio::test]
async fn creating_takes_few_requests_beside_the_trial_of_the_store() {
    let store = MemoryDriver::new();
    let meter = metered(&store);
    let db = on(meter.clone()).open().await.unwrap();
    let all = meter.usage();
    let trial = metered(&store);
    bucketdb::StoreCheck { rounds: 2, racers: 3 }
        .run(
            &(std::sync::Arc::new(trial.clone()) as _),
            &(std::sync::Arc::new(bucketdb::TokioEnvironment::new()) as _),
            &bucketdb::Layout::new("other").unwrap(),
        )
        .await
        .unwrap();
    let beside = (all - trial.usage()).total_requests();
    assert!(beside <= 5, "{beside}");
    db.close().await.unwrap();
}
