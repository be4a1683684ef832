use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{Base, Documents, KeyRange, RunLookup, Scan, TableId, WrittenRow};
use bytes::Bytes;

use crate::Result;
use crate::moment::Moment;

/// How many rows are read while writers wait.
const PAGE_ROWS: usize = 1024;

/// What was written behind the base in a range of keys, page by page.
pub(crate) struct Written<'a> {
    moment: &'a Moment,
    rest: Option<KeyRange>,
}

impl<'a> Written<'a> {
    pub(crate) fn new(moment: &'a Moment, range: KeyRange) -> Self {
        Self { moment, rest: Some(range) }
    }

    /// `None` behind the last page.
    pub(crate) fn next_page(&mut self) -> Option<Result<Vec<WrittenRow>>> {
        let range = self.rest.take()?;
        let scan = |documents: &Documents, at| documents.scan(&Scan { range: range.clone(), at, limit: PAGE_ROWS });
        let rows = match self.moment.read(scan) {
            Ok(Some(page)) => page.rows,
            Ok(None) => return Some(Err(self.moment.expired())),
            Err(error) => return Some(Err(error)),
        };
        if let Some(last) = rows.last().filter(|_| rows.len() == PAGE_ROWS) {
            self.rest = Some(KeyRange { start: Bound::Excluded(last.key.clone()), ..range });
        }
        Some(Ok(rows))
    }

    /// What a base has of rows of a table that were written again.
    pub(crate) async fn before(
        &self,
        base: &Arc<Base>,
        table: TableId,
        rows: &[WrittenRow],
    ) -> Result<Vec<Option<Bytes>>> {
        if base.has_nothing_of(table) {
            return Ok(vec![None; rows.len()]);
        }
        let lookups: Vec<RunLookup> = rows.iter().map(|row| RunLookup::in_base(base, table, &row.key)).collect();
        let found = self.moment.explained(RunLookup::get_many(&lookups).await).await?;
        Ok(found.into_iter().map(|found| found.map(|found| found.row)).collect())
    }
}
