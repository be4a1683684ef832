//! Held: of several processes that create one object at the same time, exactly one succeeds, on every store that claims
//! to honour create-only.
//!
//! Catches: a driver or server whose condition is checked and acted on in two steps, which races of tasks inside one
//! process, sharing connections and locks, may never show. (Redis has the same test among its driver's own.)

use bucketdb::conformance::check_race;
use bucketdb_system_tests::Line;
use tokio::runtime::Runtime;

use crate::counting::WORKERS;
use crate::stores::{PREFIX, Store, on_stores};
use crate::workers::{Worker, side_by_side};

const ROUNDS: u32 = 60;

on_stores!(one_creator_wins: file, localstack, ceph, azurite);

fn one_creator_wins(runtime: &Runtime, store: &Store) -> String {
    let (workers, rounds) = (WORKERS.to_string(), ROUNDS.to_string());
    let won: Vec<Vec<u32>> = side_by_side(0..WORKERS, |worker| {
        let worker = worker.to_string();
        let arguments = ["race", "--worker", &worker, "--workers", &workers, "--rounds", &rounds];
        let lines = Worker::start(store, &arguments).succeed();
        lines.into_iter().map(|line| if let Line::Won(round) = line { round } else { panic!("{line:?}") }).collect()
    });
    runtime.block_on(check_race(&*store.driver, PREFIX, ROUNDS, &won)).unwrap();
    let winners = won.iter().filter(|rounds| !rounds.is_empty()).count();
    assert!(winners > 1, "one process won all {ROUNDS} rounds: that was no race");
    format!("; {ROUNDS} rounds, {winners} of {WORKERS} processes won some")
}
