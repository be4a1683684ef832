//! Dropping a database, and another one in its place.

use std::time::Duration;

use bucketdb::{Condition, Database, Driver, Error, FileDriver, Key, LogError, MemoryDriver, Point, Seq, Since};
use serde_json::json;

use crate::support::{GRACE_S, Skipping, User, on, on_clock, open, user};

async fn assert_dropped(db: &Database) {
    fn is_dropped<T: std::fmt::Debug>(outcome: bucketdb::Result<T>) {
        let error = outcome.unwrap_err();
        assert!(matches!(&error, Error::Log(LogError::Dropped { prefix, .. }) if prefix == "db/"), "{error}");
    }
    is_dropped(db.refresh(bucketdb::Freshness::Strict).await);
    is_dropped(db.collection("t").query().count().await);
    is_dropped(db.stats().map(|_| ()));
    is_dropped(db.snapshot().await.map(|_| ()));
    is_dropped(db.checkpoint().await.map(|_| ()));
    is_dropped(db.collect_garbage().await);
    let mut batch = db.batch();
    is_dropped(batch.put(&user(1)).map(|_| ()));
    is_dropped(db.collection("t").insert(&json!({"id": 1})).await);
}

async fn objects(driver: &impl Driver) -> Vec<String> {
    let page = driver.list("", None).await.unwrap();
    page.objects.into_iter().map(|object| object.key.to_string()).collect()
}

async fn drops_and_creates(driver: impl Driver + Clone) {
    let db = open(driver.clone()).await;
    let users = db.table::<User>().await.unwrap();
    for number in 0..20 {
        users.insert(&user(number)).await.unwrap();
        if number % 7 == 0 {
            db.checkpoint().await.unwrap();
        }
    }
    let beside = open(driver.clone()).await;
    for wrong in ["", "d", "db/x", "DB"] {
        let error = db.drop_database(wrong).await.unwrap_err();
        assert!(matches!(&error, Error::WrongName { expected, .. } if expected == "db"), "{error}");
        let error = on(driver.clone()).drop_database(wrong, false).await.unwrap_err();
        assert!(matches!(&error, Error::WrongName { expected, .. } if expected == "db"), "{error}");
    }
    assert_eq!(db.name(), "db");
    assert_eq!(users.query().count().await.unwrap(), 20);
    let report = db.drop_database("db").await.unwrap();
    assert!(report.removed > 0 && report.records_left > 0 && report.next_due.is_some(), "{report:?}");
    assert_dropped(&db).await;
    assert_dropped(&beside).await;
    db.close().await.unwrap();
    assert!(objects(&driver).await.iter().all(|key| key.starts_with("db/log/")), "{:?}", objects(&driver).await);
    let error = on(driver.clone()).create(false).open().await.unwrap_err();
    assert!(matches!(error, Error::Log(LogError::Dropped { .. })), "{error}");
    assert!(error.to_string().contains("prefix \"db/\" was dropped"), "{error}");
    // Again: nothing but what was left.
    assert_eq!(db.drop_database("db").await.unwrap().removed, 0);
    assert_eq!(on(driver.clone()).drop_database("db", false).await.unwrap().removed, 0);

    // What others were writing at that moment comes after it.
    let late = ["run", "manifest", "blob"].map(|kind| format!("db/{kind}/{:020}-{:032x}", 5, 7));
    for name in &late {
        driver.put(&Key::new(name.as_str()).unwrap(), "late".into(), Condition::Always).await.unwrap();
    }
    let next = open(driver.clone()).await;
    assert_eq!(next.stats().unwrap().tables.len(), 0);
    let users = next.table::<User>().await.unwrap();
    users.insert(&user(7)).await.unwrap();
    assert_eq!(users.query().fetch().await.unwrap(), [user(7)]);
    assert_dropped(&beside).await;
    assert!(next.verify(|_| {}).await.unwrap().is_clean());
    next.checkpoint().await.unwrap();
    users.insert(&user(8)).await.unwrap();
    next.sweep().await.unwrap();
    let left = objects(&driver).await;
    assert!(late.iter().all(|name| !left.contains(name)), "{left:?}");
    assert!(next.verify(|_| {}).await.unwrap().is_clean());
    let reopened = open(driver.clone()).await;
    assert_eq!(reopened.table::<User>().await.unwrap().query().count().await.unwrap(), 2);
    assert!(reopened.verify(|_| {}).await.unwrap().is_clean());
}

#[tokio::test]
async fn in_memory() {
    drops_and_creates(MemoryDriver::new()).await;
}

#[tokio::test]
async fn in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    drops_and_creates(FileDriver::new(folder.path()).unwrap()).await;
}

/// The past of a database begins where it does, whatever was there before.
#[tokio::test]
async fn the_next_database_has_a_past_of_its_own() {
    let (store, clock) = (MemoryDriver::new(), Skipping::default());
    let first = on_clock(&store, &clock, None).await;
    let old = first.collection("t");
    for id in 0..10 {
        old.insert(&json!({"id": id})).await.unwrap();
    }
    let cursor = first.watch(Since::Beginning).await.unwrap().cursor();
    first.drop_database("db").await.unwrap();
    let second = on_clock(&store, &clock, Some(Duration::from_secs(3 * GRACE_S))).await;
    let genesis = second.position();
    assert!(genesis > Seq(11));
    let things = second.collection("t");
    let mut positions = Vec::new();
    for id in 0..6_u64 {
        clock.skip(GRACE_S / 2);
        things.insert(&json!({"id": id})).await.unwrap();
        positions.push((second.position(), id + 1));
        if id % 2 == 1 {
            second.checkpoint().await.unwrap();
        }
        for (seq, count) in &positions {
            let snapshot = second.at(*seq).await.unwrap();
            assert_eq!(snapshot.collection("t").query().count().await.unwrap() as u64, *count);
        }
        assert!(second.verify(|_| {}).await.unwrap().is_clean());
    }
    for gone in [Seq(2), Seq(genesis.0 - 1)] {
        assert!(matches!(second.at(gone).await.map(|_| ()), Err(Error::SnapshotExpired { .. })));
    }
    assert!(second.at(Point::Seq(genesis)).await.is_ok());
    let mut feed = second.watch(Since::Beginning).await.unwrap();
    for _ in 0..6 {
        feed.next().await.unwrap();
    }
    let error = second.watch(Since::Cursor(cursor)).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::InvalidCursor { .. }), "{error}");
    // What was left of the one before goes in due time.
    clock.skip(4 * GRACE_S);
    things.insert(&json!({"id": 99})).await.unwrap();
    second.checkpoint().await.unwrap();
    clock.skip(GRACE_S + 1);
    second.collect_garbage().await.unwrap();
    let first_left = format!("db/log/{:020}", genesis.0);
    let left = objects(&store).await;
    assert!(left.iter().filter(|key| key.starts_with("db/log/")).all(|key| *key >= first_left), "{left:?}");
    second.sweep().await.unwrap();
    assert!(second.verify(|_| {}).await.unwrap().is_clean());
    let third = on_clock(&store, &clock, Some(Duration::from_secs(3 * GRACE_S))).await;
    assert_eq!(third.collection("t").query().count().await.unwrap(), 7);
}
