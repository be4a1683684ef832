//! Loads of more documents than fit the memory that they may use.

use std::time::Duration;

use bucketdb::{Database, Duplicates, Environment, Error, FileDriver, MemoryDriver, Table, TokioEnvironment};

use crate::support::{Order, on, order};

/// Enough for 25 buffers and more with the least memory that a database takes.
const DOCUMENTS: u64 = 30_000;

/// As a document of one kilobyte, whose number says where it stands in the load.
fn large(number: u64, place: i64) -> Order {
    order(&format!("{:0>800}", number % 7), number, place)
}

/// Numbers in an order that is not theirs, each once.
fn shuffled(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |number| number * 7_919 % count)
}

async fn tight() -> (Database, Table<Order>) {
    let db = on(MemoryDriver::new()).max_memory(8 << 20).open().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    (db, orders)
}

/// How many documents there are, and the sum of their places.
async fn count(orders: &Table<Order>) -> (usize, i64) {
    let all: Vec<Order> = orders.query().fetch().await.unwrap();
    assert!(all.is_sorted_by(|one, next| (&one.shop, one.number) < (&next.shop, next.number)));
    (all.len(), all.iter().map(|order| order.total).sum())
}

#[tokio::test]
async fn documents_in_any_order_are_merged() {
    let (db, orders) = tight().await;
    let mut load = orders.bulk_load(Duplicates::Fail).await.unwrap();
    for (place, number) in (0..).zip(shuffled(DOCUMENTS)) {
        load.add(&large(number, place)).await.unwrap();
    }
    let loaded = load.finish().await.unwrap();
    assert_eq!((loaded.documents, loaded.skipped), (DOCUMENTS, 0));
    let all = (0..DOCUMENTS as i64).sum();
    assert_eq!(count(&orders).await, (DOCUMENTS as usize, all));
    let stats = db.stats().unwrap();
    assert_eq!(stats.tables[0].stats.documents, DOCUMENTS, "they are one tier, and counted for sure");
    assert_eq!(orders.get((format!("{:0>800}", 3), 10)).await.unwrap().map(|order| order.number), Some(10));
    assert_eq!(db.verify(|_| ()).await.unwrap().findings, []);
}

#[tokio::test]
async fn of_one_key_the_first_or_the_last_counts_however_far_they_are_apart() {
    const HALF: u64 = DOCUMENTS / 2;
    for duplicates in [Duplicates::Skip, Duplicates::Replace] {
        let (_db, orders) = tight().await;
        let mut load = orders.bulk_load(duplicates).await.unwrap();
        let rounds = [0, 1].into_iter().flat_map(|_| shuffled(HALF));
        for (place, number) in (0..).zip(rounds) {
            load.add(&large(number, place)).await.unwrap();
        }
        let loaded = load.finish().await.unwrap();
        let (first, once) = (HALF as i64, HALF as usize);
        if duplicates == Duplicates::Skip {
            assert_eq!((loaded.documents, loaded.skipped), (HALF, HALF));
            assert_eq!(count(&orders).await, (once, (0..first).sum()));
        } else {
            assert_eq!((loaded.documents, loaded.skipped), (2 * HALF, 0));
            assert_eq!(count(&orders).await, (once, (first..2 * first).sum()));
        }
    }
}

#[tokio::test]
async fn a_load_that_failed_goes_on_failing_and_nothing_of_it_appears() {
    let (_db, orders) = tight().await;
    orders.put(&large(11, 5)).await.unwrap();
    let mut load = orders.bulk_load(Duplicates::Fail).await.unwrap();
    let mut failed = None;
    for number in 0..DOCUMENTS {
        let added = load.add(&large(number, 0)).await;
        match (&failed, added) {
            (None, Ok(())) => {}
            (_, Err(error)) => failed = Some(error),
            (Some(_), Ok(())) => panic!("it took more"),
        }
    }
    assert!(matches!(failed, Some(Error::AlreadyExists { .. })), "it is told before the end: {failed:?}");
    assert!(matches!(load.finish().await, Err(Error::AlreadyExists { .. })));
    assert_eq!(count(&orders).await, (1, 5));
}

#[tokio::test]
async fn a_document_that_cannot_be_stored_stops_no_others() {
    let (_db, orders) = tight().await;
    let mut load = orders.bulk_load(Duplicates::Fail).await.unwrap();
    load.add(&order("a", 1, 1)).await.unwrap();
    let refused = load.add(&order(&"x".repeat(5_000), 2, 2)).await;
    assert!(matches!(refused, Err(Error::InvalidKey { .. })), "{refused:?}");
    load.add(&order("a", 3, 3)).await.unwrap();
    assert_eq!(load.finish().await.unwrap().documents, 2);
    assert_eq!(count(&orders).await, (2, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_leaves_nothing() {
    let env = TokioEnvironment::new();
    for is_dropped in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let driver = FileDriver::new(folder.path()).unwrap();
        let db = on(driver).max_memory(8 << 20).open().await.unwrap();
        let orders = db.table::<Order>().await.unwrap();
        orders.put(&large(0, 1)).await.unwrap();
        for _ in 0..2 {
            let mut load = orders.bulk_load(Duplicates::Replace).await.unwrap();
            for number in shuffled(6_000) {
                load.add(&large(number, 2)).await.unwrap();
            }
            if is_dropped {
                let position = db.position();
                drop(load);
                for _ in 0..1_000 {
                    if db.position() > position {
                        break;
                    }
                    env.sleep(Duration::from_millis(10)).await;
                }
                assert!(db.position() > position, "a record says that it was given up");
            } else {
                load.abort().await.unwrap();
            }
        }
        // A load that lasts keeps a sweep from all that came behind its beginning.
        db.sweep().await.unwrap();
        let runs = folder.path().join("db/run");
        let runs = if runs.exists() { std::fs::read_dir(runs).unwrap().count() } else { 0 };
        assert_eq!(runs, 0);
        assert_eq!(count(&orders).await, (1, 1));
    }
}
