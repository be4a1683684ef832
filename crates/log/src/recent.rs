use std::collections::VecDeque;
use std::sync::Arc;

use crate::{Record, Seq};

/// What the records kept here may weigh together, in bytes.
const MAX_BYTES: usize = 8 << 20;

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
        while self.bytes > MAX_BYTES {
            let Some((_, weight)) = self.records.pop_front() else { break };
            self.bytes -= weight;
        }
    }

    pub(crate) fn get(&self, seq: Seq) -> Option<Arc<Record>> {
        let first = self.records.front()?.0.seq;
        let index = usize::try_from(seq.0.checked_sub(first.0)?).ok()?;
        self.records.get(index).map(|(record, _)| record.clone())
    }
}
