use crate::list_append::list::{Lists, What};
use crate::list_append::{dependencies, explain, internal, search, values};
use crate::{Anomalies, History, Options, Outcome, Summary};

/// Checks a history of `append` and `r` operations.
///
/// Nothing is assumed of the database but that lists begin empty. What an `info` transaction appended may be seen or
/// not, but if a read has some of it, all of it must have happened, at any time after its start. What `fail` and `info`
/// transactions read is ignored.
///
/// An append that no read has is lost only if a read began after it, so a history should end with a read of every list.
///
/// # Errors
///
/// All anomalies found. Of each entangled group of transactions that is one cycle, a shortest one of the gravest kind:
/// there may be more to find once its cause is mended.
///
/// ```
/// use bucketdb_history::{AnomalyKind, History, Op, Options, Order, Outcome, Phenomenon, Transaction};
/// use bucketdb_history::check_list_append;
///
/// let transaction = |process, ops| Transaction { outcome: Outcome::Ok, process, start: 0, end: 9, ops, seq: None };
/// let history = History(vec![
///     transaction(0, vec![Op::read("doctors", []), Op::append("nurses", 1)]),
///     transaction(1, vec![Op::read("nurses", []), Op::append("doctors", 2)]),
/// ]);
/// let write_skew = check_list_append(&history, Options::default()).unwrap_err();
/// assert!(write_skew.contains(AnomalyKind::Cycle(Phenomenon::G2, Order::Any)));
/// ```
pub fn check_list_append(history: &History, options: Options) -> Result<Summary, Anomalies> {
    let mut lists = Lists::new(history);
    let mut found = Vec::new();
    values::check(history, &lists, &mut found);
    internal::check(history, &lists, &mut found);
    // Without real time, that a read began later says nothing: it may see an old state for ever.
    if options.real_time {
        values::lost(history, &mut lists, &mut found);
    }
    let graph = dependencies::graph(history, &lists, options);
    let cycles = search::cycles(&graph, &lists, options);
    found.extend(cycles.iter().map(|cycle| explain::cycle(history, &lists, cycle)));
    Anomalies::or(found, summary(history, &lists))
}

fn summary(history: &History, lists: &Lists<'_>) -> Summary {
    let reads = lists.actions.iter().filter(|action| matches!(action.what, What::Read(_))).count();
    let appends = lists.lists.iter().flat_map(|list| &list.appends);
    let seen = appends.filter(|append| append.is_seen && append.outcome == Outcome::Info);
    let mut unknown_but_seen: Vec<usize> = seen.map(|append| append.transaction).collect();
    unknown_but_seen.sort_unstable();
    unknown_but_seen.dedup();
    Summary {
        unknown_but_seen: unknown_but_seen.len(),
        keys: lists.lists.len(),
        writes: lists.actions.len() - reads,
        reads,
        ..Summary::of(history)
    }
}
