use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{Base, BaseScan, EncodedKey, Expiry, KeyRange, Scan, ScanRow, TableId, WrittenRow};
use bytes::Bytes;

use crate::origin::View;
use crate::stretch::{Rows, Stretch};
use crate::{Result, Transaction};

/// How many rows are read while writers wait.
const PAGE_ROWS: usize = 1024;

/// Reads the rows of a key range at one moment: what was written behind the base page by page, the base's runs as they
/// come, and what a transaction wrote itself.
pub(crate) struct RowScan {
    view: View,
    /// What was not visited yet.
    rest: KeyRange,
    written: VecDeque<WrittenRow>,
    /// Whether nothing was written behind those.
    is_last: bool,
    base: Option<OpenBase>,
    /// What the transaction had written when the scan began; `None` for a row that it removed.
    own: BTreeMap<EncodedKey, Option<Bytes>>,
    visited: Option<Visited>,
    /// Which rows are passed over because they have ended.
    expiry: Option<Expiry>,
}

/// The runs that are being read.
struct OpenBase {
    base: Arc<Base>,
    scan: BaseScan,
    next: Option<WrittenRow>,
    is_over: bool,
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
    /// Of the rows that are seen at the view's moment: those that have ended are not.
    pub(crate) fn live(view: View, range: KeyRange) -> Result<Self> {
        let expiry = view.moment.expiry(range.table)?;
        Ok(Self { expiry, ..Self::new(view, range)? })
    }

    /// Of all rows, those that have ended included.
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
        Ok(Self { view, rest: range, written: VecDeque::new(), is_last, base: None, own, visited, expiry: None })
    }

    /// The next row, if it takes neither a request nor a look at what was written: where the runs have all that is left,
    /// and it is in memory. `None` says nothing.
    fn next_ready(&mut self) -> Option<ScanRow> {
        let has_runs_only = self.is_last && self.written.is_empty() && self.own.is_empty() && self.visited.is_none();
        let open = self.base.as_mut().filter(|open| has_runs_only && open.next.is_none() && !open.is_over)?;
        loop {
            let WrittenRow { key, row, .. } = open.scan.next_ready()?;
            if let Some(row) = row.filter(|row| is_live(self.expiry.as_ref(), row)) {
                return Some(ScanRow { key, row });
            }
        }
    }

    /// What comes next in the order of the keys: as many rows as the runs have below the next key that was written elsewhere.
    pub(crate) async fn next_stretch(&mut self) -> Result<Option<Stretch>> {
        self.fill_page()?;
        if let Some(open) = self.base.as_mut().filter(|open| self.visited.is_none() && open.next.is_none()) {
            // Without a transaction there are no own writes.
            let before = self.written.front().map(|row| &row.key);
            if let Some(rows) = open.scan.take_ready(before) {
                return Ok(Some(Stretch::Many(Rows::new(rows, self.expiry.clone()))));
            }
        }
        Ok(self.next().await?.map(Stretch::One))
    }

    /// The next row in the order of the keys.
    pub(crate) async fn next(&mut self) -> Result<Option<ScanRow>> {
        if let Some(row) = self.next_ready() {
            return Ok(Some(row));
        }
        loop {
            let Some((key, row)) = self.next_of_any().await? else {
                if let Some(visited) = &mut self.visited {
                    visited.up_to(visited.end.clone())?;
                }
                return Ok(None);
            };
            if let Some(visited) = &mut self.visited {
                visited.up_to(Bound::Included(key.clone()))?;
            }
            if let Some(row) = row.filter(|row| is_live(self.expiry.as_ref(), row)) {
                return Ok(Some(ScanRow { key, row }));
            }
        }
    }

    /// The next key in any of the sources, with the row that it has, if it is not removed.
    async fn next_of_any(&mut self) -> Result<Option<(EncodedKey, Option<Bytes>)>> {
        self.fill_page()?;
        self.fill_base().await?;
        let of_base = self.base.as_ref().and_then(|base| base.next.as_ref());
        let of_written = self.written.front();
        let stored = match (of_base, of_written) {
            (None, None) => None,
            (Some(row), None) | (None, Some(row)) => Some(&row.key),
            (Some(first), Some(second)) => Some((&first.key).min(&second.key)),
        };
        let own_is_next = match (stored, self.own.first_key_value()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(stored), Some((own, _))) => own <= stored,
        };
        if own_is_next {
            let Some((key, row)) = self.own.pop_first() else { return Ok(None) };
            self.pop_stored(&key);
            return Ok(Some((key, row)));
        }
        let Some(key) = stored.cloned() else { return Ok(None) };
        Ok(self.pop_stored(&key).map(|row| (row.key, row.row)))
    }

    /// Takes the row of a key from the front of both sources; the one that was written later counts.
    fn pop_stored(&mut self, key: &EncodedKey) -> Option<WrittenRow> {
        let written = self.written.pop_front_if(|row| row.key == *key);
        let of_base = self.base.as_mut().and_then(|base| base.next.take_if(|row| row.key == *key));
        match (written, of_base) {
            (Some(written), Some(of_base)) if of_base.version > written.version => Some(of_base),
            (Some(written), _) => Some(written),
            (None, of_base) => of_base,
        }
    }

    fn fill_page(&mut self) -> Result<()> {
        if !self.written.is_empty() || self.is_last {
            return Ok(());
        }
        let rest = &self.rest;
        let page = self
            .view
            .moment
            .read(|documents, at| documents.scan(&Scan { range: rest.clone(), at, limit: PAGE_ROWS }))?;
        let page = page.ok_or_else(|| self.view.moment.expired())?;
        if self.base.as_ref().is_none_or(|open| !Arc::ptr_eq(&open.base, &page.base)) {
            // At the beginning; or there was a checkpoint, and what was in memory is in other runs now.
            let scan = BaseScan::new(&page, rest);
            let is_over = scan.is_empty();
            self.base = Some(OpenBase { base: page.base, scan, next: None, is_over });
        }
        self.written = page.rows.into();
        self.is_last = self.written.len() < PAGE_ROWS;
        if let Some(last) = self.written.back() {
            self.rest.start = Bound::Excluded(last.key.clone());
        }
        Ok(())
    }

    async fn fill_base(&mut self) -> Result<()> {
        let Some(open) = self.base.as_mut().filter(|open| open.next.is_none() && !open.is_over) else {
            return Ok(());
        };
        open.next = match open.scan.next_ready() {
            Some(row) => Some(row),
            None => match open.scan.next().await {
                Ok(row) => row,
                Err(error) => return Err(self.view.moment.explain(error).await),
            },
        };
        open.is_over = open.next.is_none();
        Ok(())
    }
}

/// Whether a row has not ended.
pub(crate) fn is_live(expiry: Option<&Expiry>, row: &[u8]) -> bool {
    expiry.is_none_or(|expiry| !expiry.has_ended(row))
}

impl Visited {
    fn up_to(&mut self, end: Bound<EncodedKey>) -> Result<()> {
        let range = KeyRange { table: self.table, start: self.start.clone(), end };
        self.index = Some(self.transaction.note_range(self.index, range)?);
        Ok(())
    }
}
