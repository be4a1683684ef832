use std::ops::Bound;

use bucketdb_log::Seq;
use bucketdb_log::codec;
use bucketdb_lsm::TreeScan;
use bucketdb_runs::{Direction, Numbers, RunEntry, RunError, ScanOptions, Stretch};
use bytes::Bytes;

use crate::row::NumberField;
use crate::{Base, EncodedKey, IndexEntry, KeyRange, ScanPage, ScanRow, TableId, WrittenRow, run_key};

/// The rows of a range that are in runs, in the order of their keys.
#[derive(Debug)]
pub struct BaseScan {
    scan: TreeScan,
    table: TableId,
}

/// Rows of one block that come next in a [`BaseScan`], in its memory. Keys that were deleted have their places among them.
#[derive(Clone, Debug)]
pub struct BaseRows(Stretch);

impl BaseScan {
    /// Of the runs that a page goes with.
    #[must_use]
    pub fn new(page: &ScanPage, range: &KeyRange) -> Self {
        let tiers = page.ingests.iter().chain(page.base.tree.tiers());
        let scan = TreeScan::new(tiers, &run_key::range(range), ScanOptions::default());
        Self { scan, table: range.table }
    }

    /// Whether no run has anything in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scan.is_empty()
    }

    /// The next row, if no request is needed for it. `None` says nothing.
    pub fn next_ready(&mut self) -> Option<WrittenRow> {
        self.scan.next_ready().and_then(row)
    }

    /// The next rows, if no request is needed for them, of keys below `before` only, if it says so. `None` says nothing.
    pub fn take_ready(&mut self, before: Option<&EncodedKey>) -> Option<BaseRows> {
        let stretch = match before {
            Some(before) => run_key::with(self.table, before, |key| self.scan.take_ready(Some(key))),
            None => self.scan.take_ready(None),
        };
        stretch.map(BaseRows)
    }

    /// The next row.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn next(&mut self) -> Result<Option<WrittenRow>, RunError> {
        Ok(self.scan.next().await?.and_then(row))
    }
}

impl BaseRows {
    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The row at a place; `None` if there is none, since its key was deleted.
    #[inline]
    #[must_use]
    pub fn row(&self, index: usize) -> Option<&[u8]> {
        self.0.get(index).1
    }

    /// The rows at all places, in order; no bytes where there is none.
    #[inline]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.0.rows()
    }

    /// A number of each row, kept beside them: see [`Stretch::numbers`].
    pub(crate) fn numbers(&self, field: &NumberField, is_worth_reading: bool) -> Option<Numbers> {
        self.0.numbers(field.id(), is_worth_reading, |row| field.read(row))
    }

    /// The row at a place with its key, to keep; of a key that was deleted, no bytes.
    #[must_use]
    pub fn to_scan_row(&self, index: usize) -> ScanRow {
        let RunEntry { key, row, .. } = self.0.entry(index);
        let key = EncodedKey::from_checked(key.slice(run_key::PREFIX_BYTES.min(key.len())..));
        ScanRow { key, row: row.unwrap_or_default() }
    }
}

fn row(entry: RunEntry) -> Option<WrittenRow> {
    let key = run_key::decode(entry.key)?;
    Some(WrittenRow { key, row: entry.row, version: entry.seq })
}

/// The entry of a run that holds a row.
#[must_use]
pub fn run_entry(table: TableId, row: WrittenRow) -> RunEntry {
    RunEntry { key: run_key::encode(table, &row.key), seq: row.version, row: row.row }
}

/// The entries of an index in a range of values that are in runs, in order.
#[derive(Debug)]
pub struct IndexBaseScan(TreeScan);

impl IndexBaseScan {
    /// Of the group of a base's tree that holds the index.
    #[must_use]
    pub fn new(base: &Base, group: u32, range: &(Bound<Bytes>, Bound<Bytes>)) -> Self {
        Self::in_direction(base, group, range, Direction::Forward)
    }

    /// As [`new`](Self::new), from the greatest entry to the least.
    #[must_use]
    pub fn reverse(base: &Base, group: u32, range: &(Bound<Bytes>, Bound<Bytes>)) -> Self {
        Self::in_direction(base, group, range, Direction::Reverse)
    }

    fn in_direction(base: &Base, group: u32, range: &(Bound<Bytes>, Bound<Bytes>), direction: Direction) -> Self {
        let range = run_key::index_range(group, range);
        Self(TreeScan::new(base.tree.tiers().iter(), &range, ScanOptions { direction, ..ScanOptions::default() }))
    }

    /// The next entry.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn next(&mut self) -> Result<Option<IndexEntry>, RunError> {
        let entry = match self.0.next_ready() {
            Some(entry) => Some(entry),
            None => self.0.next().await?,
        };
        Ok(entry.as_ref().map(index_entry))
    }
}

/// What a run's entry of an index says. Of one that was removed, where that ends which is its values is not known.
#[must_use]
pub fn index_entry(entry: &RunEntry) -> IndexEntry {
    let bytes = entry.key.slice(run_key::PREFIX_BYTES.min(entry.key.len())..);
    let row = entry.row.as_deref().unwrap_or_default();
    let (values_len, behind) = codec::take_varint(row).unwrap_or((bytes.len() as u64, &[]));
    let ends_ms = codec::take_varint(behind).ok().map(|(ends_ms, _)| ends_ms);
    IndexEntry { values_len: (values_len as usize).min(bytes.len()), bytes, ends_ms }
}

/// When the document ends to which a run's entry of an index leads, in milliseconds since 1970, if it does.
#[must_use]
pub fn index_run_entry_ends_ms(entry: &RunEntry) -> Option<u64> {
    entry.row.as_ref().and_then(|_| index_entry(entry).ends_ms)
}

/// What a run holds for a document that came to a place in an index, or left it: how many bytes of the key are values, and
/// when the document ends, if it does.
#[must_use]
pub fn index_run_entry(group: u32, entry: &IndexEntry, is_there: bool, seq: Seq) -> RunEntry {
    let mut row = Vec::with_capacity(2);
    codec::put_varint(&mut row, entry.values_len as u64);
    if let Some(ends_ms) = entry.ends_ms {
        codec::put_varint(&mut row, ends_ms);
    }
    let row = is_there.then(|| row.into());
    RunEntry { key: run_key::index_key(group, &entry.bytes), seq, row }
}
