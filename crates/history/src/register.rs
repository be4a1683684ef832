use std::collections::HashMap;

use crate::anomaly::name;
use crate::{Anomalies, Anomaly, AnomalyKind, History, Key, Op, Options, Outcome, Summary, Transaction};

/// What an acknowledged transaction proves of a register: that it had got so far.
#[derive(Clone, Copy, Debug)]
struct Sight {
    transaction: usize,
    highest: Option<u64>,
}

/// Checks a history of `w` and `rr` operations on registers whose values are versions: every write writes a value
/// higher than all before.
///
/// No read may find a lower value than was read or written before it: earlier in the same transaction, and, according
/// to the options, earlier by the same process or by any transaction that ended before the read began. And no read may
/// find what only failed transactions wrote. Whether the reads fit one order of the writes is not checked: lists can
/// tell that better.
///
/// # Errors
///
/// All reads that do.
pub fn check_register(history: &History, options: Options) -> Result<Summary, Anomalies> {
    let mut writers: HashMap<(&Key, u64), (usize, Outcome)> = HashMap::new();
    let mut sights: HashMap<&Key, Vec<Sight>> = HashMap::new();
    let mut summary = Summary::of(history);
    for (at, transaction) in history.0.iter().enumerate() {
        for op in &transaction.ops {
            let (key, highest) = match op {
                Op::Write { key, value } => {
                    let writer = writers.entry((key, *value)).or_insert((at, transaction.outcome));
                    if writer.1 == Outcome::Fail {
                        *writer = (at, transaction.outcome);
                    }
                    summary.writes += usize::from(transaction.is_ok());
                    (key, Some(*value))
                }
                Op::ReadRegister { key, value } => {
                    summary.reads += usize::from(transaction.is_ok());
                    (key, *value)
                }
                _ => continue,
            };
            let sights = sights.entry(key).or_default();
            match sights.last_mut().filter(|last| last.transaction == at) {
                Some(last) => last.highest = last.highest.max(highest),
                None if transaction.is_ok() => sights.push(Sight { transaction: at, highest }),
                None => {}
            }
        }
    }
    summary.keys = sights.len();
    let mut found = Vec::new();
    let floors = Floors::new(history, &sights, options);
    for (at, transaction) in history.acknowledged() {
        for (place, op) in transaction.ops.iter().enumerate() {
            let Op::ReadRegister { key, value } = op else { continue };
            let reader = name(at);
            let failed = value.and_then(|value| writers.get(&(key, value))).filter(|(_, how)| *how == Outcome::Fail);
            if let (Some(value), Some((writer, _))) = (value, failed) {
                let statement = format!("{reader} read {value} in {key}, which {} wrote and failed", name(*writer));
                found.push(Anomaly::new(AnomalyKind::AbortedRead, statement, history, &[*writer, at]));
            }
            let own = transaction.ops.iter().take(place).filter_map(|op| version(op, key)).max();
            let own = own.map(|highest| Sight { transaction: at, highest });
            let floor = floors.before(key, transaction).chain(own).max_by_key(|sight| sight.highest);
            if let Some(floor) = floor.filter(|floor| floor.highest > *value) {
                let (value, highest) = (number(*value), number(floor.highest));
                let before = name(floor.transaction);
                let statement = format!("{reader} read {value} in {key}, where {before} had read or written {highest}");
                let transactions = [floor.transaction, at];
                found.push(Anomaly::new(AnomalyKind::WentBackwards, statement, history, &transactions));
            }
        }
    }
    Anomalies::or(found, summary)
}

/// A register, and the process that looks at it, or none for all of them.
type View<'h> = (&'h Key, Option<u64>);

/// How far each register had got by each time.
struct Floors<'h> {
    seen: HashMap<View<'h>, Vec<(u64, Sight)>>,
}

impl<'h> Floors<'h> {
    fn new(history: &'h History, sights: &HashMap<&'h Key, Vec<Sight>>, options: Options) -> Self {
        let mut seen: HashMap<View<'_>, Vec<(u64, Sight)>> = HashMap::new();
        for (key, sights) in sights {
            for sight in sights {
                let Some(transaction) = history.0.get(sight.transaction) else { continue };
                if options.real_time {
                    seen.entry((*key, None)).or_default().push((transaction.end, *sight));
                }
                if options.process_order {
                    seen.entry((*key, Some(transaction.process))).or_default().push((transaction.end, *sight));
                }
            }
        }
        for seen in seen.values_mut() {
            seen.sort_by_key(|(end, sight)| (*end, sight.transaction));
            let mut highest: Option<Sight> = None;
            for (_, sight) in seen {
                *sight = highest.filter(|highest| highest.highest >= sight.highest).unwrap_or(*sight);
                highest = Some(*sight);
            }
        }
        Self { seen }
    }

    /// The highest sight of a register before a transaction began, by all and by its process.
    fn before(&self, key: &'h Key, transaction: &Transaction) -> impl Iterator<Item = Sight> {
        [None, Some(transaction.process)].into_iter().filter_map(move |process| {
            let seen = self.seen.get(&(key, process))?;
            let before = seen.partition_point(|(end, _)| *end < transaction.start);
            seen.get(before.checked_sub(1)?).map(|(_, sight)| *sight)
        })
    }
}

fn version(op: &Op, key: &Key) -> Option<Option<u64>> {
    match op {
        Op::Write { key: of, value } if of == key => Some(Some(*value)),
        Op::ReadRegister { key: of, value } if of == key => Some(*value),
        _ => None,
    }
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| value.to_string())
}
