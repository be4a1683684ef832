use std::collections::BTreeSet;
use std::ops::Bound;

use bucketdb_log::Seq;
use bucketdb_lsm::GROUP_BYTES;
use bytes::Bytes;

use crate::{EncodedKey, InvalidKeyBytes, KeyPart, TableId, run_key};

/// What a transaction read, and at which position: what must be unwritten since for it to commit.
///
/// It travels with a proposal to whoever validates it, and is never stored: a record holds changes only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSet {
    /// The position that was read at.
    pub at: Seq,
    /// The keys that were looked up, whether or not there was a row.
    pub keys: BTreeSet<(TableId, EncodedKey)>,
    /// The key ranges that were visited, with every key in them that had no row.
    pub ranges: Vec<KeyRange>,
    /// The names under which no table was found.
    pub absent_tables: BTreeSet<String>,
    /// The tables of which that version of the schema was not registered.
    pub absent_versions: BTreeSet<(String, u32)>,
}

/// A range of a table's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The table.
    pub table: TableId,
    /// The lowest key.
    pub start: Bound<EncodedKey>,
    /// The highest key.
    pub end: Bound<EncodedKey>,
}

impl ReadSet {
    /// The tables of which something was read, some of them several times.
    pub fn tables(&self) -> impl Iterator<Item = TableId> {
        self.keys.iter().map(|(table, _)| *table).chain(self.ranges.iter().map(|range| range.table))
    }

    /// Nothing read yet, at this position.
    #[must_use]
    pub fn new(at: Seq) -> Self {
        let (absent_tables, absent_versions) = (BTreeSet::new(), BTreeSet::new());
        Self { at, keys: BTreeSet::new(), ranges: Vec::new(), absent_tables, absent_versions }
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.ranges.is_empty()
            && self.absent_tables.is_empty()
            && self.absent_versions.is_empty()
    }
}

impl KeyRange {
    /// All keys of a table.
    #[must_use]
    pub fn all(table: TableId) -> Self {
        Self { table, start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// The keys that begin with these fields, and whose next one lies between bounds. It may have more than those, never less.
    ///
    /// # Errors
    /// If they cannot be fields of a key.
    pub fn beginning_with(
        table: TableId,
        fields: &[KeyPart],
        next: (Bound<KeyPart>, Bound<KeyPart>),
    ) -> Result<Self, InvalidKeyBytes> {
        let key = |next: Option<KeyPart>| {
            let parts: Vec<KeyPart> = fields.iter().cloned().chain(next).collect();
            if parts.is_empty() { Ok(None) } else { EncodedKey::new(&parts).map(Some) }
        };
        let start = match next.0 {
            Bound::Included(least) | Bound::Excluded(least) => key(Some(least))?,
            Bound::Unbounded => key(None)?,
        };
        let end = match next.1 {
            Bound::Included(most) | Bound::Excluded(most) => key(Some(most))?,
            Bound::Unbounded => key(None)?,
        };
        let start = start.map_or(Bound::Unbounded, Bound::Included);
        Ok(Self { table, start, end: end.and_then(|end| end.behind()).map_or(Bound::Unbounded, Bound::Excluded) })
    }

    /// Whether no key can be in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        is_empty_range(self.bounds())
    }

    /// Where it lies in a tree: the group, and the keys.
    #[must_use]
    pub fn in_runs(&self) -> ([u8; GROUP_BYTES], (Bound<Bytes>, Bound<Bytes>)) {
        (run_key::group(self.table), run_key::range(self))
    }

    /// The bounds, as maps take them.
    pub(crate) fn bounds(&self) -> (Bound<&EncodedKey>, Bound<&EncodedKey>) {
        (self.start.as_ref(), self.end.as_ref())
    }
}

/// Whether nothing can lie between two bounds: maps do not take all of those.
pub(crate) fn is_empty_range<K: Ord>(bounds: (Bound<&K>, Bound<&K>)) -> bool {
    match bounds {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end) | Bound::Included(end)) => start >= end,
    }
}
