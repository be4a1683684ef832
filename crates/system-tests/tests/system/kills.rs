//! Held: of processes that are killed at any moment, no acknowledged increment is lost and none is applied twice, though
//! each goes on where it stopped and may try an operation again.
//!
//! Catches: an acknowledgement before the record is durable; a record of a dead process that lands late and is counted
//! beside its repetition; a half-written object that stops everyone else.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use bucketdb_system_tests::Line;
use tokio::runtime::Runtime;

use crate::counting::WORKERS;
use crate::history::History;
use crate::stores::{Store, on_stores};
use crate::support::{let_pass, random_below};
use crate::workers::{Worker, side_by_side};

/// Its number on every Unix.
const SIGKILL: i32 = 9;

/// So many acknowledgements, at most, does a life see before the moment of its kill is drawn.
const MOST_ACKNOWLEDGED: u64 = 4;

/// How a store is put to the test: the faster it is, the more happens in the time before a kill.
struct Plan {
    kills_per_worker: u32,
    /// So many for each kill, and the rest for the last life: no other life may come to the end of the work.
    operations_per_kill: u64,
    /// A kill comes so much later than the acknowledgement that was waited for, at most.
    most_delay: Duration,
}

const FAST: Plan = Plan { kills_per_worker: 15, operations_per_kill: 30, most_delay: Duration::from_millis(6) };
const SLOW: Plan = Plan { kills_per_worker: 6, operations_per_kill: 15, most_delay: Duration::from_millis(30) };

/// What one life of a worker said.
struct Life {
    killed: bool,
    lines: Vec<Line>,
}

on_stores!(kill_often: file, redis);
on_stores!(kill_some: localstack, ceph);

fn kill_often(runtime: &Runtime, store: &Store) -> String {
    count_and_kill(runtime, store, &FAST)
}

fn kill_some(runtime: &Runtime, store: &Store) -> String {
    count_and_kill(runtime, store, &SLOW)
}

fn count_and_kill(runtime: &Runtime, store: &Store, plan: &Plan) -> String {
    let db = runtime.block_on(store.open_with_counter());
    let kills = plan.kills_per_worker;
    let operations = u64::from(kills) * plan.operations_per_kill;
    let lives = side_by_side(0..WORKERS, |worker| {
        let killed = (0..kills).map(|_| live_and_die(start(store, worker, operations), plan.most_delay));
        let mut lives: Vec<Life> = killed.collect();
        lives.push(Life { killed: false, lines: start(store, worker, operations).succeed() });
        lives
    });
    let history = runtime.block_on(History::of(&db));
    assert_eq!(history.len(), u64::from(WORKERS) * operations);
    let mut unacknowledged = 0;
    for (worker, lives) in (0u32..).zip(&lives) {
        unacknowledged += check_lives(&history, worker, lives, operations);
    }
    let kills = WORKERS * kills;
    format!("; {kills} kills, and {unacknowledged} operations took effect whose worker died before it could tell")
}

fn start(store: &Store, worker: u32, operations: u64) -> Worker {
    Worker::start(store, &["count", "--worker", &worker.to_string(), "--operations", &operations.to_string()])
}

/// Kills a worker at a random moment: while it opens the database, or after some acknowledgements.
fn live_and_die(mut process: Worker, most_delay: Duration) -> Life {
    let mut lines = Vec::new();
    for _ in 0..random_below(MOST_ACKNOWLEDGED + 1) {
        lines.extend(process.line());
    }
    let_pass(Duration::from_micros(random_below(most_delay.as_micros() as u64)));
    process.kill();
    let ending = process.finish();
    assert_eq!(ending.status.signal(), Some(SIGKILL), "a worker ended by itself: {}", ending.complaint);
    lines.extend(ending.lines);
    Life { killed: true, lines }
}

/// Checks what the lives of a worker were told against the log. Gives how many operations were applied without
/// anyone being told: at most the one that a life was at when it was killed.
fn check_lives(history: &History, worker: u32, lives: &[Life], operations: u64) -> u64 {
    let mut done = 0;
    let mut at_work = false;
    let mut unacknowledged = 0;
    for life in lives {
        // Killed before it knew what to do.
        let Some((first, rest)) = life.lines.split_first() else { continue };
        let Line::Begin(begun) = first else { panic!("a life began with {first:?}") };
        match begun.checked_sub(done) {
            Some(1) => {}
            // Every life before this one was killed.
            Some(2) if at_work => unacknowledged += 1,
            _ => panic!("worker {worker} had done {done} operations and went on with {begun}"),
        }
        done = begun - 1;
        at_work = true;
        for line in rest {
            match line {
                Line::Counted { operation, position } => {
                    assert_eq!(*operation, done + 1);
                    history.check_acknowledged(worker, *operation, *position);
                    done = *operation;
                }
                Line::Used { .. } => assert!(!life.killed),
                unexpected => panic!("{unexpected:?}"),
            }
        }
    }
    assert_eq!(done, operations);
    assert!(history.operations_of(worker).eq(1..=operations));
    unacknowledged
}
