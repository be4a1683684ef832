//! The counter as the log tells it, against what was acknowledged.

use std::collections::BTreeMap;

use bucketdb::{ChangeKind, Database, Freshness, Since};
use bucketdb_system_tests::{COUNTER, Counter};

/// At which position of the log each operation of each worker was applied.
#[derive(Debug, Default)]
pub(crate) struct History {
    applied: BTreeMap<(u32, u64), u64>,
}

impl History {
    /// Reads every version that the counter ever had, and checks that each follows from the one before: it holds one
    /// operation more, the next of some worker, or none where a worker found that an operation was there already.
    pub(crate) async fn of(db: &Database) -> Self {
        let counters = db.table::<Counter>().await.unwrap().with_freshness(Freshness::Strict);
        let newest = counters.get(COUNTER).await.unwrap().unwrap();
        let mut feed = counters.watch(Since::Beginning).await.unwrap();
        let mut history = Self::default();
        let mut counter = Counter::new();
        while let Some(change) = feed.try_next().await.unwrap() {
            let ChangeKind::Put(next) = change.kind else { panic!("the counter was removed at {}", change.seq) };
            let mut expected = counter.clone();
            let advanced = next.last.iter().find(|(worker, last)| counter.last_of(**worker) != **last);
            if let Some((worker, operation)) = advanced {
                assert_eq!(*operation, counter.last_of(*worker) + 1, "an operation was left out: {next:?}");
                expected.count(*worker, *operation);
                history.applied.insert((*worker, *operation), change.seq.0);
            }
            assert_eq!(next, expected, "the version at {} does not follow from the one before", change.seq);
            counter = next;
        }
        assert_eq!(counter, newest, "the feed and the table disagree");
        assert_eq!(counter.value, history.applied.len() as u64, "the counter does not hold each operation once");
        history
    }

    /// How many operations were applied.
    pub(crate) fn len(&self) -> u64 {
        self.applied.len() as u64
    }

    /// Checks that what was acknowledged to a worker is in the log, and was when it was acknowledged.
    pub(crate) fn check_acknowledged(&self, worker: u32, operation: u64, position: u64) {
        let applied = self.applied.get(&(worker, operation));
        let applied = applied.unwrap_or_else(|| panic!("operation {operation} of worker {worker} was lost"));
        assert!(*applied <= position, "operation {operation} of worker {worker} came after its acknowledgement");
    }

    /// The operations of a worker.
    pub(crate) fn operations_of(&self, worker: u32) -> impl Iterator<Item = u64> {
        self.applied.keys().filter(move |(of, _)| *of == worker).map(|(_, operation)| *operation)
    }
}
