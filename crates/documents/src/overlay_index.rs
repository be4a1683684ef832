use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::read_set::is_empty_range;
use crate::{EncodedKey, Index, IndexEntry, IndexId, IndexRange, Layouts, TableId};

/// Where rows that were written since the last checkpoint stand in the indexes, or stood: whoever reads here looks at the
/// row whether it still does. So nothing has to be taken out when a row is written again, for whatever moment is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct OverlayIndexes {
    /// For each entry, how many of its bytes are values.
    by_index: BTreeMap<(TableId, IndexId), BTreeMap<Bytes, u32>>,
    /// The indexes that have a value that was cut.
    cut: BTreeSet<(TableId, IndexId)>,
    size_bytes: usize,
}

/// What an entry takes in memory beside its bytes, about.
const OVERHEAD_BYTES: usize = 64;

impl OverlayIndexes {
    /// A row of a table with those layouts.
    pub(crate) fn add(&mut self, of: (TableId, &Layouts), index: &Index, key: &EncodedKey, row: &Bytes) {
        let (table, layouts) = of;
        let entries = self.by_index.entry((table, index.id)).or_default();
        for values in index.values_of_row(row, layouts) {
            let entry = IndexEntry::new(&values.bytes, key);
            let size_bytes = OVERHEAD_BYTES + entry.bytes.len();
            if entries.insert(entry.bytes, entry.values_len as u32).is_none() {
                self.size_bytes += size_bytes;
            }
            if values.is_cut {
                self.cut.insert((table, index.id));
            }
        }
    }

    pub(crate) fn in_range(
        &self,
        table: TableId,
        index: IndexId,
        range: &IndexRange,
    ) -> impl Iterator<Item = IndexEntry> {
        let entries =
            self.by_index.get(&(table, index)).filter(|_| !is_empty_range((range.0.as_ref(), range.1.as_ref())));
        let entries = entries.into_iter().flat_map(move |entries| entries.range(range.clone()));
        entries.map(|(bytes, len)| IndexEntry { bytes: bytes.clone(), values_len: *len as usize })
    }

    /// What they take in memory, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(crate) fn has_cut_values(&self, table: TableId, index: IndexId) -> bool {
        self.cut.contains(&(table, index))
    }

    /// Only those of rows that are wanted.
    pub(crate) fn of_rows(&self, is_wanted: impl Fn(TableId, &EncodedKey) -> bool) -> Self {
        let mut some = Self::default();
        for (id, entries) in &self.by_index {
            let entry = |(bytes, len): (&Bytes, &u32)| IndexEntry { bytes: bytes.clone(), values_len: *len as usize };
            let wanted = entries.iter().map(entry).filter(|entry| is_wanted(id.0, &entry.key()));
            let wanted: BTreeMap<Bytes, u32> = wanted.map(|entry| (entry.bytes, entry.values_len as u32)).collect();
            some.size_bytes += wanted.keys().map(|bytes| OVERHEAD_BYTES + bytes.len()).sum::<usize>();
            if !wanted.is_empty() {
                some.cut.extend(self.cut.get(id));
                some.by_index.insert(*id, wanted);
            }
        }
        some
    }
}
