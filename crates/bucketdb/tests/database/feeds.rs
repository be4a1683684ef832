//! The change feed: every change once, in commit order, from any place.

use std::time::Duration;

use bucketdb::{ChangeKind, Cursor, Error, Feed, MemoryDriver, Previous, Since};
use serde_json::{Value, json};

use crate::support::{Order, User, in_memory, metered, open, order, user};

async fn drain<T: bucketdb::Stored + Clone>(feed: &mut Feed<T>) -> Vec<bucketdb::Change<T>> {
    let mut changes = Vec::new();
    while let Some(change) = feed.try_next().await.unwrap() {
        changes.push(change);
    }
    changes
}

#[tokio::test]
async fn a_table_is_followed_in_commit_order() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    users.insert(&user(1)).await.unwrap();
    orders.insert(&order("a", 1, 1)).await.unwrap();
    let mut batch = db.batch();
    batch.put(&user(2)).unwrap();
    batch.put(&order("a", 2, 2)).unwrap();
    batch.delete::<User>("u_1").unwrap();
    let commit = batch.commit().await.unwrap();
    let mut feed = users.watch(Since::Beginning).await.unwrap();
    let changes = drain(&mut feed).await;
    let kinds: Vec<_> = changes.iter().map(|change| change.kind.clone()).collect();
    assert_eq!(kinds, [ChangeKind::Put(user(1)), ChangeKind::Put(user(2)), ChangeKind::Delete]);
    assert_eq!(changes[2].seq, commit.seq);
    assert_eq!(changes[2].key.to_string(), "\"u_1\"");
    let mut all: Feed<Value> = db.watch(Since::Beginning).await.unwrap();
    let tables: Vec<_> = drain(&mut all).await.into_iter().map(|change| change.table).collect();
    assert_eq!(tables, ["users", "orders", "users", "orders", "users"]);
}

#[tokio::test]
async fn every_cursor_resumes_behind_its_change() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    for start in [0, 10] {
        let mut batch = db.batch();
        for number in start..start + 5 {
            batch.put(&user(number)).unwrap();
        }
        batch.commit().await.unwrap();
    }
    let changes = drain(&mut users.watch(Since::Beginning).await.unwrap()).await;
    assert_eq!(changes.len(), 10);
    for (index, change) in changes.iter().enumerate() {
        let cursor: Cursor = change.cursor.to_string().parse().unwrap();
        let rest = drain(&mut users.watch(cursor.into()).await.unwrap()).await;
        assert_eq!(rest, changes[index + 1..]);
    }
    let last = changes[9].seq;
    assert!(drain(&mut users.watch(Since::Seq(last)).await.unwrap()).await.is_empty());
    assert!(drain(&mut users.watch(Since::Now).await.unwrap()).await.is_empty());
}

#[tokio::test]
async fn changes_of_others_arrive_at_one_get_per_interval_and_own_ones_at_none() {
    let store = MemoryDriver::new();
    let meter = metered(&store);
    let follower = open(meter.clone()).await;
    let other = open(store).await;
    let users = follower.table::<User>().await.unwrap();
    let mut feed = users.watch(Since::Now).await.unwrap().interval(Duration::from_millis(20));
    let before = meter.usage();
    users.insert(&user(1)).await.unwrap();
    assert_eq!(feed.next().await.unwrap().kind, ChangeKind::Put(user(1)));
    assert_eq!((meter.usage() - before).total_requests(), 1, "the insert's own put");
    other.table::<User>().await.unwrap().insert(&user(2)).await.unwrap();
    assert_eq!(feed.next().await.unwrap().kind, ChangeKind::Put(user(2)));
}

#[tokio::test]
async fn a_cursor_from_elsewhere_is_refused() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    for text in ["2.1.0", "1.999.0"] {
        let cursor: Cursor = text.parse().unwrap();
        let error = users.watch(cursor.into()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidCursor { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_feed_reads_what_was_committed_before_it_was_opened() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let users = db.table::<User>().await.unwrap();
    for number in 0..40 {
        users.put(&user(number)).await.unwrap();
    }
    db.close().await.unwrap();
    let again = open(store).await.table::<User>().await.unwrap();
    let changes = drain(&mut again.watch(Since::Beginning).await.unwrap()).await;
    let expected: Vec<_> = (0..40).map(|number| ChangeKind::Put(user(number))).collect();
    assert_eq!(changes.into_iter().map(|change| change.kind).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_change_tells_what_was_there_before() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    let users = db.table::<User>().await.unwrap();
    orders.insert(&order("a", 1, 1)).await.unwrap();
    let mut batch = db.batch();
    batch.put(&user(7)).unwrap();
    batch.put(&order("a", 1, 2)).unwrap();
    batch.delete::<Order>(("a", 1)).unwrap();
    batch.delete::<Order>(("a", 9)).unwrap();
    batch.insert(&order("a", 1, 3)).unwrap();
    batch.commit().await.unwrap();
    let previous = |changes: Vec<bucketdb::Change<Order>>| -> Vec<_> {
        changes.into_iter().map(|change| (change.kind, change.previous)).collect()
    };
    let (absent, put, delete) = (Previous::Absent, |total| ChangeKind::Put(order("a", 1, total)), ChangeKind::Delete);
    let was = |total| Previous::Document(order("a", 1, total));
    let expected = [
        (put(1), absent.clone()),
        (put(2), was(1)),
        (delete.clone(), was(2)),
        (delete, absent.clone()),
        (put(3), absent),
    ];
    assert_eq!(previous(drain(&mut orders.watch(Since::Beginning).await.unwrap()).await), expected);
    let of_users = drain(&mut users.watch(Since::Beginning).await.unwrap()).await;
    assert_eq!(of_users[0].previous, Previous::Absent);
}

#[tokio::test]
async fn what_was_there_before_is_told_after_a_restart_and_unknown_when_it_is_long_ago() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let notes = db.collection("notes");
    notes.put(&json!({"id": 0, "text": "old"})).await.unwrap();
    notes.put(&json!({"id": 0, "text": "new"})).await.unwrap();
    let reopened = open(store.clone()).await;
    let changes = drain(&mut reopened.collection("notes").watch(Since::Beginning).await.unwrap()).await;
    assert_eq!(changes[1].previous, Previous::Document(json!({"id": 0, "text": "old"})));
    // Rows of 4 MiB, each replacing one: more than is remembered.
    let text = "x".repeat(4 << 20);
    for _ in 0..6 {
        notes.put(&json!({"id": 1, "text": text})).await.unwrap();
    }
    let changes = drain(&mut notes.watch(Since::Beginning).await.unwrap()).await;
    assert_eq!(changes[1].previous, Previous::Unknown);
    assert!(matches!(changes.last().unwrap().previous, Previous::Document(_)));
}
