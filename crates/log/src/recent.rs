use std::collections::VecDeque;
use std::sync::Arc;

use crate::{CommitId, Record, Seq};

/// What the records kept here may weigh together, in bytes.
const MAX_BYTES: usize = 8 << 20;

/// So many are kept however large they are: a writer whose answer was slow has to recognise its own record.
const MIN_RECORDS: usize = 4;

/// The newest records that were applied, so that followers of the log need no request for them.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    records: VecDeque<(Arc<Record>, usize)>,
    bytes: usize,
}

impl Recent {
    pub(crate) fn push(&mut self, record: Arc<Record>) {
        let weight = size_of::<Record>() + record.entries.iter().map(|entry| entry.payload.len() + 48).sum::<usize>();
        self.bytes += weight;
        self.records.push_back((record, weight));
        while self.bytes > MAX_BYTES && self.records.len() > MIN_RECORDS {
            let Some((_, weight)) = self.records.pop_front() else { break };
            self.bytes -= weight;
        }
    }

    /// Forgets all: the next record to come does not follow those that were here.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The position of a commit, if it is in one of them.
    pub(crate) fn find(&self, id: CommitId) -> Option<Seq> {
        let is_here = |record: &Record| {
            record.session == id.session && record.entries.iter().any(|entry| entry.counter == id.counter)
        };
        self.records.iter().rev().find(|(record, _)| is_here(record)).map(|(record, _)| record.seq)
    }

    pub(crate) fn get(&self, seq: Seq) -> Option<Arc<Record>> {
        let first = self.records.front()?.0.seq;
        let index = usize::try_from(seq.0.checked_sub(first.0)?).ok()?;
        self.records.get(index).map(|(record, _)| record.clone())
    }
}
