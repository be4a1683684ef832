//! Which documents the workloads of YCSB ask for, and which they add.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

use crate::zipf::Zipf;

/// What all callers of one workload share.
pub(crate) struct Popular {
    /// How many there were in the beginning.
    pub(crate) documents: u64,
    zipf: Zipf,
    /// Those that came since, in the order in which they came.
    came: Mutex<Vec<u64>>,
    next: AtomicU64,
}

impl Popular {
    pub(crate) fn new(documents: u64) -> Self {
        Self { documents, zipf: Zipf::new(documents), came: Mutex::default(), next: AtomicU64::new(documents) }
    }

    fn came(&self) -> MutexGuard<'_, Vec<u64>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is there: a popular one, or among the latest.
    pub(crate) fn existing(&self, is_latest: bool, random: &mut Rng) -> u64 {
        if !is_latest {
            return self.zipf.scrambled(random);
        }
        let rank = self.zipf.rank(random);
        let came = self.came();
        let new = came.len() as u64;
        match rank.checked_sub(new) {
            Some(before) => self.documents.saturating_sub(1 + before),
            None => came[(new - 1 - rank) as usize],
        }
    }

    pub(crate) fn new_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// It can be read from now on.
    pub(crate) fn has_come(&self, number: u64) {
        self.came().push(number);
    }

    /// How many came.
    pub(crate) fn inserted(&self) -> u64 {
        self.next.load(Ordering::Relaxed) - self.documents
    }
}
