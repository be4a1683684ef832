//! Loads of more documents than fit the memory that they may use.

use std::time::Duration;

use bucketdb::{
    BulkLoad, Database, Duplicates, Environment, Error, FileDriver, LogError, MemoryDriver, Table, TokioEnvironment,
};

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

/// What is loaded, with keys that occur twice unless that is to fail.
fn repeated(duplicates: Duplicates) -> Vec<Order> {
    let numbers = shuffled(4_001).map(|number| if duplicates == Duplicates::Fail { number } else { number % 3_000 });
    numbers.zip(0..).map(|(number, place)| large(number, place)).collect()
}

/// Goes on with a load by its name, saving every so many documents, and leaves it after as many as are said.
async fn go_on(orders: &Table<Order>, duplicates: Duplicates, until: usize) -> BulkLoad {
    let documents = repeated(duplicates);
    let mut load = orders.resumable_load("nightly", duplicates).await.unwrap();
    let done = load.saved().map_or(0, |note| std::str::from_utf8(note).unwrap().parse().unwrap());
    for (place, document) in documents.iter().enumerate().take(until).skip(done) {
        if place > done && place % 700 == 0 {
            load.save(place.to_string()).await.unwrap();
        }
        load.add(document).await.unwrap();
    }
    load
}

#[tokio::test]
async fn a_load_that_was_cut_off_goes_on_from_what_was_saved() {
    for duplicates in [Duplicates::Fail, Duplicates::Skip, Duplicates::Replace] {
        let (_db, orders) = tight().await;
        let whole = go_on(&orders, duplicates, usize::MAX).await.finish().await.unwrap();
        let expected: Vec<Order> = orders.query().fetch().await.unwrap();

        let store = MemoryDriver::new();
        for until in [300, 900, 2_850, 2_860, usize::MAX] {
            let db = on(store.clone()).max_memory(8 << 20).open().await.unwrap();
            let orders = db.table::<Order>().await.unwrap();
            let load = go_on(&orders, duplicates, until).await;
            db.sweep().await.unwrap();
            db.checkpoint().await.unwrap();
            if until < usize::MAX {
                assert_eq!(count(&orders).await, (0, 0), "nothing appears before the end");
                drop(load);
                continue;
            }
            let loaded = load.finish().await.unwrap();
            assert_eq!((loaded.documents, loaded.skipped), (whole.documents, whole.skipped), "{duplicates:?}");
            assert_eq!(orders.query().fetch().await.unwrap(), expected, "{duplicates:?}");
            // Nothing is left to go on with, nor any run that belongs to nothing.
            let next = orders.resumable_load("nightly", duplicates).await.unwrap();
            assert_eq!(next.saved(), None);
            next.abort().await.unwrap();
            db.sweep().await.unwrap();
            assert_eq!(db.verify(|_| ()).await.unwrap().findings, []);
            assert_eq!(db.sweep().await.unwrap().removed, 0);
        }
    }
}

#[tokio::test]
async fn whoever_was_taken_over_from_can_neither_save_nor_finish() {
    let store = MemoryDriver::new();
    let first = on(store.clone()).max_memory(8 << 20).open().await.unwrap();
    let orders = first.table::<Order>().await.unwrap();
    let mut slow = go_on(&orders, Duplicates::Fail, 2_000).await;
    let another = go_on(&orders, Duplicates::Fail, 2_000).await;
    assert_eq!(another.saved(), Some(&b"1400"[..]));
    let ended = |error: Option<Error>| matches!(error, Some(Error::Log(LogError::IngestEnded { .. })));
    assert!(ended(slow.save("2000").await.err()));
    assert!(ended(slow.finish().await.err()));
    assert_eq!(another.finish().await.unwrap().documents, 2_000);
    assert_eq!(count(&orders).await, (2_000, (0..2_000).sum()));
    // Of the one that was left, what is not part of the other goes.
    first.sweep().await.unwrap();
    assert_eq!(first.verify(|_| ()).await.unwrap().findings, []);
}

#[tokio::test]
async fn a_name_is_of_one_load_until_it_is_given_up() {
    let (_db, orders) = tight().await;
    for name in [String::new(), "x".repeat(257)] {
        let refused = orders.resumable_load(&name, Duplicates::Fail).await;
        assert!(matches!(refused, Err(Error::Log(LogError::InvalidOption { option: "name", .. }))));
    }
    drop(go_on(&orders, Duplicates::Fail, 2_000).await);
    let refused = orders.resumable_load("nightly", Duplicates::Skip).await;
    assert!(matches!(refused, Err(Error::Log(LogError::InvalidOption { option: "name", .. }))));
    // A load that can never succeed is not gone on with.
    let mut load = orders.resumable_load("nightly", Duplicates::Fail).await.unwrap();
    assert_eq!(load.saved(), Some(&b"1400"[..]));
    load.add(&repeated(Duplicates::Fail)[0]).await.unwrap();
    assert!(load.finish().await.is_err(), "it was added before it was saved");
    let load = orders.resumable_load("nightly", Duplicates::Skip).await.unwrap();
    assert_eq!(load.saved(), None);
    load.abort().await.unwrap();
}

#[tokio::test]
async fn what_others_wrote_while_a_load_was_cut_off_is_heeded() {
    for (duplicates, key, passes) in [
        (Duplicates::Fail, 1, false),
        (Duplicates::Skip, 1, false),
        (Duplicates::Replace, 1, true),
        (Duplicates::Fail, 1_000_000, true),
        (Duplicates::Skip, 1_000_000, true),
    ] {
        let store = MemoryDriver::new();
        for is_second in [false, true] {
            let db = on(store.clone()).max_memory(8 << 20).open().await.unwrap();
            let orders = db.table::<Order>().await.unwrap();
            if !is_second {
                let mut load = orders.resumable_load("nightly", duplicates).await.unwrap();
                for number in 0..500 {
                    load.add(&large(number, 1)).await.unwrap();
                }
                load.save("500").await.unwrap();
                drop(load);
                orders.put(&large(key, 2)).await.unwrap();
                db.checkpoint().await.unwrap();
                continue;
            }
            match orders.resumable_load("nightly", duplicates).await {
                Ok(load) => {
                    assert!(passes, "{duplicates:?}");
                    load.finish().await.unwrap();
                    let more = i64::from(key > 500);
                    assert_eq!(count(&orders).await, (500 + more as usize, 500 + 2 * more));
                }
                Err(error) => {
                    assert!(!passes && matches!(error, Error::Conflict { .. }), "{error}");
                    assert_eq!(count(&orders).await, (1, 2));
                    let load = orders.resumable_load("nightly", duplicates).await.unwrap();
                    assert_eq!(load.saved(), None, "what can never succeed is not gone on with");
                    load.abort().await.unwrap();
                }
            }
        }
    }
}
