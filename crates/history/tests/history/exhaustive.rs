//! The checker against all orders of small histories, tried one by one.

use std::collections::BTreeMap;

use bucketdb_history::{History, Key, Op, Outcome, Transaction, check_list_append};

use crate::serial::Dice;
use crate::support::STRICT;

const HISTORIES: u64 = if cfg!(debug_assertions) { 20_000 } else { 500_000 };

/// A few transactions that read what nobody promised, but often something likely.
fn arbitrary(seed: u64) -> History {
    let mut dice = Dice::new(seed);
    let mut next_value = 0;
    let mut appended: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut history = Vec::new();
    let concurrency = 1 + dice.below(30);
    for process in 0..2 + dice.below(4) {
        let outcome = [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::Info, Outcome::Fail][dice.below(5) as usize];
        let start = process * 10 + dice.below(concurrency);
        let end = start + dice.below(concurrency);
        let mut ops = Vec::new();
        for _ in 0..=dice.below(3) {
            let key = dice.below(2);
            let list = appended.entry(key).or_default();
            if dice.below(2) == 0 {
                next_value += 1;
                ops.push(Op::append(key, next_value));
                if outcome != Outcome::Fail || dice.below(5) == 0 {
                    let place = list.len() as u64 - dice.below(2).min(list.len() as u64);
                    list.insert(place as usize, next_value);
                }
            } else {
                let len = list.len() - (dice.below(3) as usize / 2).min(list.len());
                ops.push(Op::read(key, &list[..len]));
            }
        }
        history.push(Transaction { outcome, process, start, end, ops, seq: None });
    }
    History(history)
}

/// Whether the transactions, of which some are done, can be put in an order in which all reads are right.
fn is_strictly_serializable(history: &History, done: &[usize], lists: &BTreeMap<Key, Vec<u64>>) -> bool {
    let all = history.0.iter().enumerate();
    let left: Vec<_> = all.filter(|(at, next)| next.outcome != Outcome::Fail && !done.contains(at)).collect();
    if left.iter().all(|(_, next)| next.outcome == Outcome::Info) {
        return true;
    }
    left.iter().any(|(at, next)| {
        // What was acknowledged before this one began must come first.
        let is_early = left.iter().any(|(_, other)| other.outcome == Outcome::Ok && other.end < next.start);
        let Some(after) = (!is_early).then(|| apply(next, lists.clone())).flatten() else { return false };
        is_strictly_serializable(history, &[done, &[*at]].concat(), &after)
    })
}

fn printed(history: &History) -> String {
    history.0.iter().map(|transaction| format!("{transaction}\n")).collect()
}

fn apply(transaction: &Transaction, mut lists: BTreeMap<Key, Vec<u64>>) -> Option<BTreeMap<Key, Vec<u64>>> {
    for op in &transaction.ops {
        match op {
            Op::Append { key, value } => lists.entry(key.clone()).or_default().push(*value),
            Op::Read { key, values } if transaction.outcome == Outcome::Ok => {
                let is_right = values.as_deref() == Some(lists.get(key).map_or(&[], Vec::as_slice));
                is_right.then_some(())?;
            }
            _ => {}
        }
    }
    Some(lists)
}

#[test]
fn an_anomaly_is_found_just_if_no_order_explains_the_history() {
    let (mut valid, mut kinds) = (0, BTreeMap::new());
    for seed in 0..HISTORIES {
        let history = arbitrary(seed);
        let is_valid = is_strictly_serializable(&history, &[], &BTreeMap::new());
        let found = check_list_append(&history, STRICT).err();
        assert_eq!(is_valid, found.is_none(), "seed {seed}: {found:?}\n{}", printed(&history));
        valid += u64::from(is_valid);
        for anomaly in found.into_iter().flatten() {
            *kinds.entry(anomaly.kind().to_string()).or_insert(0) += 1;
        }
    }
    // Otherwise the histories are too easy.
    assert!((HISTORIES / 10..HISTORIES * 9 / 10).contains(&valid), "{valid} of {HISTORIES} are valid");
    for kind in
        ["G0-realtime", "G1a", "G1b", "G1c", "G1c-realtime", "G-single", "G-single-realtime", "G2", "lost-append"]
    {
        assert!(kinds.contains_key(kind), "{kind} is not among {kinds:?}");
    }
}
