use std::collections::BTreeMap;

use bucketdb_history as history;

use crate::check::Violation;
use crate::workload::{ACCOUNTS, INITIAL_BALANCE, Operation, Outcome, account_key};

/// Checks what clients saw with checkers that believe nothing else: no log, no position, no record.
pub(crate) fn check_black_box(operations: &[Operation]) -> Vec<Violation> {
    let history = history_of(operations);
    let initial: BTreeMap<String, i64> = (0..ACCOUNTS).map(|number| (account_key(number), INITIAL_BALANCE)).collect();
    let bank = history::Bank::starting_with(initial);
    let outcomes = [
        history::check_list_append(&history, history::Options::default()),
        history::check_bank(&history, &bank),
        history::check_claims(&history),
    ];
    let found = outcomes.into_iter().filter_map(Result::err);
    found
        .map(|anomalies| Violation::new("what clients saw fits one order", anomalies.to_string(), Vec::new()))
        .collect()
}

/// What clients saw, in the format of the checkers. Reads that may be old by agreement are left out.
pub(crate) fn history_of(operations: &[Operation]) -> history::History {
    let end =
        operations.iter().map(|operation| operation.ended.map_or(operation.began.event, |ended| ended.event)).max();
    let end = end.unwrap_or_default() + 1;
    let transactions = operations.iter().filter(|operation| !operation.steps.is_empty()).map(|operation| {
        let (outcome, seq) = match operation.outcome {
            Outcome::Ok(seq) => (history::Outcome::Ok, seq.map(|seq| seq.0)),
            Outcome::Failed(_) | Outcome::Broken(_) => (history::Outcome::Fail, None),
            Outcome::Unknown(_) | Outcome::Open => (history::Outcome::Info, None),
        };
        history::Transaction {
            outcome,
            process: operation.client,
            start: operation.began.event,
            end: operation.ended.map_or(end, |ended| ended.event),
            ops: operation.steps.clone(),
            seq,
        }
    });
    history::History(transactions.collect())
}
