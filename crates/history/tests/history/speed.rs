//! Large histories must not take for ever, broken or not.

use bucketdb_history::{History, Op, Options, check_list_append};

use crate::serial::{Shape, run};
use crate::support::{STRICT, ok};

/// What a release build is measured with; a debug build is slower, and other tests run beside it.
const TRANSACTIONS: u64 = if cfg!(debug_assertions) { 5_000 } else { 100_000 };

fn large() -> History {
    run(7, Shape { transactions: TRANSACTIONS, processes: 20, keys: 20, longest: 50 })
}

#[test]
fn a_large_history_is_checked() {
    let summary = check_list_append(&large(), STRICT).unwrap();
    assert!(summary.ok as u64 > TRANSACTIONS / 2, "{summary}");
}

#[test]
fn a_large_history_with_a_very_stale_read_is_checked() {
    let mut history = large();
    // Everything between the append and the read becomes one entangled group.
    let end = history.0.iter().map(|transaction| transaction.end).max().unwrap_or_default();
    history.0.push(ok(5000, end + 1, end + 2, vec![Op::read(0, [])]));
    let anomalies = check_list_append(&history, STRICT).unwrap_err();
    let cycle = anomalies.iter().next().unwrap();
    assert_eq!(cycle.kind().to_string(), "G-single-realtime", "{anomalies}");
    assert_eq!(cycle.transactions().len(), 2, "{anomalies}");
}

#[test]
fn many_readers_and_many_unread_appends_of_one_list_are_checked() {
    let read = |process| ok(process, 0, 10, vec![Op::read("x", [])]);
    let append = |process| ok(process, 0, 10, vec![Op::append("x", process)]);
    let history: History = (0..TRANSACTIONS).map(read).chain((TRANSACTIONS..2 * TRANSACTIONS).map(append)).collect();
    check_list_append(&history, STRICT).unwrap();
}

#[test]
fn a_history_in_which_everything_is_broken_is_checked() {
    // Pairs of appends that each missed the other, all at once, on few lists.
    let broken = |process| ok(process, 0, 10, vec![Op::read(process % 7, []), Op::append((process + 1) % 7, process)]);
    let history: History = (0..TRANSACTIONS).map(broken).collect();
    let options = Options { real_time: false, ..STRICT };
    assert_eq!(check_list_append(&history, options).unwrap_err().iter().count(), 1);
}
