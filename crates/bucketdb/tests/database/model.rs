//! The whole database against a plain map: random changes by two openings, read back by each and by a third.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use bucketdb::{Error, MemoryDriver};
use proptest::prelude::*;

use crate::support::{Order, on, open, order};

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, i64),
    Put(u64, i64),
    Update(u64, i64),
    Delete(u64),
    Batch(Vec<(u64, Option<i64>)>),
}

fn any_step() -> impl Strategy<Value = Step> {
    let number = 0u64..8;
    prop_oneof![
        (number.clone(), any::<i64>()).prop_map(|(number, total)| Step::Insert(number, total)),
        (number.clone(), any::<i64>()).prop_map(|(number, total)| Step::Put(number, total)),
        (number.clone(), any::<i64>()).prop_map(|(number, total)| Step::Update(number, total)),
        number.clone().prop_map(Step::Delete),
        prop::collection::vec((number, any::<Option<i64>>()), 1..5).prop_map(Step::Batch),
    ]
}

async fn run(steps: Vec<(bool, Step)>) {
    let store = MemoryDriver::new();
    let mut handles = Vec::new();
    for _ in 0..2 {
        let db = on(store.clone()).staleness(Duration::ZERO).open().await.unwrap();
        let orders = db.table::<Order>().await.unwrap();
        handles.push((db, orders));
    }
    let mut model = BTreeMap::new();
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
        }
        for (_, orders) in &handles {
            check(orders, &model).await;
        }
    }
    check(&open(store).await.table::<Order>().await.unwrap(), &model).await;
}

async fn check(orders: &bucketdb::Table<Order>, model: &BTreeMap<u64, i64>) {
    let found: Vec<Order> = orders.query().fetch().await.unwrap();
    let expected: Vec<Order> = model.iter().map(|(number, total)| order("a", *number, *total)).collect();
    assert_eq!(found, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_database_does_what_a_map_does(steps in prop::collection::vec((any::<bool>(), any_step()), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
