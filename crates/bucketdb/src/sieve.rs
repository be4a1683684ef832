use std::fmt;
use std::sync::Arc;

use bucketdb_documents::{EncodedKey, ScanRow};
use bucketdb_query::Filter;
use bytes::Bytes;

use crate::Result;
use crate::page_cursor::After;
use crate::row_reader::RowReader;
use crate::rows::TableRef;
use crate::seen::Seen;
use crate::stretch::StoredRow;

/// Code that says whether a document is wanted.
#[derive(Clone)]
pub(crate) struct Predicate(pub(crate) Arc<RowTest>);

type RowTest = dyn Fn(&TableRef, &EncodedKey, &Bytes) -> Result<bool> + Send + Sync;

impl fmt::Debug for Predicate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Predicate")
    }
}

/// Which rows are wanted.
pub(crate) struct Sieve {
    pub(crate) filter: Option<Filter>,
    pub(crate) predicates: Vec<Predicate>,
    pub(crate) after: Option<After>,
}

impl Sieve {
    pub(crate) fn accepts(&self, table: &TableRef, key: &EncodedKey, row: &Bytes) -> Result<bool> {
        if let Some(filter) = &self.filter
            && !table.matches(filter, key, row)?
        {
            return Ok(false);
        }
        self.accepts_matching(table, key, row)
    }

    /// As [`accepts`](Self::accepts), of a row in its block, by a reader of the filter's paths if there may be one.
    pub(crate) fn accepts_stored(
        &self,
        table: &TableRef,
        row: StoredRow<'_>,
        reader: Option<&mut RowReader>,
    ) -> Result<bool> {
        let has_only_filter = self.after.is_none() && self.predicates.is_empty();
        if has_only_filter && self.filter.is_none() {
            return Ok(true);
        }
        let Some(reader) = reader else {
            let ScanRow { key, row } = row.to_row();
            return self.accepts(table, &key, &row);
        };
        if let Some(filter) = self.filter.as_ref().filter(|_| !row.is_accepted) {
            match filter.matches_in(&reader.read(row)) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => return Err(table.invalid_document(row.to_row().key, error)),
            }
        }
        if has_only_filter {
            return Ok(true);
        }
        let ScanRow { key, row } = row.to_row();
        self.accepts_matching(table, &key, &row)
    }

    /// Whether a row is wanted that the filter accepts.
    fn accepts_matching(&self, table: &TableRef, key: &EncodedKey, row: &Bytes) -> Result<bool> {
        if let Some(after) = &self.after
            && !after.is_before(table, key, row)?
        {
            return Ok(false);
        }
        for Predicate(accepts) in &self.predicates {
            if !accepts(table, key, row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn accepts_seen(&self, table: &TableRef, seen: &Seen) -> Result<bool> {
        match seen {
            Seen::Row(ScanRow { key, row }) => self.accepts(table, key, row),
            Seen::Entry(entry) => Ok(self.filter.as_ref().is_none_or(|filter| entry.matches(filter))),
        }
    }
}
