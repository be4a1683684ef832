use std::collections::{BTreeMap, BTreeSet};

use bucketdb_log::Seq;
use bytes::Bytes;

use crate::read_set::is_empty_range;
use crate::{EncodedKey, Index, IndexEntry, IndexId, IndexRange, IndexValues, TableId};

/// Where rows that were written since the last checkpoint stand in the indexes, or stood: whoever reads here looks at the
/// row whether it still does. So nothing has to be taken out when a row is written again, for whatever moment is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct OverlayIndexes {
    by_index: BTreeMap<(TableId, IndexId), Entries>,
    size_bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Entries {
    in_order: BTreeMap<Bytes, Written>,
    /// The rows of which no entries are held, since they would take too much more memory than the rows: what these have in
    /// the index is found out whenever it is asked for.
    large: BTreeSet<EncodedKey>,
    has_cut_values: bool,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    /// How many of the entry's bytes are values.
    values_len: u32,
    /// The record that wrote the row which stood here last, if there is no other of that row in it: who sees that one knows
    /// that it still does.
    by: Option<Seq>,
}

/// A candidate: the row stands in the index there, or did.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) entry: IndexEntry,
    /// The record that wrote the row that stands here.
    pub(crate) by: Option<Seq>,
}

/// What an entry takes in memory beside its bytes, about.
const OVERHEAD_BYTES: usize = 72;

/// So many times the memory of a row, and of a small one for sure, its entries in one index may take.
const MOST_TIMES: usize = 4;
const SMALL_ROW_BYTES: usize = 256;

impl OverlayIndexes {
    /// What a row of a table has in an index, written by the record at `by`.
    pub(crate) fn add(
        &mut self,
        table: TableId,
        index: &Index,
        (key, row): (&EncodedKey, &Bytes),
        values: BTreeSet<IndexValues>,
        by: Option<Seq>,
    ) {
        let entries = self.by_index.entry((table, index.id)).or_default();
        entries.has_cut_values |= values.iter().any(|values| values.is_cut);
        let size = |values_len: usize| OVERHEAD_BYTES + values_len + key.as_bytes().len();
        let needed: usize = values.iter().map(|values| size(values.bytes.len())).sum();
        if needed > MOST_TIMES * row.len().max(SMALL_ROW_BYTES) {
            if entries.large.insert(key.clone()) {
                self.size_bytes += size(0);
            }
            return;
        }
        for values in values {
            let entry = IndexEntry::new(&values.bytes, key);
            let size_bytes = size(entry.values_len);
            let written = Written { values_len: entry.values_len as u32, by };
            if entries.in_order.insert(entry.bytes, written).is_none() {
                self.size_bytes += size_bytes;
            }
        }
    }

    pub(crate) fn in_range(
        &self,
        table: TableId,
        index: IndexId,
        range: &IndexRange,
    ) -> impl Iterator<Item = Candidate> {
        let entries =
            self.by_index.get(&(table, index)).filter(|_| !is_empty_range((range.0.as_ref(), range.1.as_ref())));
        entries.into_iter().flat_map(move |entries| entries.in_order.range(range.clone()).map(candidate))
    }

    /// The rows of which an index holds no entries.
    pub(crate) fn large_rows(&self, table: TableId, index: IndexId) -> impl Iterator<Item = &EncodedKey> {
        self.by_index.get(&(table, index)).into_iter().flat_map(|entries| &entries.large)
    }

    /// What they take in memory, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(crate) fn has_cut_values(&self, table: TableId, index: IndexId) -> bool {
        self.by_index.get(&(table, index)).is_some_and(|entries| entries.has_cut_values)
    }

    /// Frees so many entries, or what is left; tells whether there is more.
    pub(crate) fn free_some(&mut self, entries: usize) -> bool {
        let Some((id, mut first)) = self.by_index.pop_first() else { return false };
        if first.in_order.len() > entries {
            (0..entries).for_each(|_| drop(first.in_order.pop_first()));
            self.by_index.insert(id, first);
        }
        true
    }

    /// Where the rows stand that were written behind `covers`; `is_later` says of a row whether it was written then.
    pub(crate) fn behind(&self, covers: Seq, is_later: impl Fn(TableId, &EncodedKey) -> bool) -> Self {
        let mut later = Self::default();
        for (id, entries) in &self.by_index {
            // A row that was written again stands here by its later record, or does not any more.
            let is_needed = |at: &(&Bytes, &Written)| match at.1.by {
                Some(by) => by > covers,
                None => is_later(id.0, &candidate(*at).entry.key()),
            };
            let needed = entries.in_order.iter().filter(is_needed);
            let in_order: BTreeMap<Bytes, Written> = needed.map(|(bytes, written)| (bytes.clone(), *written)).collect();
            let large: BTreeSet<EncodedKey> = entries.large.iter().filter(|key| is_later(id.0, key)).cloned().collect();
            later.size_bytes += in_order.keys().map(|bytes| OVERHEAD_BYTES + bytes.len()).sum::<usize>();
            later.size_bytes += large.iter().map(|key| OVERHEAD_BYTES + key.as_bytes().len()).sum::<usize>();
            if !in_order.is_empty() || !large.is_empty() {
                later.by_index.insert(*id, Entries { in_order, large, has_cut_values: entries.has_cut_values });
            }
        }
        later
    }
}

fn candidate((bytes, written): (&Bytes, &Written)) -> Candidate {
    let entry = IndexEntry { bytes: bytes.clone(), values_len: written.values_len as usize, ends_ms: None };
    Candidate { entry, by: written.by }
}
