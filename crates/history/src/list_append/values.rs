use std::collections::HashSet;

use crate::anomaly::name;
use crate::list_append::list::{Append, List, Lists, duplicate};
use crate::{Anomaly, AnomalyKind, History, Outcome};

/// Looks in each list for values that must not be there.
pub(super) fn check(history: &History, lists: &Lists<'_>, found: &mut Vec<Anomaly>) {
    for (list, first, second, value) in &lists.reused {
        let Some(list) = lists.lists.get(*list) else { continue };
        let (key, one, other) = (list.key, name(*first), name(*second));
        let statement = format!("{one} and {other} both append {value} to {key}, so reads do not tell whose it is");
        found.push(Anomaly::new(AnomalyKind::ReusedValue, statement, history, &[*first, *second]));
    }
    for list in &lists.lists {
        shapes(history, list, found);
        strangers(history, list, found);
        intermediate(history, list, found);
        scrambled(history, list, found);
    }
}

/// Reads that have a value twice or are not the beginning of the longest one: the first of each for a list.
fn shapes(history: &History, list: &List<'_>, found: &mut Vec<Anomaly>) {
    let key = list.key;
    let (mut has_duplicate, mut has_incompatible) = (false, false);
    for read in list.reads.iter().filter(|read| !read.fits) {
        let reader = name(read.transaction);
        if let Some(value) = duplicate(read.values) {
            if !has_duplicate {
                has_duplicate = true;
                let statement = format!("{reader} read {value} twice in {key}");
                found.push(Anomaly::new(AnomalyKind::DuplicateElement, statement, history, &[read.transaction]));
            }
        } else if !has_incompatible {
            has_incompatible = true;
            let longest = list.reads.iter().find(|longest| longest.values == list.versions);
            let other = longest.map_or(read.transaction, |longest| longest.transaction);
            let statement =
                format!("{reader} and {} read {key}, and neither read is the beginning of the other", name(other));
            let transactions = [read.transaction, other];
            found.push(Anomaly::new(AnomalyKind::IncompatibleOrder, statement, history, &transactions));
        }
    }
}

/// Values that nobody appended, or that were appended in a transaction that failed: once for each value.
fn strangers(history: &History, list: &List<'_>, found: &mut Vec<Anomaly>) {
    let key = list.key;
    let mut reported = HashSet::new();
    let mut look_at = |value: u64, reader: &dyn Fn() -> usize| {
        let append = list.appended(value);
        if append.is_some_and(|append| append.outcome != Outcome::Fail) || !reported.insert(value) {
            return;
        }
        let reader = reader();
        found.push(match append {
            Some(append) => {
                let writer = name(append.transaction);
                let statement = format!("{} read {value} in {key}, which {writer} appended and failed", name(reader));
                Anomaly::new(AnomalyKind::AbortedRead, statement, history, &[append.transaction, reader])
            }
            None => {
                let statement = format!("{} read {value} in {key}, which nobody appended", name(reader));
                Anomaly::new(AnomalyKind::GarbageRead, statement, history, &[reader])
            }
        });
    };
    for (position, value) in list.versions.iter().enumerate() {
        let reader = || {
            let reads = list.reads.iter().filter(|read| read.fits && read.values.len() > position);
            let start = |at: &usize| history.0.get(*at).map(|transaction| transaction.start);
            reads.map(|read| read.transaction).min_by_key(start).unwrap_or_default()
        };
        look_at(*value, &reader);
    }
    for read in list.reads.iter().filter(|read| !read.fits) {
        read.values.iter().for_each(|value| look_at(*value, &|| read.transaction));
    }
}

/// Reads that end with a value after which its transaction appended another: once for each value.
fn intermediate(history: &History, list: &List<'_>, found: &mut Vec<Anomaly>) {
    let mut reported = HashSet::new();
    for read in list.reads.iter().filter(|read| read.fits) {
        let append = read.values.last().and_then(|value| list.appended(*value));
        let Some(append) = append.filter(|append| !append.is_last && append.transaction != read.transaction) else {
            continue;
        };
        let is_end = |other: &Append| other.is_last && other.position.is_some_and(|end| end < read.values.len());
        // Then the reader saw all of it, but in the wrong order.
        let is_whole = list.appends.iter().any(|other| other.transaction == append.transaction && is_end(other));
        if append.outcome != Outcome::Fail && !is_whole && reported.insert(append.value) {
            let (reader, writer) = (name(read.transaction), name(append.transaction));
            let (key, value) = (list.key, append.value);
            let statement = format!("{reader} read {key} up to {value}, after which {writer} appended more to it");
            let transactions = [append.transaction, read.transaction];
            found.push(Anomaly::new(AnomalyKind::IntermediateRead, statement, history, &transactions));
        }
    }
}

/// Transactions whose appends to the list are not in it in the order in which they were made, or not from the first on.
fn scrambled(history: &History, list: &List<'_>, found: &mut Vec<Anomaly>) {
    let mut reported = None;
    for (one, next) in list.appends.iter().zip(list.appends.iter().skip(1)) {
        let writer = one.transaction;
        let is_scrambled = next.position.is_some_and(|next| one.position.is_none_or(|one| one > next));
        if writer != next.transaction || one.outcome == Outcome::Fail || !is_scrambled || reported == Some(writer) {
            continue;
        }
        reported = Some(writer);
        let longest = list.reads.iter().find(|longest| longest.values == list.versions);
        let reader = longest.map_or(writer, |longest| longest.transaction);
        let (key, first, second) = (list.key, one.value, next.value);
        let (writer_name, reader_name) = (name(writer), name(reader));
        let statement = format!(
            "{writer_name} appended {first} and then {second} to {key}, and {reader_name} read {second} without \
             {first} before it"
        );
        found.push(Anomaly::new(AnomalyKind::IncompatibleOrder, statement, history, &[writer, reader]));
    }
}

/// Acknowledged appends that no read has, although a read of the list began after the acknowledgement.
pub(super) fn lost(history: &History, lists: &mut Lists<'_>, found: &mut Vec<Anomaly>) {
    for list in &mut lists.lists {
        let start = |at: usize| history.0.get(at).map_or(0, |transaction| transaction.start);
        let last_read = list.reads.iter().map(|read| read.transaction).max_by_key(|at| start(*at));
        let Some(last_read) = last_read else { continue };
        let unseen = |append: &&mut _| is_unseen(append);
        for append in list.appends.iter_mut().filter(unseen) {
            let end = history.0.get(append.transaction).map(|transaction| transaction.end);
            if end.is_none_or(|end| end >= start(last_read)) {
                continue;
            }
            append.is_lost = true;
            let (writer, reader) = (name(append.transaction), name(last_read));
            let (key, value) = (list.key, append.value);
            let statement = format!(
                "{writer} was acknowledged and had appended {value} to {key}, but no read has it, and {reader} began \
                 to read {key} later"
            );
            let transactions = [append.transaction, last_read];
            found.push(Anomaly::new(AnomalyKind::LostAppend, statement, history, &transactions));
        }
    }
}

fn is_unseen(append: &Append) -> bool {
    append.outcome == Outcome::Ok && !append.is_seen
}
