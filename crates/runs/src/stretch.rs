use std::ops::Range;
use std::sync::Arc;

use bucketdb_log::Seq;

use crate::block::Block;
use crate::{Numbers, RunEntry, StripId};

/// Entries that come next in a scan, in the memory of their block: whoever only looks at them takes no memory for each.
#[derive(Clone, Debug)]
pub struct Stretch {
    block: Arc<Block>,
    entries: Range<usize>,
    /// Stands for the positions of all entries, if it is there.
    version: Option<Seq>,
}

impl Stretch {
    pub(crate) fn new(block: Arc<Block>, entries: Range<usize>, version: Option<Seq>) -> Self {
        debug_assert!(entries.end <= block.len(), "a stretch lies in its block");
        Self { block, entries, version }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The key of an entry, and its row, or `None` if the key was deleted. Behind the last entry, the key is empty.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> (&[u8], Option<&[u8]>) {
        self.block.slices(self.entries.start + index)
    }

    /// The rows of all entries, in order; of a key that was deleted, no bytes.
    #[inline]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.block.keys().rows(self.entries.clone())
    }

    /// A number of each row, in order, that is read out of the rows of the whole block the first time and kept beside them:
    /// `id` tells which. `None` if there is a row without it, or no room, or if it was not read before and this is less than
    /// half of the block, or it is not worth it. Of a key that was deleted, `read` is given no bytes.
    pub fn numbers(&self, id: StripId, is_worth_reading: bool, read: impl Fn(&[u8]) -> Option<i64>) -> Option<Numbers> {
        let strip = match is_worth_reading && 2 * self.entries.len() >= self.block.len() {
            true => self.block.read_numbers(id, read),
            false => self.block.numbers(id),
        };
        Numbers::new(strip?, self.entries.clone())
    }

    /// An entry that outlives the stretch.
    #[must_use]
    pub fn entry(&self, index: usize) -> RunEntry {
        self.block.entry(self.entries.start + index, self.version)
    }
}
