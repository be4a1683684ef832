//! Reading the database as it was.

use std::time::{Duration, UNIX_EPOCH};

use bucketdb::{
    Database, Error, Freshness, LogTime, MemoryDriver, Operation, Point, Schema, Seq, TokioEnvironment, WallTime,
};
use serde_json::json;

use crate::support::{Order, User, in_memory, metered, on, open, order, user};

async fn totals(db: &Database, point: impl Into<Point>) -> Vec<i64> {
    let orders = db.at(point).await.unwrap().table::<Order>().unwrap();
    orders.query().fetch().await.unwrap().into_iter().map(|order| order.total).collect()
}

#[tokio::test]
async fn a_snapshot_shows_one_moment_whatever_is_committed_meanwhile() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    for number in 1..=3 {
        orders.insert(&order("a", number, 1)).await.unwrap();
    }
    let snapshot = db.snapshot().await.unwrap();
    assert_eq!(snapshot.position(), db.position());
    orders.put(&order("a", 1, 2)).await.unwrap();
    orders.delete(("a", 2)).await.unwrap();
    orders.insert(&order("a", 4, 2)).await.unwrap();
    let then = snapshot.table::<Order>().unwrap();
    assert_eq!(then.get(("a", 1)).await.unwrap().unwrap().total, 1);
    assert_eq!(snapshot.get::<Order>(("a", 2)).await.unwrap(), Some(order("a", 2, 1)));
    assert_eq!(then.query().count().await.unwrap(), 3);
    assert_eq!(then.query().filter(Order::TOTAL.eq(2)).count().await.unwrap(), 0);
    assert_eq!(then.query().keys(("a", 2)..).fetch().await.unwrap(), [order("a", 2, 1), order("a", 3, 1)]);
    assert_eq!(snapshot.collection("orders").get(&json!(["a", 2])).await.unwrap().unwrap()["total"], 1);
    assert_eq!(snapshot.get::<User>("u_1").await.unwrap(), None, "a table that there is not is empty");
}

#[tokio::test]
async fn every_position_of_the_past_can_be_read() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    let mut history = Vec::new();
    let mut expected = Vec::new();
    for number in 0..20u64 {
        let commit = match number % 4 {
            3 => {
                expected.remove(0);
                orders.delete(("a", number / 4)).await.unwrap()
            }
            _ => {
                expected.push(number as i64);
                orders.insert(&order("a", history.len() as u64 - number / 4, number as i64)).await.unwrap()
            }
        };
        history.push((commit, expected.clone()));
    }
    for (commit, expected) in history.iter().rev().chain(&history) {
        assert_eq!(totals(&db, *commit).await, *expected);
        assert_eq!(totals(&db, commit.time).await, *expected, "by the time of its record");
        let just_before = totals(&db, LogTime(commit.time.0 - 1)).await;
        assert_ne!(just_before, *expected);
        assert_eq!(db.at(commit.seq).await.unwrap().time(), commit.time);
    }
    assert_eq!(totals(&db, Seq::FIRST).await, [] as [i64; 0]);
}

#[tokio::test]
async fn a_wall_time_shows_what_was_committed_by_then() {
    let env = TokioEnvironment::new();
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    let first = orders.insert(&order("a", 1, 1)).await.unwrap();
    while bucketdb::Environment::wall_clock(&env).0 <= first.time.unix_ms() {
        tokio::task::yield_now().await;
    }
    let second = orders.insert(&order("a", 2, 2)).await.unwrap();
    assert!(second.time.unix_ms() > first.time.unix_ms());
    assert_eq!(totals(&db, WallTime(first.time.unix_ms())).await, [1]);
    assert_eq!(totals(&db, UNIX_EPOCH + Duration::from_millis(second.time.unix_ms() - 1)).await, [1]);
    assert_eq!(totals(&db, WallTime(second.time.unix_ms())).await, [1, 2]);
}

#[tokio::test]
async fn what_is_not_yet_or_was_never_cannot_be_read() {
    let store = MemoryDriver::new();
    let (db, other) = (open(store.clone()).await, on(store).staleness(Duration::from_secs(3600)).open().await.unwrap());
    let last = db.table::<Order>().await.unwrap().insert(&order("a", 1, 1)).await.unwrap();
    assert_eq!(totals(&other, last).await, [1], "a position that others have reached is not in the future");
    for point in [Point::Seq(last.seq.next()), Point::Seq(Seq(0)), Point::Time(LogTime(5)), WallTime(u64::MAX).into()] {
        let error = other.at(point.clone()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidPoint { .. }), "{point:?}: {error:?}");
    }
}

#[tokio::test]
async fn the_past_costs_one_get_for_each_record_once() {
    let store = MemoryDriver::new();
    let writer = open(store.clone()).await;
    let orders = writer.table::<Order>().await.unwrap();
    let mut commits = Vec::new();
    for number in 0..10 {
        commits.push(orders.insert(&order("a", number, 1)).await.unwrap());
    }
    let meter = metered(&store);
    let db = on(meter.clone()).staleness(Duration::from_secs(3600)).open().await.unwrap();
    db.refresh(Freshness::Strict).await.unwrap();
    let before = meter.usage();
    let present = db.snapshot().await.unwrap();
    assert_eq!(db.at(present.position()).await.unwrap().position(), commits[9].seq);
    assert_eq!((meter.usage() - before).total_requests(), 0, "the present is at hand");
    let before = meter.usage();
    assert_eq!(totals(&db, commits[4]).await.len(), 5);
    let used = meter.usage() - before;
    assert!(used.total_requests() <= commits[4].seq.0, "{}", used.total_requests());
    assert_eq!(used.requests(Operation::Get), used.total_requests());
    let before = meter.usage();
    assert_eq!(totals(&db, commits[4]).await.len(), 5);
    assert_eq!((meter.usage() - before).total_requests(), 0, "and is kept");
}

#[tokio::test]
async fn a_type_that_contradicts_the_past_is_refused() {
    let db = in_memory().await;
    let schema = Schema::open("users", "id", bucketdb::KeyType::Integer);
    db.create_collection(schema).await.unwrap();
    let error = db.snapshot().await.unwrap().table::<User>().unwrap_err();
    assert!(matches!(error, Error::Schema(_)), "{error:?}");
}

#[tokio::test]
async fn a_snapshot_lets_go_of_what_it_kept() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    users.insert(&user(1)).await.unwrap();
    let (first, second) = (db.snapshot().await.unwrap(), db.snapshot().await.unwrap());
    users.delete("u_1").await.unwrap();
    drop(first);
    assert!(second.get::<User>("u_1").await.unwrap().is_some(), "the other still reads it");
    drop(second);
    let strict = users.with_freshness(Freshness::Strict);
    assert_eq!(strict.get("u_1").await.unwrap(), None);
}

#[tokio::test]
async fn definitions_are_those_of_the_snapshot() {
    let store = MemoryDriver::new();
    let (db, other) = (open(store.clone()).await, open(store).await);
    let orders = db.table::<Order>().await.unwrap();
    orders.insert(&order("a", 1, 1)).await.unwrap();
    db.set_ttl("orders", Some("ends")).await.unwrap();
    db.collection("notes").insert(&json!({"id": 1})).await.unwrap();
    db.create_index("notes", "text desc").await.unwrap();
    let (snapshot, definitions) = db.snapshot_with_definitions().await.unwrap();
    assert_eq!(snapshot.position(), db.position());
    other.refresh(Freshness::Strict).await.unwrap();
    other.collection("notes").insert(&json!({"id": 2})).await.unwrap();
    other.create_index("notes", "id, text").await.unwrap();
    other.create_collection(Schema::open("later", "id", bucketdb::KeyType::Text)).await.unwrap();
    db.refresh(Freshness::Strict).await.unwrap();
    let found: Vec<_> = definitions.iter().map(|table| (table.name.as_str(), table.ttl.as_deref())).collect();
    assert_eq!(found, [("notes", None), ("orders", Some("ends"))]);
    let indexes: Vec<_> = definitions[0].indexes.iter().map(|index| index.fields.as_str()).collect();
    assert_eq!((indexes, definitions[1].schema.table()), (vec!["text desc"], "orders"));
    assert_eq!(
        snapshot.migration("notes").await.unwrap().documents.values().sum::<u64>(),
        1,
        "as the snapshot shows it"
    );
    assert_eq!(db.migration("notes").await.unwrap().documents.values().sum::<u64>(), 2);
}
