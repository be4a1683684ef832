//! Held: processes that create the same database at the same time get one and the same, and nothing of any is lost.
//!
//! Catches: a second first record; a loser that goes on with the id it made up; a table that is registered twice under
//! two numbers.

use std::collections::BTreeSet;

use bucketdb::Freshness;
use bucketdb_system_tests::{Entry, Line};
use tokio::runtime::Runtime;

use crate::stores::{Store, on_stores};
use crate::workers::{Worker, side_by_side};

const CREATORS: u32 = 4;
const ENTRIES: u32 = 10;

on_stores!(create_together: file, localstack, ceph, redis, redis_cluster, azurite);

fn create_together(runtime: &Runtime, store: &Store) -> String {
    let all_started = std::sync::Barrier::new(CREATORS as usize);
    let ids = side_by_side(0..CREATORS, |worker| {
        let mut process = Worker::start(store, &["insert", "--worker", &worker.to_string()]);
        all_started.wait();
        process.order("open");
        let opened = process.line();
        let Some(Line::Opened(database)) = opened else {
            panic!("{opened:?}: {}", process.finish().complaint);
        };
        for number in 0..ENTRIES {
            process.order(&format!("{worker}-{number}"));
        }
        let lines = process.succeed();
        assert_eq!(lines.len(), ENTRIES as usize);
        assert!(lines.iter().all(|line| matches!(line, Line::Inserted { .. })), "{lines:?}");
        database
    });
    let db = runtime.block_on(store.builder().create(false).open()).unwrap();
    let stats = db.stats().unwrap();
    assert!(ids.iter().all(|id| *id == stats.database.to_string()), "{ids:?} and {}", stats.database);
    assert_eq!(stats.tables.len(), 1);
    let entries = runtime.block_on(db.table::<Entry>()).unwrap();
    let found = runtime.block_on(entries.query().freshness(Freshness::Strict).fetch()).unwrap();
    let found: BTreeSet<String> = found.into_iter().map(|entry| entry.id).collect();
    let expected = (0..CREATORS).flat_map(|worker| (0..ENTRIES).map(move |number| format!("{worker}-{number}")));
    assert_eq!(found, expected.collect());
    format!("; {CREATORS} processes")
}
