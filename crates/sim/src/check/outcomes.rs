use std::collections::BTreeMap;

use crate::ProcessId;
use crate::check::{Truth, Violation};
use crate::workload::{FeedEvent, Operation, Outcome, Write};

/// What was acknowledged is there, once and at its position; what failed is not; what is unknown is there as a whole or
/// not at all, and nowhere but at its position.
pub(crate) fn check_outcomes(history: &[Operation], truth: &Truth) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (token, operation) in numbered(history) {
        let found = truth.of_token(token);
        let writes: Vec<&Write> = operation.writes.iter().filter(|write| !write.delete).collect();
        let mut violate = |rule, detail: String| {
            let detail = format!("{operation}: {detail}");
            violations.push(Violation::new(rule, detail, vec![token]));
        };
        match &operation.outcome {
            Outcome::Failed(_) | Outcome::Broken(_) if !found.is_empty() => {
                violate("a commit that failed never appears", places(&found));
            }
            Outcome::Ok(_) if found.len() < writes.len() => {
                violate("an acknowledged commit is never lost", places(&found));
            }
            _ => {}
        }
        if found.is_empty() {
            continue;
        }
        let whole =
            writes.iter().all(|write| found.iter().any(|event| event.table == write.table && event.key == write.key));
        if !whole {
            violate("a commit happens as a whole", places(&found));
        }
        if found.len() > writes.len() {
            violate("a commit happens once", places(&found));
        }
        let first = found.first().map(|event| event.seq);
        if found.iter().any(|event| Some(event.seq) != first) {
            violate("a commit has one position", places(&found));
        }
        match operation.outcome {
            Outcome::Ok(Some(seq)) if Some(seq) != first => {
                violate("a commit is where its writer was told", places(&found));
            }
            Outcome::Unknown(slot) if Some(slot) != first => {
                violate("a commit of unknown outcome can appear only at the position that was named", places(&found));
            }
            _ => {}
        }
    }
    violations.extend(check_deletes(history, truth));
    let known = history.len() as u64;
    for token in truth.tokens().filter(|token| *token == 0 || *token > known) {
        violations.push(Violation::new("nothing appears that nobody wrote", format!("operation #{token}"), vec![]));
    }
    violations
}

/// A removal carries no number: it is known by its position.
fn check_deletes(history: &[Operation], truth: &Truth) -> Vec<Violation> {
    let mut violations = Vec::new();
    let deletes: Vec<(u64, &Operation, &Write)> = numbered(history)
        .filter_map(|(token, operation)| {
            let write = operation.writes.first().filter(|write| write.delete)?;
            Some((token, operation, write))
        })
        .collect();
    let matches = |event: &FeedEvent, write: &Write| event.table == write.table && event.key == write.key;
    let mut explained: BTreeMap<usize, ProcessId> = BTreeMap::new();
    for (token, operation, write) in &deletes {
        let Outcome::Ok(Some(seq)) = operation.outcome else { continue };
        // Copies of a machine may remove the same with the same bytes: then one record is what both of them wrote.
        let is_free = |index: &usize| explained.get(index).is_none_or(|process| *process != operation.process);
        let found = truth.events.iter().enumerate().find(|(index, event)| {
            event.seq == seq && event.document.is_none() && matches(event, write) && is_free(index)
        });
        match found {
            Some((index, _)) => {
                explained.insert(index, operation.process);
            }
            None => {
                let rule = "an acknowledged commit is never lost";
                violations.push(Violation::new(rule, operation.to_string(), vec![*token]));
            }
        }
    }
    for (index, event) in truth.events.iter().enumerate() {
        if event.document.is_some() || explained.contains_key(&index) {
            continue;
        }
        let may_be = |operation: &Operation| match operation.outcome {
            Outcome::Open => true,
            Outcome::Unknown(slot) => slot == event.seq,
            _ => false,
        };
        if !deletes.iter().any(|(_, operation, write)| may_be(operation) && matches(event, write)) {
            let detail = format!("{}/{} was removed at {}", event.table, event.key, event.seq);
            let rule = "a commit that failed never appears, and none happens twice";
            violations.push(Violation::new(rule, detail, Vec::new()));
        }
    }
    violations
}

/// Every change was valid where it stands: what was made from a document follows it, and what must be new was. Times
/// rise.
pub(crate) fn check_validity(truth: &Truth) -> Vec<Violation> {
    let mut violations = Vec::new();
    for changes in truth.documents() {
        let mut before: Option<&FeedEvent> = None;
        for event in changes {
            let last = before.and_then(FeedEvent::token);
            let place = format!("{}/{} at {}", event.table, event.key, event.seq);
            let tokens = [last, event.token()].into_iter().flatten().collect();
            if let Some(base) = event.base()
                && base != 0
                && last != Some(base)
            {
                let detail = format!("{place} was made from what #{base} wrote, and follows {}", shown(last));
                violations.push(Violation::new("nobody's write is lost by a read-modify-write", detail, tokens));
            } else if event.table == "claims" && before.is_some() {
                let detail = format!("{place} was claimed by {} and again by {}", shown(last), shown(event.token()));
                violations.push(Violation::new("an insert meets no document", detail, tokens));
            } else if event.base() == Some(0) && event.table == "lists" && last.is_some() {
                let detail = format!("{place} was made anew over {}", shown(last));
                violations.push(Violation::new("an insert meets no document", detail, tokens));
            }
            before = Some(event);
        }
    }
    for (one, next) in truth.events.iter().zip(truth.events.iter().skip(1)) {
        if next.seq < one.seq || (next.seq > one.seq && next.time <= one.time) {
            let detail = format!("{:?} at {} and {:?} at {}", one.time, one.seq, next.time, next.seq);
            violations.push(Violation::new("times rise with positions", detail, Vec::new()));
        }
    }
    violations
}

/// Operations with their numbers.
pub(crate) fn numbered(history: &[Operation]) -> impl Iterator<Item = (u64, &Operation)> {
    (1..).zip(history)
}

fn shown(token: Option<u64>) -> String {
    token.map_or_else(|| "nothing".to_owned(), |token| format!("#{token}"))
}

fn places(found: &[&FeedEvent]) -> String {
    if found.is_empty() {
        return "it is nowhere in the log".to_owned();
    }
    let places: Vec<String> =
        found.iter().map(|event| format!("{}/{} at {}", event.table, event.key, event.seq)).collect();
    format!("the log has {}", places.join(", "))
}
