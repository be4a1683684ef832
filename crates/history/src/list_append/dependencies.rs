use crate::list_append::graph::{Edge, Graph, Kind};
use crate::list_append::list::{Append, List, Lists};
use crate::list_append::order;
use crate::{History, Options, Outcome};

/// Collects the edges of a graph of transactions and helper nodes.
#[derive(Debug)]
pub(super) struct Connector {
    /// For each transaction whether it happened. Those that did not, or that nobody saw, are left out.
    happened: Vec<bool>,
    nodes: usize,
    edges: Vec<(usize, Edge)>,
}

impl Connector {
    /// Whether a transaction takes part.
    pub(super) fn has(&self, transaction: usize) -> bool {
        self.happened.get(transaction).copied().unwrap_or_default()
    }

    /// A new helper node.
    pub(super) fn helper(&mut self) -> usize {
        self.nodes += 1;
        self.nodes - 1
    }

    /// Leads out of a helper node.
    pub(super) fn exit(&mut self, helper: usize, to: usize) {
        self.order(helper, to, Kind::Exit);
    }

    /// A dependency that is about no list.
    pub(super) fn order(&mut self, from: usize, to: usize, kind: Kind) {
        self.edges.push((from, Edge { to, kind, list: usize::MAX, position: usize::MAX }));
    }

    fn depend(&mut self, from: usize, to: usize, kind: Kind, list: usize, position: usize) {
        if from != to {
            self.edges.push((from, Edge { to, kind, list, position }));
        }
    }
}

/// What must come before what.
pub(super) fn graph(history: &History, lists: &Lists<'_>, options: Options) -> Graph {
    let mut happened: Vec<bool> = history.0.iter().map(|transaction| transaction.is_ok()).collect();
    let is_seen = |append: &&Append| append.is_seen && append.outcome == Outcome::Info;
    for append in lists.lists.iter().flat_map(|list| &list.appends).filter(is_seen) {
        if let Some(happened) = happened.get_mut(append.transaction) {
            *happened = true;
        }
    }
    let mut connector = Connector { happened, nodes: history.0.len(), edges: Vec::new() };
    for (at, list) in lists.lists.iter().enumerate() {
        connect(&mut connector, at, list);
    }
    if options.process_order {
        order::process(history, &mut connector);
    }
    if options.real_time {
        order::real_time(history, &mut connector);
    }
    Graph::new(connector.nodes, connector.edges)
}

/// The dependencies that a list tells of.
fn connect(connector: &mut Connector, at: usize, list: &List<'_>) {
    let end = list.versions.len();
    // The transactions that wrote the versions. What failed or what nobody wrote is reported elsewhere and skipped
    // here.
    let mut writers: Vec<(usize, usize)> = Vec::with_capacity(end);
    for position in 0..end {
        if let Some(append) = list.version(position).filter(|append| connector.has(append.transaction)) {
            if let Some((last, _)) = writers.last() {
                connector.depend(*last, append.transaction, Kind::Ww, at, position);
            }
            writers.push((append.transaction, position));
        }
    }
    // Readers of all versions.
    let mut readers = Vec::new();
    for read in list.reads.iter().filter(|read| read.fits) {
        let next = writers.partition_point(|(_, position)| *position < read.values.len());
        let last = next.checked_sub(1).and_then(|last| writers.get(last));
        if let Some((writer, position)) = last {
            connector.depend(*writer, read.transaction, Kind::Wr, at, *position);
        }
        match writers.get(next) {
            // Then the reader saw an unfinished transaction, which is reported as that.
            Some((writer, _)) if last.is_some_and(|(last, _)| last == writer) => {}
            Some((writer, position)) => connector.depend(read.transaction, *writer, Kind::Rw, at, *position),
            None => readers.push(read.transaction),
        }
    }
    readers.sort_unstable();
    readers.dedup();
    let last_writer = writers.last().map(|(writer, _)| *writer);
    connect_unread(connector, at, list, last_writer, &readers);
}

/// What no read has, although it happened, was appended after all that the reads have.
fn connect_unread(
    connector: &mut Connector,
    at: usize,
    list: &List<'_>,
    last_writer: Option<usize>,
    readers: &[usize],
) {
    let end = list.versions.len();
    let is_unread = |append: &&Append| connector.has(append.transaction) && !append.is_seen && !append.is_lost;
    let mut writers: Vec<usize> = list.appends.iter().filter(is_unread).map(|append| append.transaction).collect();
    // If the last writer appended more than was seen of it, its readers saw an unfinished transaction.
    writers.retain(|writer| Some(*writer) != last_writer);
    writers.dedup();
    if let Some(last_writer) = last_writer {
        writers.iter().for_each(|writer| connector.depend(last_writer, *writer, Kind::Ww, at, end));
    }
    // A helper node stands between all readers and all writers. A transaction that is both would come before itself, so
    // it has its own edges. Two of them make a cycle, and are enough to report.
    let is_both = |reader: &usize| writers.binary_search(reader).is_ok();
    for reader in readers.iter().filter(|reader| is_both(reader)).take(2) {
        writers.iter().for_each(|writer| connector.depend(*reader, *writer, Kind::Rw, at, end));
    }
    if writers.is_empty() {
        return;
    }
    let helper = connector.helper();
    for reader in readers.iter().filter(|reader| !is_both(reader)) {
        connector.depend(*reader, helper, Kind::Rw, at, end);
    }
    writers.iter().for_each(|writer| connector.exit(helper, *writer));
}
