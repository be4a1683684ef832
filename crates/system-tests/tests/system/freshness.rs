//! Held: what one process was told is committed, another one's strict read sees, and its bounded read sees once the
//! bound has passed; what a process has seen once it goes on seeing.
//!
//! Catches: a read that trusts a probe which was sent before the commit; a bound counted from the arrival of an answer
//! instead of the sending of its request; a reader that jumps back to an older state.

use std::time::Duration;

use bucketdb::{Freshness, Table};
use bucketdb_system_tests::{Entry, Line};
use tokio::runtime::Runtime;

use crate::stores::{Store, on_stores};
use crate::support::{let_pass, now};
use crate::workers::Worker;

const STRICT_READS: u32 = 200;
const BOUNDED_READS: u32 = 10;
const FOLLOWED_GROUPS: u32 = 10;
const GROUP: u32 = 10;
const STALENESS: Duration = Duration::from_millis(150);

on_stores!(others_are_seen: file, localstack, ceph, redis, azurite);

fn others_are_seen(runtime: &Runtime, store: &Store) -> String {
    let db = runtime.block_on(store.open());
    let entries = runtime.block_on(db.table::<Entry>()).unwrap();
    let mut writer = Worker::start(store, &["insert", "--worker", "0"]);
    writer.order("open");
    let opened = writer.line();
    assert!(matches!(opened, Some(Line::Opened(_))), "{opened:?}");

    let strict = entries.clone().with_freshness(Freshness::Strict);
    for number in 0..STRICT_READS {
        let (id, position) = (format!("strict-{number}"), insert(&mut writer, format!("strict-{number}")));
        assert!(runtime.block_on(strict.get(&id)).unwrap().is_some(), "{id} was committed at {position}");
        assert!(db.position().0 >= position);
    }

    let bounded = entries.clone().with_freshness(Freshness::Bounded(STALENESS));
    let mut latest = Duration::ZERO;
    for number in 0..BOUNDED_READS {
        let id = format!("bounded-{number}");
        insert(&mut writer, id.clone());
        latest = latest.max(seen_after(runtime, &bounded, &id));
    }

    follow(runtime, &entries, writer);
    format!("; a bounded read saw it {} ms after, at the latest, of {} ms", latest.as_millis(), STALENESS.as_millis())
}

fn insert(writer: &mut Worker, id: String) -> u64 {
    writer.order(&id);
    match writer.line() {
        Some(Line::Inserted { id: inserted, position, .. }) if inserted == id => position,
        line => panic!("{line:?}"),
    }
}

/// Reads until the entry is there, which must be no later than the bound allows; gives how long it took.
fn seen_after(runtime: &Runtime, bounded: &Table<Entry>, id: &str) -> Duration {
    let acknowledged = now(runtime);
    loop {
        let asked = now(runtime) - acknowledged;
        if runtime.block_on(bounded.get(id)).unwrap().is_some() {
            return asked;
        }
        assert!(asked <= STALENESS, "{id} was not seen {} ms after its acknowledgement", asked.as_millis());
        let_pass(Duration::from_millis(1));
    }
}

/// Reads with every freshness in turn while the other process writes: what was there once stays there.
fn follow(runtime: &Runtime, entries: &Table<Entry>, mut writer: Worker) {
    let mut counted = u64::from(STRICT_READS + BOUNDED_READS);
    for group in 0..FOLLOWED_GROUPS {
        let wanted = counted + u64::from(GROUP);
        for number in 0..GROUP {
            writer.order(&format!("followed-{group}-{number}"));
        }
        while counted < wanted {
            for freshness in [Freshness::Local, Freshness::Bounded(Duration::from_millis(5)), Freshness::Strict] {
                let count = runtime.block_on(entries.query().freshness(freshness).count()).unwrap();
                assert!(count >= counted, "there were {counted} entries, and then {count}");
                counted = count;
            }
        }
    }
    let lines = writer.succeed();
    assert_eq!(lines.len() as u32, FOLLOWED_GROUPS * GROUP);
    assert!(lines.iter().all(|line| matches!(line, Line::Inserted { .. })), "{lines:?}");
}
