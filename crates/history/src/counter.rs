use std::collections::HashMap;

use crate::anomaly::name;
use crate::effects::{Change, Effects};
use crate::{Anomalies, Anomaly, AnomalyKind, History, Key, Op, Summary, Transaction};

/// Checks a history of `add` and `count` operations on counters that begin at zero.
///
/// Every count must have all additions that were acknowledged before it began, some of those that were under way or of
/// which nobody knows, and no others. For a count after all the rest that is: at least what was acknowledged, at most
/// that and what is unknown.
///
/// # Errors
///
/// All counts for which that is not so.
///
/// ```
/// use bucketdb_history::{AnomalyKind, History, check_counter};
///
/// let file = r#"{"type":"ok","process":0,"start":0,"end":10,"ops":[["add","visits",2]]}
/// {"type":"info","process":1,"start":0,"end":10,"ops":[["add","visits",3]]}
/// {"type":"ok","process":0,"start":12,"end":20,"ops":[["count","visits",6]]}
/// "#;
/// let anomalies = check_counter(&History::read(file.as_bytes())?).unwrap_err();
/// assert!(anomalies.contains(AnomalyKind::WrongCount));
/// # Ok::<(), bucketdb_history::HistoryError>(())
/// ```
pub fn check_counter(history: &History) -> Result<Summary, Anomalies> {
    let mut counters: HashMap<&Key, Effects> = HashMap::new();
    let mut summary = Summary::of(history);
    for transaction in &history.0 {
        for (key, amount) in transaction.ops.iter().filter_map(addition) {
            counters.entry(key).or_default().note(transaction, amount);
            summary.writes += usize::from(transaction.is_ok());
        }
    }
    counters.values_mut().for_each(Effects::settle);
    summary.keys = counters.len();
    let mut found = Vec::new();
    for (at, transaction) in history.acknowledged() {
        for (place, op) in transaction.ops.iter().enumerate() {
            let Op::Count { key, count: Some(count) } = op else { continue };
            summary.reads += 1;
            let (all, before) = (own(transaction, key, usize::MAX), own(transaction, key, place));
            let (least, greatest) =
                counters.get(key).map_or((0, 0), |effects| effects.limits(transaction, all, before));
            if !(least..=greatest).contains(&i128::from(*count)) {
                let statement = format!("{} counted {count} in {key}, not {least} to {greatest}", name(at));
                found.push(Anomaly::new(AnomalyKind::WrongCount, statement, history, &[at]));
            }
        }
    }
    Anomalies::or(found, summary)
}

fn addition(op: &Op) -> Option<(&Key, i64)> {
    match op {
        Op::Add { key, amount } => Some((key, *amount)),
        _ => None,
    }
}

/// What a transaction adds to a counter in its first `count` operations.
fn own(transaction: &Transaction, key: &Key, count: usize) -> Change {
    let additions = transaction.ops.iter().take(count).filter_map(addition).filter(|(of, _)| *of == key);
    additions.fold(Change::default(), |sum, (_, amount)| sum.plus(Change::by(amount)))
}
