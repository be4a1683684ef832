//! Writes that depend on what they replace.

use bucketdb::{Database, Error, MemoryDriver, Operation, Result, Seq};
use serde_json::json;

use crate::support::{Order, in_memory, metered, on, order};

fn assert_mismatch<T: std::fmt::Debug>(outcome: Result<T>, version: Option<Seq>) {
    let error = outcome.unwrap_err();
    assert!(matches!(&error, Error::VersionMismatch { expected, .. } if *expected == version), "{error:?}");
    assert!(!error.is_retryable(), "the same call would fail again");
}

async fn total(db: &Database) -> Option<i64> {
    db.table::<Order>().await.unwrap().get(("a", 1)).await.unwrap().map(|order| order.total)
}

#[tokio::test]
async fn a_version_that_was_replaced_can_not_be_written_or_deleted() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    let first = orders.put_if(&order("a", 1, 1), None).await.unwrap();
    assert_mismatch(orders.put_if(&order("a", 1, 2), None).await, None);
    let read = orders.get_versioned(("a", 1)).await.unwrap().unwrap();
    assert_eq!((read.version, read.document.total), (first.seq, 1));
    let second = orders.put_if(&order("a", 1, 2), read.version).await.unwrap();
    assert_mismatch(orders.put_if(&order("a", 1, 3), read.version).await, Some(first.seq));
    assert_mismatch(orders.delete_if(("a", 1), read.version).await, Some(first.seq));
    assert_eq!(total(&db).await, Some(2));
    orders.delete_if(("a", 1), second.seq).await.unwrap();
    assert_mismatch(orders.put_if(&order("a", 1, 3), second.seq).await, Some(second.seq));
    assert_eq!(orders.get_versioned(("a", 1)).await.unwrap(), None);
}

#[tokio::test]
async fn of_two_writers_of_one_version_one_wins() {
    let store = MemoryDriver::new();
    let (first, second) = (on(store.clone()).open().await.unwrap(), on(store).open().await.unwrap());
    let (mine, theirs) = (first.table::<Order>().await.unwrap(), second.table::<Order>().await.unwrap());
    let mut version = mine.insert(&order("a", 1, 0)).await.unwrap().seq;
    for round in 1..20 {
        let (one, two) = (order("a", 1, round), order("a", 1, -round));
        let outcomes = futures::join!(mine.put_if(&one, version), theirs.put_if(&two, version));
        let (won, lost) = match outcomes {
            (Ok(won), lost) | (lost, Ok(won)) => (won, lost),
            (one, two) => unreachable!("{one:?} {two:?}"),
        };
        assert_mismatch(lost, Some(version));
        version = won.seq;
    }
}

#[tokio::test]
async fn a_document_to_be_replaced_must_exist() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    assert!(matches!(orders.replace(&order("a", 1, 1)).await, Err(Error::NotFound { .. })));
    orders.insert(&order("a", 1, 1)).await.unwrap();
    orders.replace(&order("a", 1, 2)).await.unwrap();
    assert_eq!(total(&db).await, Some(2));
}

#[tokio::test]
async fn batches_have_the_same_conditions() {
    let db = in_memory().await;
    let orders = db.table::<Order>().await.unwrap();
    let version = orders.insert(&order("a", 1, 1)).await.unwrap().seq;
    let mut batch = db.batch();
    batch.put_if(&order("a", 1, 2), version).unwrap();
    batch.put_if(&order("a", 2, 2), None).unwrap();
    batch.replace(&order("a", 2, 3)).unwrap();
    let replaced = batch.commit().await.unwrap().seq;
    let mut stale = db.batch();
    stale.put(&order("a", 3, 3)).unwrap();
    stale.delete_if::<Order>(("a", 1), version).unwrap();
    assert_mismatch(stale.commit().await, Some(version));
    let mut absent = db.batch();
    absent.put(&order("a", 3, 3)).unwrap();
    absent.replace(&order("a", 9, 3)).unwrap();
    assert!(matches!(absent.commit().await, Err(Error::NotFound { .. })));
    let mut twice = db.batch();
    twice.put(&order("a", 1, 5)).unwrap();
    twice.put_if(&order("a", 1, 6), replaced).unwrap();
    assert_mismatch(twice.commit().await, Some(replaced));
    let totals: Vec<_> = orders.query().fetch().await.unwrap().into_iter().map(|order| order.total).collect();
    assert_eq!(totals, [2, 3]);
}

#[tokio::test]
async fn collections_have_the_same_conditions() {
    let db = in_memory().await;
    let notes = db.collection("notes");
    assert!(matches!(notes.replace(&json!({"id": 1})).await, Err(Error::UnknownTable { .. })));
    let first = notes.insert(&json!({"id": 1})).await.unwrap().seq;
    assert_eq!(notes.get_versioned(&json!(1)).await.unwrap().unwrap().version, first);
    let second = notes.put_if(&json!({"id": 1, "text": "x"}), first).await.unwrap().seq;
    assert_mismatch(notes.delete_if(&json!(1), first).await, Some(first));
    notes.replace(&json!({"id": 1})).await.unwrap();
    assert_mismatch(notes.delete_if(&json!(1), second).await, Some(second));
    assert!(matches!(notes.replace(&json!({"id": 2})).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_transaction_can_depend_on_what_was_read_before_it() {
    let meter = metered(&MemoryDriver::new());
    let db = on(meter.clone()).open().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    let first = orders.insert(&order("a", 1, 1)).await.unwrap().seq;
    let write = async |version: Option<Seq>| {
        db.transact(async |tx| {
            tx.expect_version::<Order>(("a", 1), version).await?;
            tx.update::<Order>(("a", 1), |order| order.total += 1).await
        })
        .await
    };
    let before = meter.usage();
    write(Some(first)).await.unwrap();
    assert_eq!(((meter.usage() - before).requests(Operation::Put)), 1);
    assert_mismatch(write(Some(first)).await, Some(first));
    assert_mismatch(write(None).await, None);
    assert_eq!(total(&db).await, Some(2));
}
