//! Valid histories pass, and what breaks them is found.

use std::collections::HashMap;

use bucketdb_history::{
    Anomalies, AnomalyKind, History, Key, Op, Order, Outcome, Phenomenon, Summary, Transaction, check_list_append,
};
use proptest::prelude::*;

use crate::serial::{Dice, Shape, run};
use crate::support::{PLAIN, STRICT, ok};

fn shapes() -> impl Strategy<Value = Shape> {
    (1..150_u64, 1..8_u64, 1..6_u64, 3..40_usize).prop_map(|(transactions, processes, keys, longest)| Shape {
        transactions,
        processes,
        keys,
        longest,
    })
}

/// What a transaction read in its operation of this number.
#[derive(Clone, Copy, Debug)]
struct Place {
    transaction: usize,
    op: usize,
}

fn values(history: &mut History, place: Place) -> &mut Vec<u64> {
    match &mut history.0[place.transaction].ops[place.op] {
        Op::Read { values: Some(values), .. } => values,
        other => panic!("{other} has no values"),
    }
}

/// All acknowledged reads.
fn reads(history: &History) -> Vec<(Place, &Transaction, &Key, &[u64])> {
    let mut reads = Vec::new();
    for (transaction, acknowledged) in history.0.iter().enumerate().filter(|(_, of)| of.outcome == Outcome::Ok) {
        for (op, read) in acknowledged.ops.iter().enumerate() {
            if let Op::Read { key, values: Some(values) } = read {
                reads.push((Place { transaction, op }, acknowledged, key, values.as_slice()));
            }
        }
    }
    reads
}

/// Which transaction appended what.
fn appends(history: &History) -> HashMap<(Key, u64), &Transaction> {
    let mut appends = HashMap::new();
    for transaction in &history.0 {
        for op in &transaction.ops {
            if let Op::Append { key, value } = op {
                appends.insert((key.clone(), *value), transaction);
            }
        }
    }
    appends
}

fn check(history: &History) -> Result<Summary, Anomalies> {
    check_list_append(history, STRICT)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_serial_run_is_valid(seed: u64, shape in shapes()) {
        let history = run(seed, shape);
        prop_assert_eq!(check(&history).map_err(|anomalies| anomalies.to_string()).err(), None);
        prop_assert!(check_list_append(&history, PLAIN).is_ok());
    }

    #[test]
    fn the_order_of_the_history_does_not_matter(seed: u64, shape in shapes()) {
        let mut history = run(seed, shape);
        let mut dice = Dice::new(seed);
        for at in 0..history.0.len() {
            let other = dice.below(history.0.len() as u64) as usize;
            history.0.swap(at, other);
        }
        prop_assert!(check(&history).is_ok());
    }

    #[test]
    fn a_dropped_append_is_found(seed: u64, shape in shapes()) {
        let mut history = run(seed, shape);
        let all = appends(&history);
        let of_others = reads(&history).into_iter().filter_map(|(_, reader, key, values)| {
            let value = *values.last()?;
            let writer = all[&(key.clone(), value)];
            (writer.outcome == Outcome::Ok && writer.end < reader.start).then(|| (key.clone(), value))
        });
        let candidates: Vec<(Key, u64)> = of_others.collect();
        let at: Vec<usize> = (0..candidates.len()).collect();
        let Some(chosen) = Dice::new(seed).pick(&at) else { return Ok(()) };
        let (key, value) = &candidates[chosen];
        let places: Vec<Place> =
            reads(&history).into_iter().filter(|(_, _, of, _)| *of == key).map(|(place, ..)| place).collect();
        places.into_iter().for_each(|place| values(&mut history, place).retain(|other| other != value));
        let anomalies = check(&history).unwrap_err();
        prop_assert!(anomalies.contains(AnomalyKind::LostAppend), "{}", anomalies);
    }

    #[test]
    fn swapped_elements_are_found(seed: u64, shape in shapes()) {
        let mut history = run(seed, shape);
        let long: Vec<Place> =
            reads(&history).into_iter().filter(|(.., values)| values.len() >= 2).map(|(place, ..)| place).collect();
        let mut dice = Dice::new(seed);
        let Some(place) = dice.pick(&long) else { return Ok(()) };
        // Unless another read has these elements, nobody knows that they are swapped.
        let (key, len) = match &history.0[place.transaction].ops[place.op] {
            Op::Read { key, values: Some(values) } => (key.clone(), values.len()),
            other => panic!("{other} has no values"),
        };
        let is_other = |other: &Place| (other.transaction, other.op) != (place.transaction, place.op);
        let another = reads(&history).into_iter().any(|(other, _, of, values)| {
            is_other(&other) && *of == key && values.len() >= len
        });
        let at = dice.below(len as u64 - 1) as usize;
        values(&mut history, place).swap(at, at + 1);
        if another {
            let anomalies = check(&history).unwrap_err();
            prop_assert!(anomalies.contains(AnomalyKind::IncompatibleOrder), "{}", anomalies);
        }
    }

    #[test]
    fn a_stale_read_is_found(seed: u64, shape in shapes()) {
        let mut history = run(seed, shape);
        let all = appends(&history);
        let current = reads(&history).into_iter().filter(|(_, reader, key, values)| {
            let writer = values.last().map(|value| all[&((*key).clone(), *value)]);
            writer.is_some_and(|writer| writer.outcome == Outcome::Ok && writer.end < reader.start)
        });
        let candidates: Vec<Place> = current.map(|(place, ..)| place).collect();
        let Some(place) = Dice::new(seed).pick(&candidates) else { return Ok(()) };
        values(&mut history, place).pop();
        prop_assert!(check(&history).is_err());
    }

    #[test]
    fn a_failed_append_that_is_read_is_found(seed: u64, shape in shapes()) {
        let mut history = run(seed, shape);
        let failed = |((key, value), transaction): ((Key, u64), &Transaction)| {
            (transaction.outcome == Outcome::Fail).then_some((key, value))
        };
        let mut failed: Vec<(Key, u64)> = appends(&history).into_iter().filter_map(failed).collect();
        failed.sort();
        let read = |(key, value): &(Key, u64)| {
            let places = reads(&history).into_iter().filter(|(_, _, of, _)| *of == key).map(|(place, ..)| place);
            Dice::new(seed).pick(&places.collect::<Vec<_>>()).map(|place| (place, *value))
        };
        let Some((place, value)) = failed.iter().find_map(read) else { return Ok(()) };
        values(&mut history, place).push(value);
        let anomalies = check(&history).unwrap_err();
        prop_assert!(anomalies.contains(AnomalyKind::AbortedRead), "{}", anomalies);
    }

    #[test]
    fn write_skew_is_found(seed: u64, shape in shapes()) {
        let mut history = run(seed, shape);
        let start = Dice::new(seed).below(1 + history.0.last().map_or(0, |last| last.end));
        let skewed = |process, reads, appends| {
            ok(process, start, start + 10, vec![Op::read(reads, []), Op::append(appends, 1)])
        };
        history.0.push(skewed(2000, "left", "right"));
        history.0.push(skewed(2001, "right", "left"));
        let anomalies = check(&history).unwrap_err();
        let kinds: Vec<_> = anomalies.iter().map(|anomaly| anomaly.kind()).collect();
        prop_assert_eq!(kinds, vec![AnomalyKind::Cycle(Phenomenon::G2, Order::Any)]);
        prop_assert_eq!(anomalies.iter().next().map(|anomaly| anomaly.transactions().len()), Some(2));
    }
}
