use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt;

use futures::future::try_join_all;

use crate::{Direction, Result, RunEntry, RunScan};

/// What can be merged: entries with distinct keys in the merge's order.
pub enum MergeSource {
    /// A scan of a run.
    Run(RunScan),
    /// Entries that are in memory.
    Memory(Box<dyn Iterator<Item = RunEntry> + Send>),
}

impl MergeSource {
    fn next_loaded(&mut self) -> Option<RunEntry> {
        match self {
            Self::Run(scan) => scan.next_loaded(),
            Self::Memory(entries) => entries.next(),
        }
    }

    /// Sees to it that [`next_loaded`](Self::next_loaded) gives the next entry, if there is one.
    async fn load(&mut self) -> Result<()> {
        match self {
            // A scan that was loaded before another one failed keeps what it has.
            Self::Run(scan) if !scan.has_loaded() => scan.load().await.map(|_| ()),
            Self::Run(_) | Self::Memory(_) => Ok(()),
        }
    }
}

impl fmt::Debug for MergeSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(scan) => formatter.debug_tuple("Run").field(scan).finish(),
            Self::Memory(_) => formatter.write_str("Memory(..)"),
        }
    }
}

impl From<RunScan> for MergeSource {
    fn from(scan: RunScan) -> Self {
        Self::Run(scan)
    }
}

/// Several sources in one order. Of the entries for one key, the one of the first source that has it is given; a deletion
/// is an entry like any other.
#[derive(Debug)]
pub struct Merge {
    sources: Vec<MergeSource>,
    /// The next entry of each source that is not waiting and not at its end.
    heads: BinaryHeap<Head>,
    /// The sources whose next entry is not in memory. While there is one, nobody knows which key comes next.
    waiting: Vec<usize>,
    direction: Direction,
}

#[derive(Debug)]
struct Head {
    entry: RunEntry,
    source: usize,
    direction: Direction,
}

impl Merge {
    /// Merges `sources`, newest first. All of them go in `direction`.
    #[must_use]
    pub fn new(sources: Vec<MergeSource>, direction: Direction) -> Self {
        debug_assert!(
            sources.iter().all(|source| !matches!(source, MergeSource::Run(scan) if scan.direction() != direction)),
            "all sources go in the merge's direction"
        );
        let waiting = (0..sources.len()).collect();
        Self { heads: BinaryHeap::with_capacity(sources.len()), sources, waiting, direction }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// Those of the sources. The merge stays where it was, and may be asked again.
    pub async fn next(&mut self) -> Result<Option<RunEntry>> {
        loop {
            if let Some(entry) = self.next_loaded() {
                return Ok(Some(entry));
            }
            if !self.load().await? {
                return Ok(None);
            }
        }
    }

    /// The next entry if it is in memory; `None` if not, or at the end.
    pub fn next_loaded(&mut self) -> Option<RunEntry> {
        if !self.waiting.is_empty() {
            return None;
        }
        let winner = self.advance()?;
        while self.heads.peek().is_some_and(|head| head.entry.key == winner.key) {
            self.advance();
        }
        Some(winner)
    }

    /// Brings what comes next into memory, of all sources that wait at once. False at the end.
    ///
    /// # Errors
    /// Those of the sources. The merge stays where it was, and may be asked again.
    pub async fn load(&mut self) -> Result<bool> {
        let waiting = &self.waiting;
        let sources = self.sources.iter_mut().enumerate().filter(|(index, _)| waiting.contains(index));
        try_join_all(sources.map(|(_, source)| source.load())).await?;
        for index in std::mem::take(&mut self.waiting) {
            if let Some(entry) = self.sources.get_mut(index).and_then(MergeSource::next_loaded) {
                self.heads.push(Head { entry, source: index, direction: self.direction });
            }
        }
        Ok(!self.heads.is_empty())
    }

    /// Takes the first head and puts the next one of its source in its place.
    fn advance(&mut self) -> Option<RunEntry> {
        let mut head = self.heads.peek_mut()?;
        match self.sources.get_mut(head.source).and_then(MergeSource::next_loaded) {
            Some(next) => Some(std::mem::replace(&mut head.entry, next)),
            None => {
                let head = PeekMut::pop(head);
                self.waiting.push(head.source);
                Some(head.entry)
            }
        }
    }
}

impl Ord for Head {
    /// The greatest comes first: the next key in the direction, and of one key the one of the newest source.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_key = match self.direction {
            Direction::Forward => other.entry.key.cmp(&self.entry.key),
            Direction::Reverse => self.entry.key.cmp(&other.entry.key),
        };
        by_key.then(other.source.cmp(&self.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}
