//! Histories from text, and the names of what is found in them.

use bucketdb_history::{Anomalies, Anomaly, History, Op, Options, Outcome, Summary, Transaction, check_list_append};

/// Strict serializability.
pub(crate) const STRICT: Options = Options { real_time: true, process_order: true };

/// Plain serializability.
pub(crate) const PLAIN: Options = Options { real_time: false, process_order: false };

/// A history of lines of "outcome process start end ops", with the operations as JSON.
pub(crate) fn history(lines: &[&str]) -> History {
    lines.iter().map(|line| transaction(line)).collect()
}

fn transaction(line: &str) -> Transaction {
    let parts: Vec<&str> = line.splitn(5, ' ').collect();
    let json = format!(
        r#"{{"type":"{}","process":{},"start":{},"end":{},"ops":{}}}"#,
        parts[0], parts[1], parts[2], parts[3], parts[4]
    );
    serde_json::from_str(&json).unwrap()
}

/// The names of all that was found, in order.
pub(crate) fn names(result: Result<Summary, Anomalies>) -> Vec<String> {
    result.err().into_iter().flatten().map(|anomaly| anomaly.kind().to_string()).collect()
}

/// What is found in a history of lists.
pub(crate) fn found(lines: &[&str], options: Options) -> Vec<String> {
    names(check_list_append(&history(lines), options))
}

/// The only anomaly in a history of lists, which must be of this name.
pub(crate) fn only(lines: &[&str], options: Options, name: &str) -> Anomaly {
    let anomalies = check_list_append(&history(lines), options).unwrap_err();
    let found: Vec<Anomaly> = anomalies.iter().cloned().collect();
    assert_eq!(found.len(), 1, "{anomalies}");
    assert_eq!(found[0].kind().to_string(), name, "{anomalies}");
    found[0].clone()
}

/// An acknowledged transaction.
pub(crate) fn ok(process: u64, start: u64, end: u64, ops: Vec<Op>) -> Transaction {
    Transaction { outcome: Outcome::Ok, process, start, end, ops, seq: None }
}
