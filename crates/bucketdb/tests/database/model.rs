//! The whole database against a plain map: random changes by two openings, read back by each and by a third.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use bucketdb::{Database, Duplicates, Error, MemoryDriver, Seq, Snapshot, Table};
use proptest::prelude::*;

use crate::support::{Order, on, open, order};

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, i64),
    Put(u64, i64),
    Update(u64, i64),
    Delete(u64),
    Batch(Vec<(u64, Option<i64>)>),
    /// As many at once as a bulk load, which heeds or replaces what is there.
    Load(Vec<(u64, i64)>, Duplicates),
    /// What is in memory goes into a run.
    Checkpoint,
    /// All runs become one.
    Compact,
    /// A reader stays at this moment.
    Hold,
    /// One of them goes.
    Release(prop::sample::Index),
    /// A moment of the past is looked at.
    LookBack(prop::sample::Index),
    /// The process starts again.
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    let number = 0u64..8;
    prop_oneof![
        (number.clone(), any::<i64>()).prop_map(|(number, total)| Step::Insert(number, total)),
        (number.clone(), any::<i64>()).prop_map(|(number, total)| Step::Put(number, total)),
        (number.clone(), any::<i64>()).prop_map(|(number, total)| Step::Update(number, total)),
        number.clone().prop_map(Step::Delete),
        prop::collection::vec((number.clone(), any::<Option<i64>>()), 1..5).prop_map(Step::Batch),
        (prop::collection::vec((number, any::<i64>()), 0..5), any_duplicates())
            .prop_map(|(documents, duplicates)| Step::Load(documents, duplicates)),
        Just(Step::Checkpoint),
        Just(Step::Compact),
        Just(Step::Hold),
        any::<prop::sample::Index>().prop_map(Step::Release),
        any::<prop::sample::Index>().prop_map(Step::LookBack),
        Just(Step::Reopen),
    ]
}

fn any_duplicates() -> impl Strategy<Value = Duplicates> {
    prop_oneof![Just(Duplicates::Fail), Just(Duplicates::Skip), Just(Duplicates::Replace)]
}

type Model = BTreeMap<u64, i64>;

async fn handle(store: &MemoryDriver) -> (Database, Table<Order>) {
    let db = on(store.clone()).staleness(Duration::ZERO).open().await.unwrap();
    let orders = db.table::<Order>().await.unwrap();
    (db, orders)
}

async fn run(steps: Vec<(bool, Step)>) {
    let store = MemoryDriver::new();
    let mut handles = vec![handle(&store).await, handle(&store).await];
    let mut model = Model::new();
    let mut held: Vec<(Snapshot, Model)> = Vec::new();
    let mut past: Vec<(Seq, Model)> = Vec::new();
    for (second, step) in steps {
        let (db, orders) = &handles[usize::from(second)];
        match step {
            Step::Insert(number, total) => {
                let outcome = orders.insert(&order("a", number, total)).await;
                match model.entry(number) {
                    Entry::Occupied(_) => assert!(matches!(outcome, Err(Error::AlreadyExists { .. })), "{outcome:?}"),
                    Entry::Vacant(vacant) => {
                        outcome.unwrap();
                        vacant.insert(total);
                    }
                }
            }
            Step::Put(number, total) => {
                orders.put(&order("a", number, total)).await.unwrap();
                model.insert(number, total);
            }
            Step::Update(number, total) => {
                let outcome = orders.update(("a", number), |order| order.total = total).await;
                match model.get_mut(&number) {
                    Some(known) => *known = outcome.unwrap().total,
                    None => assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}"),
                }
            }
            Step::Delete(number) => {
                orders.delete(("a", number)).await.unwrap();
                model.remove(&number);
            }
            Step::Batch(changes) => {
                let mut batch = db.batch();
                for (number, total) in changes {
                    match total {
                        Some(total) => {
                            batch.put(&order("a", number, total)).unwrap();
                            model.insert(number, total);
                        }
                        None => {
                            batch.delete::<Order>(("a", number)).unwrap();
                            model.remove(&number);
                        }
                    }
                }
                batch.commit().await.unwrap();
            }
            Step::Load(documents, duplicates) => load(orders, documents, duplicates, &mut model).await,
            Step::Checkpoint => db.checkpoint().await.unwrap(),
            Step::Compact => {
                db.compact().await.unwrap();
            }
            Step::Hold => held.push((db.snapshot().await.unwrap(), model.clone())),
            Step::Release(which) => {
                if !held.is_empty() {
                    held.swap_remove(which.index(held.len()));
                }
            }
            Step::LookBack(which) => {
                if !past.is_empty() {
                    let (seq, model) = which.get(&past);
                    check_snapshot(&db.at(*seq).await.unwrap(), model).await;
                }
            }
            Step::Reopen => handles[usize::from(second)] = handle(&store).await,
        }
        for (_, orders) in &handles {
            check(orders, &model).await;
        }
        for (snapshot, model) in &held {
            check_snapshot(snapshot, model).await;
        }
        past.push((handles[usize::from(second)].0.position(), model.clone()));
    }
    let db = open(store).await;
    check(&db.table::<Order>().await.unwrap(), &model).await;
    for (seq, model) in past {
        check_snapshot(&db.at(seq).await.unwrap(), &model).await;
    }
    let verification = db.verify(|_| ()).await.unwrap();
    assert_eq!(verification.findings, [], "everything is as it was written");
}

async fn load(orders: &Table<Order>, documents: Vec<(u64, i64)>, duplicates: Duplicates, model: &mut Model) {
    let mut loaded = model.clone();
    let mut fails = false;
    let mut load = orders.bulk_load(duplicates).await.unwrap();
    for (number, total) in documents {
        let is_known = loaded.contains_key(&number);
        let outcome = load.add(&order("a", number, total)).await;
        match duplicates {
            Duplicates::Fail if is_known => fails = true,
            Duplicates::Skip if is_known => {}
            _ => {
                loaded.insert(number, total);
            }
        }
        if let Err(error) = outcome {
            assert!(fails && matches!(error, Error::AlreadyExists { .. }), "{error}");
            return;
        }
    }
    match load.finish().await {
        Ok(_) => {
            assert!(!fails, "a key that is there already was to be an error");
            *model = loaded;
        }
        Err(error) => assert!(fails && matches!(error, Error::AlreadyExists { .. }), "{error}"),
    }
}

async fn check_snapshot(snapshot: &Snapshot, model: &Model) {
    let orders = snapshot.table::<Order>().unwrap();
    let found: Vec<Order> = orders.query().fetch().await.unwrap();
    let expected: Vec<Order> = model.iter().map(|(number, total)| order("a", *number, *total)).collect();
    assert_eq!(found, expected, "at position {}", snapshot.position());
    for number in 0..8 {
        let found = orders.get(("a", number)).await.unwrap().map(|order| order.total);
        assert_eq!(found, model.get(&number).copied());
    }
}

async fn check(orders: &Table<Order>, model: &Model) {
    let found: Vec<Order> = orders.query().fetch().await.unwrap();
    let expected: Vec<Order> = model.iter().map(|(number, total)| order("a", *number, *total)).collect();
    assert_eq!(found, expected);
    for number in 0..8 {
        let found = orders.get(("a", number)).await.unwrap().map(|order| order.total);
        assert_eq!(found, model.get(&number).copied());
    }
}

proptest! {
    #![proptest_config(crate::support::cases(64))]

    #[test]
    fn the_database_does_what_a_map_does(steps in prop::collection::vec((any::<bool>(), any_step()), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
