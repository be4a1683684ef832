use std::collections::VecDeque;
use std::sync::Arc;

use bucketdb_documents::{KeyRange, Scan, TableId, WrittenRow, run_entry};
use bucketdb_log::Seq;
use bucketdb_runs::RunEntry;

use crate::Error;
use crate::database::Inner;

/// How many rows are read while writers wait.
const PAGE_ROWS: usize = 1024;

/// What was written since the last checkpoint, up to a pinned position, in the order of runs.
pub(crate) struct WrittenRows {
    inner: Arc<Inner>,
    at: Seq,
    /// The tables that were not read yet, in order.
    tables: VecDeque<TableId>,
    /// What is left of the present table.
    rest: Option<KeyRange>,
    page: VecDeque<WrittenRow>,
    table: TableId,
    /// Only what was written behind the first and up to the second position.
    between: (Seq, Seq),
    /// Why it ended before its end.
    failure: Option<Error>,
}

impl WrittenRows {
    pub(crate) fn new(inner: Arc<Inner>, at: Seq, tables: &[TableId], between: (Seq, Seq)) -> Self {
        let tables: VecDeque<TableId> = tables.iter().copied().collect();
        Self { inner, at, tables, rest: None, page: VecDeque::new(), table: TableId(0), between, failure: None }
    }

    /// # Errors
    /// Why rows are missing, if any are.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.failure.map_or(Ok(()), Err)
    }

    fn next_row(&mut self) -> Result<Option<WrittenRow>, Error> {
        loop {
            if let Some(row) = self.page.pop_front() {
                if row.version > self.between.0 && row.version <= self.between.1 {
                    return Ok(Some(row));
                }
                continue;
            }
            let Some(range) = self.rest.take() else {
                let Some(table) = self.tables.pop_front() else { return Ok(None) };
                self.table = table;
                self.rest = Some(KeyRange::all(table));
                continue;
            };
            let scan = Scan { range: range.clone(), at: self.at, limit: PAGE_ROWS };
            let page = self.inner.log.read(|documents, _| documents.scan(&scan))?;
            self.page = page.ok_or_else(|| self.inner.expired())?.rows.into();
            if self.page.len() == PAGE_ROWS
                && let Some(last) = self.page.back()
            {
                let start = std::ops::Bound::Excluded(last.key.clone());
                self.rest = Some(KeyRange { start, ..range });
            }
        }
    }
}

impl Iterator for WrittenRows {
    type Item = RunEntry;

    fn next(&mut self) -> Option<RunEntry> {
        match self.next_row() {
            Ok(row) => row.map(|row| run_entry(self.table, row)),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }
}
