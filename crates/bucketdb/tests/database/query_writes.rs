//! Writes to all documents that a query finds, and patches.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use bucketdb::{Database, Document, Error, Filter, Freshness, MemoryDriver, Operation};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Order, User, in_memory, metered, open, order, user};

async fn with_orders(count: u64) -> Database {
    let db = in_memory().await;
    db.table::<Order>().await.unwrap();
    let mut batch = db.batch();
    for number in 1..=count {
        batch.insert(&order("a", number, number as i64)).unwrap();
    }
    batch.commit().await.unwrap();
    db
}

async fn totals(db: &Database) -> Vec<(u64, i64)> {
    let found = db.table::<Order>().await.unwrap().query().fetch().await.unwrap();
    found.into_iter().map(|order| (order.number, order.total)).collect()
}

#[tokio::test]
async fn what_a_query_finds_is_removed_order_and_limit_heeded() {
    let db = with_orders(9).await;
    let orders = db.table::<Order>().await.unwrap();
    let removed = orders.query().order_by(Order::TOTAL.desc()).offset(1).limit(3).delete().await.unwrap();
    assert_eq!(removed, 3);
    let left: Vec<u64> = totals(&db).await.into_iter().map(|(number, _)| number).collect();
    assert_eq!(left, [1, 2, 3, 4, 5, 9]);
    assert_eq!(orders.query().keys(("a", 2)..("a", 4)).delete().await.unwrap(), 2);
    assert_eq!(orders.query().filter(Order::TOTAL.gt(100)).delete().await.unwrap(), 0);
    assert_eq!(orders.query().filter(Order::TOTAL.gt(1)).in_pieces().delete().await.unwrap(), 3);
    assert_eq!(totals(&db).await, [(1, 1)]);
    assert_eq!(orders.query().filter_by(|order| order.total > 1).in_pieces().delete().await.unwrap(), 0);
    assert_eq!(orders.query().filter_by(|order| order.total == 1).delete().await.unwrap(), 1);
    assert_eq!(db.collection("never").query().delete().await.unwrap(), 0);
}

#[tokio::test]
async fn documents_are_changed_by_closure_and_by_patch() {
    let db = with_orders(5).await;
    let orders = db.table::<Order>().await.unwrap();
    assert_eq!(orders.query().filter(Order::TOTAL.ge(4)).update(|order| order.total *= 10).await.unwrap(), 2);
    assert_eq!(orders.query().filter(Order::TOTAL.lt(3)).patch(&json!({"total": 0})).await.unwrap(), 2);
    assert_eq!(totals(&db).await, [(1, 0), (2, 0), (3, 3), (4, 40), (5, 50)]);

    // As JSON, in the same table.
    let values = db.collection("orders");
    let filter: Filter = "total = 0".parse().unwrap();
    let note = |order: &mut Value| order["note"] = json!("none");
    assert_eq!(values.query().filter(filter).update(note).await.unwrap(), 2);
    assert_eq!(values.query().in_pieces().patch(&json!({"note": null, "total": 1})).await.unwrap(), 5);
    assert_eq!(totals(&db).await, (1..=5).map(|number| (number, 1)).collect::<Vec<_>>());
    let documents = values.query().fetch().await.unwrap();
    assert!(documents.iter().all(|document| document.get("note").is_none()), "{documents:?}");
}

#[tokio::test]
async fn their_futures_can_go_to_another_thread() {
    fn sent<F: Future + Send>(future: F) -> F {
        future
    }
    let db = with_orders(3).await;
    let work = async move {
        let orders = db.table::<Order>().await?;
        orders.query().update(|order| order.total += 1).await?;
        orders.query().in_pieces().patch(&json!({"total": 1})).await?;
        orders.upsert(("a", 9), |_| order("a", 9, 9)).await?;
        orders.patch(("a", 9), &json!({"total": 8})).await?;
        orders.query().delete().await
    };
    assert_eq!(sent(work).await.unwrap(), 4);
}

#[tokio::test]
async fn an_order_is_that_in_which_the_closure_sees_documents() {
    let db = with_orders(4).await;
    let orders = db.table::<Order>().await.unwrap();
    let mut place = 0;
    let renumber = |order: &mut Order| {
        place += 100;
        order.total = place;
    };
    orders.query().order_by(Order::TOTAL.desc()).update(renumber).await.unwrap();
    assert_eq!(totals(&db).await, [(1, 400), (2, 300), (3, 200), (4, 100)]);
}

#[tokio::test]
async fn what_cannot_be_written_leaves_everything_as_it_was() {
    let db = with_orders(3).await;
    let orders = db.table::<Order>().await.unwrap();
    let before = totals(&db).await;
    let error = orders.query().update(|order| order.number += 1).await.unwrap_err();
    assert!(matches!(error, Error::InvalidKey { .. }), "{error}");
    let error = orders.query().patch(&json!({"number": 7})).await.unwrap_err();
    assert!(matches!(error, Error::InvalidKey { .. }), "{error}");
    let error = orders.query().patch(&json!({"total": "much"})).await.unwrap_err();
    assert!(matches!(error, Error::InvalidDocument { .. }), "{error}");
    let error = orders.query().patch(&json!(7)).await.unwrap_err();
    assert!(error.to_string().contains("a patch is a JSON object"), "{error}");
    let error = db.snapshot().await.unwrap().table::<Order>().unwrap().query().delete().await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly), "{error}");

    #[derive(Debug)]
    enum Refused {
        Odd(u64),
        Database(Error),
    }
    impl From<Error> for Refused {
        fn from(error: Error) -> Self {
            Self::Database(error)
        }
    }
    let refuse_odd = |order: &mut Order| {
        order.total = 0;
        if order.number == 3 { Err(Refused::Odd(order.number)) } else { Ok(()) }
    };
    let refused = orders.query().try_update(refuse_odd).await.unwrap_err();
    assert!(matches!(refused, Refused::Odd(3)), "{refused:?}");
    assert_eq!(totals(&db).await, before);

    // In a transaction that goes on after such an error, too.
    db.transact(async |tx| {
        assert!(tx.query::<Order>()?.try_update(refuse_odd).await.is_err());
        tx.put(&order("b", 1, 1))?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(totals(&db).await, [before, vec![(1, 1)]].concat());
    let refused: Error = Refused::Database(Error::ReadOnly).into();
    assert!(matches!(refused, Error::ReadOnly));

    impl From<Refused> for Error {
        fn from(refused: Refused) -> Self {
            match refused {
                Refused::Database(error) => error,
                Refused::Odd(_) => Self::EmptyBatch,
            }
        }
    }
}

#[tokio::test]
async fn a_unique_index_is_heeded() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    for number in 0..4 {
        users.insert(&user(number)).await.unwrap();
    }
    users.create_unique_index("email").await.unwrap();
    let error = users.query().patch(&json!({"email": "same"})).await.unwrap_err();
    assert!(matches!(error, Error::UniqueViolation { .. }), "{error}");
    assert_eq!(users.query().filter(User::EMAIL.eq("same")).count().await.unwrap(), 0);
    assert_eq!(users.query().limit(1).patch(&json!({"email": "same"})).await.unwrap(), 1);
}

#[tokio::test]
async fn it_is_one_commit_and_what_is_too_much_for_one_is_refused_or_done_in_pieces() {
    let store = metered(&MemoryDriver::new());
    let db = open(store.clone()).await;
    let notes = db.collection("notes");
    let text = "x".repeat(10_000);
    for part in 0..5 {
        let mut batch = db.batch();
        if part == 0 {
            notes.put(&json!({"id": 0, "text": text, "tries": 0})).await.unwrap();
        }
        for id in part * 500..(part + 1) * 500 {
            batch.put_into(&notes, &json!({"id": id, "text": text, "tries": 0})).unwrap();
        }
        batch.commit().await.unwrap();
    }
    let error = notes.query().patch(&json!({"tries": 1})).await.unwrap_err();
    assert!(matches!(&error, Error::WriteTooLarge { table, .. } if table == "notes"), "{error}");
    let tried = notes.query().filter_text("tries > 0").unwrap();
    assert_eq!(tried.clone().count().await.unwrap(), 0);

    // Every document once, though all match again behind it.
    let count = |note: &mut Value| note["tries"] = json!(note["tries"].as_u64().unwrap() + 1);
    let written = notes.query().filter_text("tries >= 0").unwrap().in_pieces().update(count).await.unwrap();
    assert_eq!(written, 2_500);
    assert_eq!(notes.query().filter_text("tries = 1").unwrap().count().await.unwrap(), 2_500);
    // A document that grows beyond what a piece expects.
    let grow = |note: &mut Value| note["text"] = json!("y".repeat(100_000));
    assert_eq!(notes.query().limit(200).in_pieces().update(grow).await.unwrap(), 200);

    let before = store.usage().requests(Operation::Put);
    assert_eq!(notes.query().delete().await.unwrap(), 2_500);
    assert_eq!(notes.query().count().await.unwrap(), 0);
    assert!(store.usage().requests(Operation::Put) - before <= 5, "one commit, and maybe a checkpoint");
}

// The closure waits for a commit, which needs another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_leaves_out_what_does_not_match_any_more() {
    let db = with_orders(4).await;
    let orders = db.table::<Order>().await.unwrap();
    let other = orders.clone();
    // The closure of the first document sees to it that another one has changed before its turn in a second attempt.
    let (runs, meddled) = (AtomicU32::new(0), Mutex::new(false));
    let written = orders
        .query()
        .filter(Order::TOTAL.le(4))
        .in_pieces()
        .update(|order| {
            runs.fetch_add(1, Ordering::Relaxed);
            order.total += 10;
            if !std::mem::replace(&mut *meddled.lock().unwrap(), true) {
                let other = other.clone();
                let meddle = async move { other.put(&crate::support::order("a", 4, 100)).await.unwrap() };
                std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(meddle)).join().unwrap();
            }
        })
        .await
        .unwrap();
    assert_eq!((written, totals(&db).await), (3, vec![(1, 11), (2, 12), (3, 13), (4, 100)]));
    assert!(runs.load(Ordering::Relaxed) > 3, "the piece met a conflict and ran again");
}

#[tokio::test]
async fn a_transaction_takes_them_in() {
    let db = with_orders(4).await;
    db.transact(async |tx| {
        tx.put(&order("a", 5, 5))?;
        assert_eq!(tx.query::<Order>()?.filter(Order::TOTAL.ge(4)).delete().await?, 2);
        assert_eq!(tx.query::<Order>()?.patch(&json!({"total": 7})).await?, 3);
        assert_eq!(tx.query::<Order>()?.filter(Order::TOTAL.eq(7)).count().await?, 3);
        let patched: Order = tx.patch(("a", 1), &json!({"total": 8})).await?;
        assert_eq!(patched.total, 8);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(totals(&db).await, [(1, 8), (2, 7), (3, 7)]);
    let dropped = db.transact(async |tx| {
        tx.query::<Order>()?.delete().await?;
        Err::<(), _>(Error::EmptyBatch)
    });
    dropped.await.unwrap_err();
    assert_eq!(totals(&db).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_by_query_lose_nothing_when_they_meet() {
    let store = MemoryDriver::new();
    let (first, second) = (open(store.clone()).await, open(store).await);
    let orders = first.table::<Order>().await.unwrap();
    for number in 0..20 {
        orders.insert(&order("a", number, 0)).await.unwrap();
    }
    second.table::<Order>().await.unwrap();
    let add = async |db: Database, in_pieces: bool| {
        for _ in 0..10 {
            let orders = db.table::<Order>().await.unwrap();
            let query = if in_pieces { orders.query().in_pieces() } else { orders.query() };
            assert_eq!(query.freshness(Freshness::Strict).update(|order| order.total += 1).await.unwrap(), 20);
        }
    };
    tokio::join!(add(first.clone(), false), add(second, true), add(first.clone(), true));
    first.refresh(Freshness::Strict).await.unwrap();
    assert!(totals(&first).await.iter().all(|(_, total)| *total == 30), "{:?}", totals(&first).await);
}

/// What a field can hold that JSON has no place for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "readings")]
struct Reading {
    #[document(key)]
    id: u64,
    highest: Option<f64>,
    by_hour: BTreeMap<u8, f64>,
    total: u128,
    address: std::net::IpAddr,
    raw: Raw,
    note: String,
}

/// Written as bytes.
#[derive(Clone, Debug, PartialEq)]
struct Raw(Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesOnly;
        impl serde::de::Visitor<'_> for BytesOnly {
            type Value = Raw;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Raw, E> {
                Ok(Raw(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(BytesOnly)
    }
}

#[tokio::test]
async fn a_patch_keeps_all_of_the_fields_that_it_does_not_name() {
    let db = in_memory().await;
    let readings = db.table::<Reading>().await.unwrap();
    let mut reading = Reading {
        id: 1,
        highest: Some(f64::INFINITY),
        by_hour: BTreeMap::from([(7, 0.5), (8, f64::NEG_INFINITY)]),
        total: u128::MAX - 1,
        address: [10, 0, 0, 1].into(),
        raw: Raw(vec![0, 255, 7]),
        note: "as written".to_owned(),
    };
    readings.insert(&reading).await.unwrap();
    let mut check = async |note: &str| {
        reading.note = note.to_owned();
        assert_eq!(readings.get(1).await.unwrap().as_ref(), Some(&reading));
        reading.clone()
    };
    let patched = readings.patch(1, &json!({"note": "alone"})).await.unwrap();
    assert_eq!(patched, check("alone").await);
    assert_eq!(readings.query().patch(&json!({"note": "by query"})).await.unwrap(), 1);
    check("by query").await;
    let patched: Reading =
        db.transact(async |tx| tx.patch(1, &json!({"note": "in a transaction"})).await).await.unwrap();
    assert_eq!(patched, check("in a transaction").await);
    db.collection("readings").patch(&json!(1), &json!({"note": "as JSON"})).await.unwrap();
    check("as JSON").await;
    // Inside a field that is named, too.
    let patched = readings.patch(1, &json!({"by_hour": {"7": 1.5}})).await.unwrap();
    assert_eq!(patched.by_hour, BTreeMap::from([(7, 1.5), (8, f64::NEG_INFINITY)]));
}

#[tokio::test]
async fn one_document_is_patched_or_refused() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    users.insert(&user(2)).await.unwrap();
    let patched = users.patch("u_2", &json!({"age": 50, "address": {"city": "Bern"}})).await.unwrap();
    assert_eq!(patched, User { age: 50, address: Some(crate::support::Address { city: "Bern".into() }), ..user(2) });
    assert_eq!(users.get("u_2").await.unwrap(), Some(patched));
    assert_eq!(users.patch("u_2", &json!({"address": null})).await.unwrap().address, None);
    for (patch, reason) in [
        (json!({"age": 300}), "300"),
        (json!({"role": null}), "role"),
        (json!({"id": "other"}), "changed the key"),
        (json!({"id": null}), "missing"),
        (json!([1]), "a patch is a JSON object"),
    ] {
        let error = users.patch("u_2", &patch).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(matches!(users.patch("u_9", &json!({})).await, Err(Error::NotFound { .. })));

    let values = db.collection("users");
    let patched = values.patch(&json!("u_2"), &json!({"more": {"a": 1, "b": 2}})).await.unwrap();
    assert_eq!(patched["more"], json!({"a": 1, "b": 2}));
    let patched = values.patch_by_text("u_2", &json!({"more": {"a": null}})).await.unwrap();
    assert_eq!(patched["more"], json!({"b": 2}));
    assert!(matches!(db.collection("x").patch(&json!(1), &json!({})).await, Err(Error::NotFound { .. })));
    let patched = db.transact(async |tx| tx.patch_value(&values, &json!("u_2"), &json!({"age": 1})).await);
    assert_eq!(patched.await.unwrap()["age"], 1);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "counters")]
struct Counter {
    #[document(key)]
    id: String,
    count: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upsert_begins_with_what_there_is() {
    let store = MemoryDriver::new();
    let (first, second) = (open(store.clone()).await, open(store).await);
    let add = async |db: Database| {
        let counters = db.table::<Counter>().await.unwrap();
        let more = |found: Option<Counter>| Counter {
            id: "a".to_owned(),
            count: found.map_or(0, |counter| counter.count) + 1,
        };
        for _ in 0..20 {
            counters.upsert("a", more).await.unwrap();
        }
    };
    tokio::join!(add(first.clone()), add(second));
    let counters = first.table::<Counter>().await.unwrap().with_freshness(Freshness::Strict);
    assert_eq!(counters.get("a").await.unwrap().unwrap().count, 40);
    let other = counters.upsert("b", |_| Counter { id: "c".to_owned(), count: 1 }).await.unwrap_err();
    assert!(matches!(other, Error::InvalidKey { .. }), "{other}");

    let visits = first.collection("visits");
    let add = |found: Option<Value>| json!({"id": 1, "n": found.map_or(1, |found| found["n"].as_u64().unwrap() + 1)});
    assert_eq!(visits.upsert(&json!(1), add).await.unwrap()["n"], 1);
    assert_eq!(visits.upsert(&json!(1), add).await.unwrap()["n"], 2);
}

#[derive(Clone, Debug)]
enum Step {
    Delete,
    Add(i64),
    Set(i64),
}

proptest! {
    #![proptest_config(crate::support::cases(24))]
    #[test]
    fn a_write_by_query_is_what_a_model_makes_of_it(
        steps in prop::collection::vec(
            (prop_oneof![Just(Step::Delete), (1..5i64).prop_map(Step::Add), (0..9i64).prop_map(Step::Set)],
             0..9i64, prop::option::of(0..6usize), 0..3usize, any::<bool>(), any::<bool>(), any::<bool>()),
            1..8,
        ),
        indexed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = with_orders(8).await;
            let orders = db.table::<Order>().await.unwrap();
            if indexed {
                orders.create_index("total").await.unwrap();
            }
            let mut model: BTreeMap<u64, i64> = (1..=8).map(|number| (number, number as i64)).collect();
            for (step, least, limit, offset, descends, in_pieces, joins) in steps {
                let mut wanted: Vec<(u64, i64)> =
                    model.iter().filter(|(_, total)| **total >= least).map(|(number, total)| (*number, *total)).collect();
                wanted.sort_by_key(|(number, total)| (if descends { -total } else { *total }, *number));
                let wanted = wanted.into_iter().skip(offset).take(limit.unwrap_or(usize::MAX));
                let mut expected = 0;
                for (number, total) in wanted {
                    expected += 1;
                    match step {
                        Step::Delete => drop(model.remove(&number)),
                        Step::Add(more) => drop(model.insert(number, total + more)),
                        Step::Set(value) => drop(model.insert(number, value)),
                    }
                }
                let asked = |query: bucketdb::Query<Order>| {
                    let order = if descends { Order::TOTAL.desc() } else { Order::TOTAL.asc() };
                    let query = query.filter(Order::TOTAL.ge(least)).order_by(order).offset(offset);
                    let query = if in_pieces { query.in_pieces() } else { query };
                    match limit {
                        Some(limit) => query.limit(limit),
                        None => query,
                    }
                };
                let run = async |query: bucketdb::Query<Order>| match step {
                    Step::Delete => query.delete().await,
                    Step::Add(more) => query.update(|order| order.total += more).await,
                    Step::Set(value) => query.patch(&json!({"total": value})).await,
                };
                let written = if joins {
                    db.transact(async |tx| run(asked(tx.query::<Order>()?)).await).await.unwrap()
                } else {
                    run(asked(orders.query())).await.unwrap()
                };
                assert_eq!(written, expected);
                assert_eq!(totals(&db).await, model.clone().into_iter().collect::<Vec<_>>());
            }
        });
    }
}
