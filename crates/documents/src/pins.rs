use std::collections::{BTreeMap, BTreeSet};

use bucketdb_log::Seq;

use crate::{EncodedKey, TableId};

/// The positions that somebody reads at, each with the keys that keep an older version for it.
///
/// An older version is noted under the last position that reads it. So whoever stops reading looks at what was kept for
/// that position only, however much is kept for others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pins {
    by_seq: BTreeMap<Seq, Pin>,
}

#[derive(Clone, Debug, Default)]
struct Pin {
    readers: usize,
    keys: BTreeSet<(TableId, EncodedKey)>,
}

impl Pins {
    /// One more reader at the newest position.
    pub(crate) fn add(&mut self, seq: Seq) {
        self.by_seq.entry(seq).or_default().readers += 1;
    }

    /// One reader less; gives the keys that kept a version for the position if it was the last one there.
    pub(crate) fn remove(&mut self, seq: Seq) -> BTreeSet<(TableId, EncodedKey)> {
        let Some(pin) = self.by_seq.get_mut(&seq) else { return BTreeSet::new() };
        pin.readers -= 1;
        if pin.readers > 0 {
            return BTreeSet::new();
        }
        self.by_seq.remove(&seq).map(|pin| pin.keys).unwrap_or_default()
    }

    /// Whether somebody reads at a position from `first` to just before `next`.
    pub(crate) fn any_in(&self, first: Seq, next: Seq) -> bool {
        first < next && self.by_seq.range(first..next).next().is_some()
    }

    /// Notes that a key keeps a version for whoever reads from `first` to just before `next`, if anybody does.
    pub(crate) fn keep(&mut self, table: TableId, key: &EncodedKey, first: Seq, next: Seq) {
        if first < next
            && let Some((_, pin)) = self.by_seq.range_mut(first..next).next_back()
        {
            pin.keys.insert((table, key.clone()));
        }
    }

    /// Whether nobody reads.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_seq.is_empty()
    }

    /// Takes out those who read at `seq` or behind it, without what was kept for them.
    pub(crate) fn split_off(&mut self, seq: Seq) -> Self {
        let mut later = self.by_seq.split_off(&seq);
        for pin in later.values_mut() {
            pin.keys.clear();
        }
        Self { by_seq: later }
    }
}
