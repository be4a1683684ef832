use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::outcomes::numbered;
use crate::check::{Truth, Violation};
use crate::workload::{FeedEvent, Operation, SEATS, Seen};

/// What a transaction read was so right before the place where it stands in the log, and not only when it began: nobody
/// came in between.
pub(crate) fn check_transactions(history: &[Operation], truth: &Truth) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (token, operation) in numbered(history) {
        if !operation.is_ok() || operation.writes.is_empty() {
            continue;
        }
        for read in &operation.reads {
            let Some(found) = truth.seen_before(token, read.table, &read.key) else { continue };
            if read.seen != found {
                let mut tokens = vec![token];
                tokens.extend([read.seen, found].into_iter().filter_map(|seen| match seen {
                    Seen::Token(token) => Some(token),
                    Seen::Absent | Seen::Present => None,
                }));
                let detail = format!("{operation}: {read}, and right before its commit it was {found:?}");
                violations.push(Violation::new(
                    "transactions are serializable in the order of the log",
                    detail,
                    tokens,
                ));
            }
        }
    }
    violations.extend(check_bank(truth));
    violations.extend(check_seats(truth));
    violations
}

/// No money is made or lost, and none is owed.
fn check_bank(truth: &Truth) -> Vec<Violation> {
    let mut balances: BTreeMap<&str, i64> = BTreeMap::new();
    let mut total = None;
    let mut last = None;
    for event in truth.events.iter().filter(|event| event.table == "accounts") {
        if last.is_some() && last != event.token() {
            // The transaction before is complete.
            let sum: i64 = balances.values().sum();
            if *total.get_or_insert(sum) != sum {
                let detail = format!("all accounts hold {sum} before {}", event.seq);
                return vec![Violation::new("a transfer moves money and makes none", detail, Vec::new())];
            }
        }
        last = event.token();
        let balance = number(event, "balance").unwrap_or_default();
        if balance < 0 {
            let detail = format!("{} holds {balance} at {}", event.key, event.seq);
            return vec![Violation::new(
                "nobody takes more than there is",
                detail,
                event.token().into_iter().collect(),
            )];
        }
        balances.insert(&event.key, balance);
    }
    Vec::new()
}

/// Each seat was taken by somebody who had counted all that were taken before.
fn check_seats(truth: &Truth) -> Vec<Violation> {
    let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
    for event in truth.events.iter().filter(|event| event.table == "seats") {
        let room = event.key.split('-').next().unwrap_or_default();
        let count = taken.entry(room).or_default();
        let before = number(event, "before").and_then(|before| u64::try_from(before).ok());
        if before != Some(*count) || *count >= SEATS {
            let detail = format!("{} was taken after counting {before:?}, and {count} were taken", event.key);
            let tokens = event.token().into_iter().collect();
            return vec![Violation::new("a range that a transaction read does not change", detail, tokens)];
        }
        *count += 1;
    }
    Vec::new()
}

fn number(event: &FeedEvent, field: &str) -> Option<i64> {
    event.document.as_ref().and_then(|document| document.get(field)).and_then(Value::as_i64)
}
