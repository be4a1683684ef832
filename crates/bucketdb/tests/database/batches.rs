//! Batches: all or nothing, across tables, with batches inside.

use bucketdb::{Error, MemoryDriver, Operation};
use serde_json::json;

use crate::support::{Order, User, in_memory, metered, open, order, user};

#[tokio::test]
async fn a_batch_takes_effect_as_one() {
    let store = MemoryDriver::new();
    let meter = metered(&store);
    let db = open(meter.clone()).await;
    let users = db.table::<User>().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    users.insert(&user(9)).await.unwrap();
    let before = meter.usage();
    let mut batch = db.batch();
    batch.insert(&user(1)).unwrap();
    batch.put(&order("a", 1, 5)).unwrap();
    batch.delete::<User>("u_9").unwrap();
    let commit = batch.commit().await.unwrap();
    let used = meter.usage() - before;
    assert_eq!((used.requests(Operation::Put), used.total_requests()), (1, 1));
    assert_eq!(commit.seq, db.position());
    assert_eq!(users.get("u_1").await.unwrap(), Some(user(1)));
    assert_eq!(users.get("u_9").await.unwrap(), None);
    assert_eq!(orders.get(("a", 1)).await.unwrap(), Some(order("a", 1, 5)));
}

#[tokio::test]
async fn one_refused_insert_refuses_all() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    users.insert(&user(2)).await.unwrap();
    let mut batch = db.batch();
    batch.insert(&user(1)).unwrap();
    batch.insert(&user(2)).unwrap();
    assert!(matches!(batch.commit().await, Err(Error::AlreadyExists { key, .. }) if key == "\"u_2\""));
    assert_eq!(users.get("u_1").await.unwrap(), None);
}

#[tokio::test]
async fn changes_of_a_batch_see_those_before_them() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    let mut twice = db.batch();
    twice.insert(&user(1)).unwrap();
    twice.insert(&user(1)).unwrap();
    assert!(matches!(twice.commit().await, Err(Error::AlreadyExists { .. })));
    users.insert(&user(1)).await.unwrap();
    let mut replaced = db.batch();
    replaced.delete::<User>("u_1").unwrap();
    replaced.insert(&User { age: 5, ..user(1) }).unwrap();
    replaced.commit().await.unwrap();
    assert_eq!(users.get("u_1").await.unwrap().unwrap().age, 5);
}

#[tokio::test]
async fn nested_batches_join_when_merged_and_vanish_when_dropped() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    let mut batch = db.batch();
    batch.put(&user(1)).unwrap();
    {
        let mut outer = batch.nested();
        outer.put(&user(2)).unwrap();
        {
            let mut inner = outer.nested();
            inner.put(&user(3)).unwrap();
            inner.merge();
        }
        {
            let mut dropped = outer.nested();
            dropped.put(&user(4)).unwrap();
        }
        assert_eq!(outer.len(), 2);
        outer.merge();
    }
    {
        let mut dropped = batch.nested();
        dropped.put(&user(5)).unwrap();
        let mut inner = dropped.nested();
        inner.put(&user(6)).unwrap();
        inner.merge();
    }
    batch.commit().await.unwrap();
    let mut found: Vec<_> = users.query().fetch().await.unwrap().into_iter().map(|user| user.id).collect();
    found.sort();
    assert_eq!(found, ["u_1", "u_2", "u_3"]);
}

#[tokio::test]
async fn batches_say_what_is_wrong_with_them() {
    let db = in_memory().await;
    assert!(matches!(db.batch().commit().await, Err(Error::EmptyBatch)));
    assert!(matches!(db.batch().put(&user(1)), Err(Error::UnknownTable { table }) if table == "users"));
    let notes = db.collection("notes");
    notes.put(&json!({"id": 1})).await.unwrap();
    let mut large = db.batch();
    for id in 0..9 {
        large.put_into(&notes, &json!({"id": id, "text": "x".repeat(1 << 20)})).unwrap();
    }
    let error = large.commit().await.unwrap_err();
    assert!(matches!(error, Error::BatchTooLarge { size_bytes, limit_bytes } if size_bytes > limit_bytes), "{error:?}");
    assert_eq!(notes.query().count().await.unwrap(), 1);
}

#[tokio::test]
async fn documents_that_must_exist_are_deleted_together_or_not_at_all() {
    let db = in_memory().await;
    let notes = db.collection("notes");
    for id in 1..=3 {
        notes.insert(&json!({"id": id})).await.unwrap();
    }
    for keys in [&["1", "9"][..], &["1", "1"]] {
        let mut batch = db.batch();
        for key in keys {
            batch.delete_from_by_text(&notes, key).unwrap();
        }
        assert!(matches!(batch.commit().await, Err(Error::NotFound { .. })));
        assert_eq!(notes.query().count().await.unwrap(), 3);
    }
    let mut batch = db.batch();
    batch.delete_from_by_text(&notes, "1").unwrap();
    batch.delete_from_by_text(&notes, "2").unwrap();
    assert!(matches!(batch.delete_from_by_text(&notes, "x"), Err(Error::InvalidKey { .. })));
    batch.commit().await.unwrap();
    assert_eq!(notes.query().count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_batch_may_mix_types_and_json() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    let notes = db.collection("notes");
    notes.insert(&json!({"id": "a"})).await.unwrap();
    let mut batch = db.batch();
    batch.insert(&user(1)).unwrap();
    batch.insert_into(&notes, &json!({"id": "b", "about": "u_1"})).unwrap();
    batch.commit().await.unwrap();
    assert_eq!(notes.get(&json!("b")).await.unwrap().unwrap()["about"], "u_1");
    assert!(users.get("u_1").await.unwrap().is_some());
}
