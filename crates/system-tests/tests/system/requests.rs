//! Held: what each operation costs at the store, to the request, as the documentation promises it.
//!
//! Catches: a commit that reads before it writes, or is written in two pieces; a strict read that lists; a local read
//! that asks; a background task that polls while nobody uses the database.

use std::collections::BTreeMap;
use std::time::Duration;

use bucketdb::Operation::{Get, List, Put};
use bucketdb::{Database, Freshness, Operation};
use bucketdb_system_tests::{COUNTER, Counter, Entry};
use tokio::runtime::Runtime;

use crate::stores::{Store, on_stores};
use crate::support::let_pass;

/// How long an open database is watched while nobody uses it.
const IDLE: Duration = Duration::from_secs(4);

const BATCH: u32 = 100;

on_stores!(requests_are_counted: file, localstack, ceph, redis);

fn entry(id: impl ToString) -> Entry {
    Entry { id: id.to_string(), worker: 0 }
}

/// Checks which requests a call sends, and that none of them fails.
async fn costs<T>(db: &Database, expected: &[(Operation, u64)], call: impl Future<Output = bucketdb::Result<T>>) -> T {
    let before = db.stats().unwrap().usage;
    let value = call.await.unwrap();
    let used = db.stats().unwrap().usage - before;
    let requests: Vec<_> =
        used.iter().map(|(operation, used)| (operation, used.requests)).filter(|(_, requests)| *requests > 0).collect();
    assert_eq!(requests, expected);
    assert!(used.iter().all(|(_, used)| used.errors == 0), "{used:?}");
    value
}

fn requests_are_counted(runtime: &Runtime, store: &Store) -> String {
    let db = runtime.block_on(store.open_with_counter());
    runtime.block_on(every_operation(&db));
    let before = db.stats().unwrap().usage;
    let_pass(IDLE);
    assert_eq!((db.stats().unwrap().usage - before).total_requests(), 0, "nobody used the database");
    let position = db.position().0;
    let after_open = runtime.block_on(open_again(store));
    // `head`, which is not there yet, the first record, and one for every fourth of the others.
    let gets = 2 + (position - 1).div_ceil(4);
    assert_eq!(after_open, [(Get, gets), (List, 1)].into(), "opening a log of {position} records");
    String::new()
}

async fn every_operation(db: &Database) {
    let entries = costs(db, &[(Put, 1)], db.table::<Entry>()).await;
    costs(db, &[], db.table::<Entry>()).await;
    costs(db, &[(Put, 1)], entries.insert(&entry("a"))).await;
    costs(db, &[(Put, 1)], entries.put(&entry("b"))).await;
    costs(db, &[(Put, 1)], entries.delete("b")).await;
    let mut batch = db.batch();
    for number in 0..BATCH {
        batch.insert(&entry(number)).unwrap();
    }
    batch.put(&Counter::new()).unwrap();
    costs(db, &[(Put, 1)], batch.commit()).await;

    let strict = entries.clone().with_freshness(Freshness::Strict);
    assert!(costs(db, &[(Get, 1)], strict.get("a")).await.is_some());
    assert!(costs(db, &[(Get, 1)], strict.get("nothing")).await.is_none());
    let query = entries.query().freshness(Freshness::Strict);
    assert_eq!(costs(db, &[(Get, 1)], query.count()).await, u64::from(BATCH) + 1);
    // A strict read was a moment ago.
    let bounded = entries.clone().with_freshness(Freshness::Bounded(Duration::from_secs(600)));
    assert!(costs(db, &[], bounded.get("a")).await.is_some());
    let local = entries.with_freshness(Freshness::Local);
    assert!(costs(db, &[], local.get("a")).await.is_some());
    assert_eq!(costs(db, &[], local.query().fetch()).await.len(), BATCH as usize + 1);

    let counters = db.table::<Counter>().await.unwrap();
    let local = counters.clone().with_freshness(Freshness::Local);
    costs(db, &[(Put, 1)], local.update(COUNTER, |counter| counter.count(0, 1))).await;
    let strict = counters.with_freshness(Freshness::Strict);
    costs(db, &[(Get, 1), (Put, 1)], strict.update(COUNTER, |counter| counter.count(0, 2))).await;
}

async fn open_again(store: &Store) -> BTreeMap<Operation, u64> {
    let db = store.builder().create(false).open().await.unwrap();
    let usage = db.stats().unwrap().usage;
    usage.iter().map(|(operation, used)| (operation, used.requests)).collect()
}
