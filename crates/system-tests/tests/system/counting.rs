//! Held: increments of one document by four processes at once are all counted, each exactly once, on every store.
//!
//! Catches: two processes that both believe to have written one log position; an increment that is validated against an
//! old version and let through; an answer that was lost and its increment repeated.

use bucketdb_system_tests::Line;
use tokio::runtime::Runtime;

use crate::history::History;
use crate::stores::{Store, on_stores};
use crate::support::now;
use crate::workers::{Worker, side_by_side};

pub(crate) const WORKERS: u32 = 4;
const OPERATIONS: u64 = 500;

on_stores!(count_to_2000: file, localstack, ceph, redis, redis_cluster, azurite);

fn count_to_2000(runtime: &Runtime, store: &Store) -> String {
    let db = runtime.block_on(store.open_with_counter());
    let begun = now(runtime);
    let said = side_by_side(0..WORKERS, |worker| {
        let operations = OPERATIONS.to_string();
        Worker::start(store, &["count", "--worker", &worker.to_string(), "--operations", &operations]).succeed()
    });
    let took = now(runtime) - begun;
    let history = runtime.block_on(History::of(&db));
    assert_eq!(history.len(), u64::from(WORKERS) * OPERATIONS);
    let outcome = Outcome::check(&history, &said, OPERATIONS);
    // Each worker puts the counter's records and nothing else.
    let wasted = 1.0 - history.len() as f64 / outcome.puts as f64;
    format!(
        "; {:.0} commits/s of {WORKERS} processes, {:.1} % of {} puts lost their race, {} gets, {} outcomes unknown",
        history.len() as f64 / took.as_secs_f64(),
        wasted * 100.0,
        outcome.puts,
        outcome.gets,
        outcome.unknown,
    )
}

/// What workers said that were left to work to their end.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) puts: u64,
    pub(crate) gets: u64,
    /// How many commits timed out with their outcome unknown.
    pub(crate) unknown: u64,
}

impl Outcome {
    /// Checks that each worker was told of each of its operations, once and in order, and that they are in the log.
    pub(crate) fn check(history: &History, said: &[Vec<Line>], operations: u64) -> Self {
        let mut outcome = Self::default();
        for (worker, lines) in (0u32..).zip(said) {
            assert_eq!(lines.first(), Some(&Line::Begin(1)));
            let mut acknowledged = 0;
            for line in &lines[1..] {
                match line {
                    Line::Counted { operation, position } => {
                        acknowledged += 1;
                        assert_eq!(*operation, acknowledged);
                        history.check_acknowledged(worker, *operation, *position);
                    }
                    Line::Unknown { .. } => outcome.unknown += 1,
                    Line::Used { puts, gets } => {
                        outcome.puts += puts;
                        outcome.gets += gets;
                    }
                    unexpected => panic!("{unexpected:?}"),
                }
            }
            assert_eq!(acknowledged, operations);
            assert!(history.operations_of(worker).eq(1..=operations));
        }
        outcome
    }
}
