use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bucketdb_documents::{EncodedKey, KeyRange, Scan, ScanRow, TableId};
use bytes::Bytes;

use crate::origin::View;
use crate::{Result, Transaction};

/// How many rows are read while writers wait.
const PAGE_ROWS: usize = 1024;

/// Reads the rows of a key range page by page at one moment, together with what a transaction wrote itself.
pub(crate) struct RowScan {
    view: View,
    /// What was not visited yet.
    rest: KeyRange,
    page: VecDeque<ScanRow>,
    is_last: bool,
    /// What the transaction had written when the scan began; `None` for a row that it removed.
    own: BTreeMap<EncodedKey, Option<Bytes>>,
    visited: Option<Visited>,
}

/// The range in a transaction's read set that grows with its scan: rows that were not visited are not read.
struct Visited {
    transaction: Transaction,
    table: TableId,
    start: Bound<EncodedKey>,
    end: Bound<EncodedKey>,
    /// Which of the ranges in the read set it is, once anything was visited.
    index: Option<usize>,
}

impl RowScan {
    pub(crate) fn new(view: View, range: KeyRange) -> Result<Self> {
        let own = view.transaction.as_ref().map(|own| own.own_writes(&range)).transpose()?.unwrap_or_default();
        let visited = view.transaction.clone().map(|transaction| Visited {
            transaction,
            table: range.table,
            start: range.start.clone(),
            end: range.end.clone(),
            index: None,
        });
        let is_last = range.is_empty();
        Ok(Self { view, rest: range, page: VecDeque::new(), is_last, own, visited })
    }

    /// The next row in the order of the keys.
    pub(crate) fn next(&mut self) -> Result<Option<ScanRow>> {
        loop {
            self.fill_page()?;
            let stored = self.page.front().map(|row| &row.key);
            let own_is_next = match (stored, self.own.first_key_value()) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(stored), Some((own, _))) => own <= stored,
            };
            let (key, row) = if own_is_next {
                let Some((key, row)) = self.own.pop_first() else { continue };
                self.page.pop_front_if(|stored| stored.key == key);
                (key, row)
            } else if let Some(ScanRow { key, row }) = self.page.pop_front() {
                (key, Some(row))
            } else {
                if let Some(visited) = &mut self.visited {
                    visited.up_to(visited.end.clone())?;
                }
                return Ok(None);
            };
            if let Some(visited) = &mut self.visited {
                visited.up_to(Bound::Included(key.clone()))?;
            }
            if let Some(row) = row {
                return Ok(Some(ScanRow { key, row }));
            }
        }
    }

    fn fill_page(&mut self) -> Result<()> {
        if !self.page.is_empty() || self.is_last {
            return Ok(());
        }
        let rest = &self.rest;
        let page = self
            .view
            .moment
            .read(|documents, at| documents.scan(&Scan { range: rest.clone(), at, limit: PAGE_ROWS }))?;
        self.page = page.into();
        self.is_last = self.page.len() < PAGE_ROWS;
        if let Some(last) = self.page.back() {
            self.rest.start = Bound::Excluded(last.key.clone());
        }
        Ok(())
    }
}

impl Visited {
    fn up_to(&mut self, end: Bound<EncodedKey>) -> Result<()> {
        let range = KeyRange { table: self.table, start: self.start.clone(), end };
        self.index = Some(self.transaction.note_range(self.index, range)?);
        Ok(())
    }
}
