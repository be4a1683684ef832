//! Random transactions of several openings at the same time, against the same transactions one after the other in the
//! order of their commits.

use std::collections::{BTreeMap, HashMap};

use bucketdb::{Commit, Database, Error, MemoryDriver, TransactOptions, Transaction};
use futures::future;
use proptest::prelude::*;

use crate::support::{Order, open, order};

const KEYS: u64 = 6;

#[derive(Clone, Debug)]
enum Step {
    Get(u64),
    /// The sum of a range's totals.
    Sum(u64, u64),
    /// The first orders whose totals are even.
    FirstEven(usize),
    /// Writes what was read so far, and a little more.
    Put(u64, i64),
    Delete(u64),
    Insert(u64, i64),
    /// Lets others go on.
    Yield,
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    prop_oneof![
        key.clone().prop_map(Step::Get),
        (key.clone(), 0..KEYS).prop_map(|(start, length)| Step::Sum(start, start + length)),
        (1usize..3).prop_map(Step::FirstEven),
        (key.clone(), -9i64..9).prop_map(|(key, add)| Step::Put(key, add)),
        key.clone().prop_map(Step::Delete),
        (key, -9i64..9).prop_map(|(key, add)| Step::Insert(key, add)),
        Just(Step::Yield),
    ]
}

/// What a step reads, as one number; `None` if the transaction ends itself.
async fn run(tx: &Transaction, steps: &[Step]) -> Result<i64, Error> {
    let mut read = 0i64;
    for step in steps {
        match step {
            Step::Get(key) => read += tx.get::<Order>(("a", *key)).await?.map_or(-1, |order| order.total),
            Step::Sum(start, end) => {
                let found = tx.query::<Order>()?.keys(("a", *start)..("a", *end)).fetch().await?;
                read += found.iter().map(|order| order.total + 1).sum::<i64>();
            }
            Step::FirstEven(limit) => {
                let query = tx.query::<Order>()?.filter_text("number < 3")?;
                read += query.limit(*limit).fetch().await?.iter().map(|order| order.number as i64).sum::<i64>();
            }
            Step::Put(key, add) => tx.put(&order("a", *key, (read + add) % 1000))?,
            Step::Delete(key) => tx.delete::<Order>(("a", *key))?,
            Step::Insert(key, add) => tx.insert(&order("a", *key, (read + add) % 1000)).await?,
            Step::Yield => tokio::task::yield_now().await,
        }
    }
    Ok(read)
}

/// The same on a plain map. `None` if an insert met a document.
fn simulate(state: &mut BTreeMap<u64, i64>, steps: &[Step]) -> Option<i64> {
    let mut read = 0i64;
    let mut after = state.clone();
    for step in steps {
        match step {
            Step::Get(key) => read += after.get(key).copied().unwrap_or(-1),
            Step::Sum(start, end) => read += after.range(start..end).map(|(_, total)| total + 1).sum::<i64>(),
            Step::FirstEven(limit) => {
                read += after.keys().filter(|key| **key < 3).take(*limit).map(|key| *key as i64).sum::<i64>();
            }
            Step::Put(key, add) => {
                after.insert(*key, (read + add) % 1000);
            }
            Step::Delete(key) => {
                after.remove(key);
            }
            Step::Insert(key, add) => {
                if after.contains_key(key) {
                    return None;
                }
                after.insert(*key, (read + add) % 1000);
            }
            Step::Yield => {}
        }
    }
    *state = after;
    Some(read)
}

async fn check(plan: Vec<Vec<Vec<Step>>>) {
    let store = MemoryDriver::new();
    let mut handles: Vec<Database> = Vec::new();
    for _ in 0..2 {
        let db = open(store.clone()).await;
        db.table::<Order>().await.unwrap();
        handles.push(db);
    }
    let mut committed: Vec<(Commit, &[Step], i64)> = Vec::new();
    let workers = plan.iter().enumerate().map(|(worker, transactions)| {
        let db = &handles[worker % 2];
        async move {
            let mut outcomes = Vec::new();
            for steps in transactions {
                match db.transact_with(TransactOptions::default(), async |tx| run(&tx, steps).await).await {
                    Ok(done) => outcomes.extend(done.commit.map(|commit| (commit, steps.as_slice(), done.value))),
                    Err(error) => assert!(matches!(error, Error::AlreadyExists { .. }), "{error}"),
                }
            }
            outcomes
        }
    });
    for outcomes in future::join_all(workers).await {
        committed.extend(outcomes);
    }
    // Those that share a record have one position, and one session: their counters tell their order.
    committed.sort_by_key(|(commit, ..)| (commit.seq, commit.id.counter));
    let mut model = BTreeMap::new();
    for (commit, steps, value) in &committed {
        let expected = simulate(&mut model, steps);
        assert_eq!(expected, Some(*value), "the transaction at {commit:?} read something else: {steps:?}");
    }
    let found = handles[0].table::<Order>().await.unwrap().with_freshness(bucketdb::Freshness::Strict);
    let found: HashMap<u64, i64> =
        found.query().fetch().await.unwrap().into_iter().map(|order| (order.number, order.total)).collect();
    assert_eq!(found, model.into_iter().collect());
}

proptest! {
    #![proptest_config(crate::support::cases(128))]

    #[test]
    fn concurrent_transactions_do_what_serial_ones_would(
        plan in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any_step(), 1..8), 1..5), 2..6
        )
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(plan));
    }
}
