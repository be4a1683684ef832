use std::collections::BTreeMap;

use bucketdb::Document;
use serde::{Deserialize, Serialize};

/// The key of the one counter.
pub const COUNTER: &str = "counter";

/// A number that many workers count up, and which of their operations it holds.
///
/// A worker's operations are numbered from 1 and come in order, so the last one tells all. As long as each was applied
/// exactly once, [`value`](Self::value) is the sum of all last operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "counters", version = 1)]
pub struct Counter {
    /// The key.
    #[document(key)]
    pub id: String,
    /// How often it was counted up.
    pub value: u64,
    /// The last operation of each worker, by the worker's number.
    pub last: BTreeMap<u32, u64>,
}

impl Counter {
    /// A counter that nobody has counted up.
    #[must_use]
    pub fn new() -> Self {
        Self { id: COUNTER.to_owned(), value: 0, last: BTreeMap::new() }
    }

    /// The last operation of a worker that it holds; 0 if there is none.
    #[must_use]
    pub fn last_of(&self, worker: u32) -> u64 {
        self.last.get(&worker).copied().unwrap_or(0)
    }

    /// Counts up for an operation, also if it did so before: then [`value`](Self::value) tells of it for ever.
    pub fn count(&mut self, worker: u32, operation: u64) {
        self.value += 1;
        self.last.insert(worker, operation);
    }

    /// Counts up for an operation, unless it did so before.
    pub fn count_once(&mut self, worker: u32, operation: u64) {
        if self.last_of(worker) < operation {
            self.count(worker, operation);
        }
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

/// A document that one worker inserts once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "entries", version = 1)]
pub struct Entry {
    /// The key.
    #[document(key)]
    pub id: String,
    /// Who inserted it.
    pub worker: u32,
}

/// Somebody with an e-mail address that nobody else has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "members", version = 1)]
pub struct Member {
    /// The key: who registered it, and which address.
    #[document(key)]
    pub id: String,
    /// The address.
    #[document(unique)]
    pub email: String,
}

impl Member {
    /// The one that a worker would register for an address.
    #[must_use]
    pub fn new(worker: u32, email: &str) -> Self {
        Self { id: format!("{worker}/{email}"), email: email.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_twice_shows() {
        let mut counter = Counter::new();
        for (worker, operation) in [(1, 1), (1, 1), (2, 1), (1, 2), (1, 1)] {
            counter.count_once(worker, operation);
        }
        assert_eq!((counter.value, counter.last_of(1), counter.last_of(2), counter.last_of(3)), (3, 2, 1, 0));
        counter.count(1, 2);
        assert_eq!((counter.value, counter.last_of(1)), (4, 2));
    }
}
