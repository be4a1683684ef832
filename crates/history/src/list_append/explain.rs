use crate::anomaly::name;
use crate::list_append::cycle::{Cycle, Step};
use crate::list_append::graph::Kind;
use crate::list_append::list::Lists;
use crate::{Anomaly, History};

/// Tells a cycle: its transactions, and why each comes before the next.
pub(super) fn cycle(history: &History, lists: &Lists<'_>, cycle: &Cycle) -> Anomaly {
    let transactions: Vec<usize> = cycle.0.iter().map(|step| step.from).collect();
    let reasons = cycle.0.iter().map(|step| reason(history, lists, step)).collect();
    let statement = "each of these transactions must come before the next, and the last before the first";
    Anomaly::new(cycle.kind(), statement.to_owned(), history, &transactions).because(reasons)
}

fn reason(history: &History, lists: &Lists<'_>, step: &Step) -> String {
    let (from, to) = (name(step.from), name(step.to));
    let time = |at: usize| history.0.get(at).map_or((0, 0, 0), |found| (found.process, found.start, found.end));
    let list = lists.lists.get(step.edge.list);
    let key = list.map(|list| list.key.to_string()).unwrap_or_default();
    let version = |position: usize| list.and_then(|list| list.version(position));
    // What the later transaction appended: the version at that position, or something that no read has.
    let unread =
        || list.and_then(|list| list.appends.iter().find(|append| append.transaction == step.to && !append.is_seen));
    let value = version(step.edge.position).or_else(unread).map_or(0, |append| append.value);
    match step.edge.kind {
        Kind::Ww => {
            let before = list.and_then(|list| list.last_position(step.from, step.edge.position)).and_then(version);
            let before = before.map_or(0, |before| before.value);
            if version(step.edge.position).is_some() {
                format!("{from} appended {before} to {key}, and {to} appended {value} after it")
            } else {
                format!("{from} appended {before} to {key}, and {to} appended {value} later: the longest read lacks it")
            }
        }
        Kind::Wr => format!("{from} appended {value} to {key}, which {to} read"),
        Kind::Rw => format!("{from} read {key} without {value}, which {to} appended"),
        Kind::Process => format!("process {} did {from} before {to}", time(step.from).0),
        Kind::RealTime | Kind::Exit => {
            format!("{from} ended at {}, before {to} began at {}", time(step.from).2, time(step.to).1)
        }
    }
}
