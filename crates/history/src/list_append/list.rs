use std::collections::{HashMap, HashSet};

use crate::{History, Key, Op, Outcome};

/// An append that was tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Append {
    pub(super) transaction: usize,
    pub(super) outcome: Outcome,
    pub(super) value: u64,
    /// Whether the transaction appends nothing to this list afterwards.
    pub(super) is_last: bool,
    /// Where in the list it is, if the longest read has it.
    pub(super) position: Option<usize>,
    /// Whether any read has it.
    pub(super) is_seen: bool,
    /// Whether it was reported as lost.
    pub(super) is_lost: bool,
}

/// What an acknowledged transaction read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'h> {
    pub(super) transaction: usize,
    pub(super) values: &'h [u64],
    /// Whether it is the beginning of the longest read. Nothing is inferred from a read that is not.
    pub(super) fits: bool,
}

/// What a history tells of a list.
#[derive(Debug)]
pub(super) struct List<'h> {
    pub(super) key: &'h Key,
    /// By transaction.
    pub(super) appends: Vec<Append>,
    by_value: HashMap<u64, usize>,
    pub(super) reads: Vec<Read<'h>>,
    /// The longest read without a value twice: the versions of the list, as far as known.
    pub(super) versions: &'h [u64],
}

/// An operation on a list in an acknowledged transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action<'h> {
    pub(super) transaction: usize,
    pub(super) list: usize,
    pub(super) what: What<'h>,
}

/// What it did.
#[derive(Clone, Copy, Debug)]
pub(super) enum What<'h> {
    Append(u64),
    Read(&'h [u64]),
}

/// All lists of a history.
#[derive(Debug, Default)]
pub(super) struct Lists<'h> {
    pub(super) lists: Vec<List<'h>>,
    /// What acknowledged transactions did, transaction by transaction.
    pub(super) actions: Vec<Action<'h>>,
    /// List, first and second transaction of each value that was appended twice.
    pub(super) reused: Vec<(usize, usize, usize, u64)>,
    by_key: HashMap<&'h Key, usize>,
}

impl<'h> Lists<'h> {
    /// Collects the lists and settles their versions.
    pub(super) fn new(history: &'h History) -> Self {
        let mut lists = Self::default();
        for (transaction, tried) in history.0.iter().enumerate() {
            for op in &tried.ops {
                let (key, what) = match op {
                    Op::Append { key, value } => (key, What::Append(*value)),
                    // What a transaction read that may not have happened, nobody promised.
                    Op::Read { key, values: Some(values) } if tried.is_ok() => (key, What::Read(values)),
                    _ => continue,
                };
                let at = lists.number(key);
                let Some(list) = lists.lists.get_mut(at) else { continue };
                match what {
                    What::Append(value) => {
                        if let Some(first) = list.append(transaction, tried.outcome, value) {
                            lists.reused.push((at, first, transaction, value));
                        }
                    }
                    What::Read(values) => list.reads.push(Read { transaction, values, fits: false }),
                }
                if tried.is_ok() {
                    lists.actions.push(Action { transaction, list: at, what });
                }
            }
        }
        lists.lists.iter_mut().for_each(List::settle);
        lists
    }

    fn number(&mut self, key: &'h Key) -> usize {
        let next = self.lists.len();
        let at = *self.by_key.entry(key).or_insert(next);
        if at == next {
            let (appends, reads) = (Vec::new(), Vec::new());
            self.lists.push(List { key, appends, by_value: HashMap::new(), reads, versions: &[] });
        }
        at
    }
}

impl<'h> List<'h> {
    /// Notes an append. If somebody appended this value already, says who.
    fn append(&mut self, transaction: usize, outcome: Outcome, value: u64) -> Option<usize> {
        if let Some(last) = self.appends.last_mut().filter(|last| last.transaction == transaction) {
            last.is_last = false;
        }
        let first = self.appended(value).map(|first| first.transaction);
        if first.is_none() {
            self.by_value.insert(value, self.appends.len());
            let (is_last, position, is_seen, is_lost) = (true, None, false, false);
            self.appends.push(Append { transaction, outcome, value, is_last, position, is_seen, is_lost });
        }
        first
    }

    /// Takes the longest read as the versions, and notes which reads fit it and which appends were seen.
    fn settle(&mut self) {
        let mut longest_first: Vec<&'h [u64]> = self.reads.iter().map(|read| read.values).collect();
        longest_first.sort_by_key(|values| std::cmp::Reverse(values.len()));
        let versions = longest_first.into_iter().find(|values| duplicate(values).is_none());
        self.versions = versions.unwrap_or_default();
        for (position, value) in self.versions.iter().enumerate() {
            if let Some(append) = self.by_value.get(value).and_then(|at| self.appends.get_mut(*at)) {
                append.position = Some(position);
                append.is_seen = true;
            }
        }
        for read in &mut self.reads {
            read.fits = self.versions.starts_with(read.values);
            for value in read.values.iter().filter(|_| !read.fits) {
                if let Some(append) = self.by_value.get(value).and_then(|at| self.appends.get_mut(*at)) {
                    append.is_seen = true;
                }
            }
        }
    }

    /// Who appended a value.
    pub(super) fn appended(&self, value: u64) -> Option<&Append> {
        self.by_value.get(&value).and_then(|at| self.appends.get(*at))
    }

    /// Who appended the version at a position.
    pub(super) fn version(&self, position: usize) -> Option<&Append> {
        self.versions.get(position).and_then(|value| self.appended(*value))
    }

    /// The last version before a position that a transaction appended.
    pub(super) fn last_position(&self, transaction: usize, before: usize) -> Option<usize> {
        let is_its = |at: &usize| self.version(*at).is_some_and(|append| append.transaction == transaction);
        (0..before.min(self.versions.len())).rev().find(is_its)
    }
}

/// A value that occurs twice.
pub(super) fn duplicate(values: &[u64]) -> Option<u64> {
    let mut seen = HashSet::with_capacity(values.len());
    values.iter().copied().find(|value| !seen.insert(*value))
}
