//! Held: transactions on lists are strictly serializable, in real time too, whoever is killed or stopped at any moment,
//! and what was said to be unknown, or was settled later, fits what everybody saw.
//!
//! Catches: reads that were not compared with what came before the commit, phantoms in ranges included; a commit that is
//! acknowledged and lost, or reported as failed and there; a stale read of a process that stood still; a transaction that
//! is written twice, or after its outcome was settled.

use std::collections::{BTreeMap, BTreeSet};

use bucketdb::Error;
use bucketdb_history::{Key, Op, Options, check_list_append};
use bucketdb_system_tests::List;
use tokio::runtime::Runtime;

use crate::nemesis::{FAST, Plan, SLOW, haunt};
use crate::recording::Recording;
use crate::replay::Replay;
use crate::stores::{Store, on_stores};
use crate::support::{nanoseconds, now};

on_stores!(append_fast: file, redis);
on_stores!(append_slow: localstack, ceph);

fn append_fast(runtime: &Runtime, store: &Store) -> String {
    append(runtime, store, &FAST)
}

fn append_slow(runtime: &Runtime, store: &Store) -> String {
    append(runtime, store, &SLOW)
}

fn append(runtime: &Runtime, store: &Store, plan: &Plan) -> String {
    let recording = record(runtime, store, plan, &[]);
    let check = |history: &_| check_list_append(history, Options::default());
    let summary = recording.judge("list-append", store, check);
    recording.check_haunted(plan, &summary);
    format!("; {recording}; {summary}")
}

/// Lets clients append to lists and read them, and reads all lists in the end. What is read must be what the log says.
pub(crate) fn record(runtime: &Runtime, store: &Store, plan: &Plan, options: &[&str]) -> Recording {
    runtime.block_on(async {
        let db = store.open().await;
        db.table::<List>().await.unwrap();
        db.close().await.unwrap();
    });
    let mut recording = Recording::of(haunt(runtime, store, plan, "append", options));
    let start = nanoseconds(now(runtime));
    let (lists, disagreement) = runtime.block_on(async {
        let db = store.open().await;
        db.table::<List>().await.unwrap();
        let read = db.transact(async |tx| Ok::<_, Error>((tx.position()?, tx.query::<List>()?.fetch().await?)));
        let (position, lists) = read.await.unwrap();
        let disagreement = Replay::default().with(&lists).disagreement(&Replay::of_log(&db, position).await);
        (lists, disagreement)
    });
    disagreement.into_iter().for_each(|disagreement| recording.complain(disagreement));
    let mut found: BTreeMap<Key, Vec<u64>> = lists.into_iter().map(|list| (list.id.into(), list.values)).collect();
    // Lists that somebody appended to and that are not there are read as empty.
    let all: BTreeSet<Key> =
        recording.history.0.iter().flat_map(|transaction| &transaction.ops).filter_map(list).collect();
    let ops = all.into_iter().map(|id| Op::read(id.clone(), found.remove(&id).unwrap_or_default())).collect();
    if !found.is_empty() {
        recording.complain(format!("there are lists that nobody wrote: {found:?}"));
    }
    recording.add_last(start, nanoseconds(now(runtime)), ops);
    recording
}

fn list(op: &Op) -> Option<Key> {
    match op {
        Op::Append { key, .. } | Op::Read { key, .. } => Some(key.clone()),
        _ => None,
    }
}
