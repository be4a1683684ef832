//! The documents as the log tells them, to be compared with those that queries find.

use std::collections::{BTreeMap, BTreeSet};

use bucketdb::{ChangeKind, Database, Document, Seq, Since};
use serde_json::Value;

/// Documents by their tables and keys.
#[derive(Debug, Default)]
pub(crate) struct Replay(BTreeMap<(String, String), Value>);

impl Replay {
    /// All changes from the first to the one at a position, one after the other.
    pub(crate) async fn of_log(db: &Database, last: Seq) -> Self {
        let mut replay = Self::default();
        let mut feed = db.watch(Since::Beginning).await.unwrap();
        while let Some(change) = feed.try_next().await.unwrap().filter(|change| change.seq <= last) {
            let ChangeKind::Put(document) = change.kind else { panic!("something was removed at {}", change.seq) };
            replay.put(&change.table, document);
        }
        replay
    }

    /// Adds the documents of a table.
    #[must_use]
    pub(crate) fn with<T: Document>(mut self, documents: &[T]) -> Self {
        for document in documents {
            self.put(T::schema().table(), serde_json::to_value(document).unwrap());
        }
        self
    }

    /// What the documents are that the log tells otherwise, if there are any.
    pub(crate) fn disagreement(&self, log: &Self) -> Option<String> {
        let keys: BTreeSet<_> = self.0.keys().chain(log.0.keys()).collect();
        let differing: Vec<String> = keys
            .into_iter()
            .filter(|key| self.0.get(*key) != log.0.get(*key))
            .map(|key| format!("{key:?} is {:?}, and in the log {:?}", self.0.get(key), log.0.get(key)))
            .collect();
        (!differing.is_empty()).then(|| format!("tables and log disagree: {}", differing.join("; ")))
    }

    fn put(&mut self, table: &str, document: Value) {
        self.0.insert((table.to_owned(), document["id"].to_string()), document);
    }
}
