use std::ops::Bound;

use bucketdb_log::Seq;
use bucketdb_log::codec;
use bucketdb_lsm::TreeScan;
use bucketdb_runs::{RunEntry, RunError, ScanOptions};
use bytes::Bytes;

use crate::{Base, IndexEntry, KeyRange, ScanPage, TableId, WrittenRow, run_key};

/// The rows of a range that are in runs, in the order of their keys.
#[derive(Debug)]
pub struct BaseScan(TreeScan);

impl BaseScan {
    /// Of the runs that a page goes with.
    #[must_use]
    pub fn new(page: &ScanPage, range: &KeyRange) -> Self {
        let tiers = page.ingests.iter().chain(page.base.tree.tiers());
        Self(TreeScan::new(tiers, &run_key::range(range), ScanOptions::default()))
    }

    /// Whether no run has anything in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next row, if no request is needed for it. `None` says nothing.
    pub fn next_ready(&mut self) -> Option<WrittenRow> {
        self.0.next_ready().and_then(row)
    }

    /// The next row.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn next(&mut self) -> Result<Option<WrittenRow>, RunError> {
        Ok(self.0.next().await?.and_then(row))
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
        let range = run_key::index_range(group, range);
        Self(TreeScan::new(base.tree.tiers().iter(), &range, ScanOptions::default()))
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

fn index_entry(entry: &RunEntry) -> IndexEntry {
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
