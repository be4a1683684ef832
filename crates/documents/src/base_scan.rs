use bucketdb_lsm::TreeScan;
use bucketdb_runs::{RunEntry, RunError, ScanOptions};

use crate::{KeyRange, ScanPage, TableId, WrittenRow, run_key};

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
