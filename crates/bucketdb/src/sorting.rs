use bucketdb_documents::ScanRow;
use bucketdb_query::{Order, TopK};
use bytes::Bytes;
use serde_json::Value;

use crate::request::Match;
use crate::row_reader::RowReader;
use crate::rows::TableRef;
use crate::stretch::StoredRow;
use crate::{Error, Result};

/// What a document takes in memory beside its bytes, about.
const OVERHEAD_BYTES: usize = 160;

/// The documents of a query that no index gives in its order, in bounded memory.
pub(crate) struct Sorting<'a> {
    table: &'a TableRef,
    order: Order,
    kept: TopK<Match>,
    size_bytes: usize,
    most_bytes: usize,
}

impl<'a> Sorting<'a> {
    /// Keeps the first `limit` documents.
    pub(crate) fn new(table: &'a TableRef, order: Order, limit: usize, most_bytes: usize) -> Self {
        Self { table, kept: TopK::new(order.clone(), limit), order, size_bytes: 0, most_bytes }
    }

    /// Takes a document in.
    ///
    /// # Errors
    /// [`Error::OrderTooLarge`] if that takes too much memory.
    pub(crate) fn add(&mut self, ScanRow { key, row }: ScanRow) -> Result<()> {
        let positions = self.table.positions(&self.order, &key, &row)?;
        // What was read with it would be held for it otherwise.
        let (key, row) = (key.detached(), Bytes::copy_from_slice(&row));
        let found = Match { key, row };
        self.size_bytes += size_bytes(&positions, &found);
        if let Some((positions, left_out)) = self.kept.push(positions, found) {
            self.size_bytes -= size_bytes(&positions, &left_out);
        }
        if self.size_bytes <= self.most_bytes {
            return Ok(());
        }
        Err(Error::OrderTooLarge {
            table: self.table.name().to_owned(),
            order: self.order.to_string(),
            documents: self.kept.len(),
            most_bytes: self.most_bytes,
        })
    }

    /// Whether a row would not be kept.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn passes_over(&self, row: StoredRow<'_>, reader: Option<&mut RowReader>) -> Result<bool> {
        let passed = reader.map(|reader| self.kept.passes_over(&reader.read_asked(row))).transpose();
        let passed = passed.map_err(|error| self.table.invalid_document(row.to_row().key, error))?;
        Ok(passed.unwrap_or(false))
    }

    /// In order.
    pub(crate) fn finish(self) -> impl Iterator<Item = Match> + use<> {
        self.kept.into_sorted_vec().into_iter()
    }
}

fn size_bytes(positions: &[Option<Value>], found: &Match) -> usize {
    let positions = size_of_val(positions) + positions.iter().flatten().map(value_bytes).sum::<usize>();
    OVERHEAD_BYTES + found.key.as_bytes().len() + found.row.len() + positions
}

/// What a value takes beside its own place, about.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(elements) => size_of::<Value>() * elements.len() + elements.iter().map(value_bytes).sum::<usize>(),
        Value::Object(fields) => {
            let entry = size_of::<(String, Value, u64)>();
            64 + fields.iter().map(|(name, value)| entry + name.len() + value_bytes(value)).sum::<usize>()
        }
    }
}
