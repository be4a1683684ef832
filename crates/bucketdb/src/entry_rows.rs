use std::collections::VecDeque;
use std::sync::Arc;

use bucketdb_documents::{EncodedKey, Field, FieldType, Found, Index, IndexEntry, KeyField, KeyPart, KeyType, ScanRow};
use bucketdb_query::{Path, Segment};
use serde_json::Value;

use crate::Result;
use crate::index_scan::{IndexScan, Stretch};
use crate::origin::View;
use crate::rows::TableRef;
use crate::seen::{Entry, Seen};

/// Documents as an index has them, in its order: their rows are not read.
pub(crate) struct EntryRows {
    scan: IndexScan,
    paths: Arc<[Path]>,
    found: VecDeque<Seen>,
    /// The values there are shown as they are stored, and not up to being equal.
    plain: Vec<Path>,
}

impl EntryRows {
    /// # Errors
    /// If the transaction that reads has ended.
    pub(crate) fn new(view: View, table: TableRef, index: Index, stretches: Vec<Stretch>) -> Result<Self> {
        let of_index = index.order.terms().iter().map(|term| term.path.clone());
        let paths = of_index.chain(key_paths(&table)).collect();
        Ok(Self {
            scan: IndexScan::new(view, table, index, stretches)?,
            paths,
            found: VecDeque::new(),
            plain: Vec::new(),
        })
    }

    /// Reads the rows of documents that have numbers, lists or objects at these paths: as stored, they may be written in another
    /// way than in the index.
    pub(crate) fn plain(mut self, paths: Vec<Path>) -> Self {
        self.plain = paths;
        self
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Seen>> {
        loop {
            if let Some(seen) = self.found.pop_front() {
                return Ok(Some(seen));
            }
            let page = self.scan.next_page().await?;
            if page.is_empty() {
                return Ok(None);
            }
            let seen: Vec<Result<Seen, EncodedKey>> = page.iter().map(|entry| self.entry(entry)).collect();
            // What an entry does not say is in the row.
            let keys: Vec<EncodedKey> = seen.iter().filter_map(|seen| seen.as_ref().err().cloned()).collect();
            let mut rows = VecDeque::new();
            if !keys.is_empty() {
                rows = self.scan.view.moment.get_many(self.scan.table.id, &keys).await?.into();
            }
            let row = |key: EncodedKey, rows: &mut VecDeque<_>| {
                let found: Option<Found> = rows.pop_front().flatten();
                found.map(|found| Seen::Row(ScanRow { key, row: found.row }))
            };
            self.found = seen
                .into_iter()
                .filter_map(|seen| match seen {
                    Ok(seen) => Some(seen),
                    Err(key) => row(key, &mut rows),
                })
                .collect();
        }
    }

    /// What an entry says, or the key of one that does not say it.
    fn entry(&self, entry: &IndexEntry) -> Result<Seen, EncodedKey> {
        let key = entry.key();
        let Some(mut values) = self.scan.index.read_values(entry.values()) else { return Err(key) };
        let is_plain =
            |value: &Option<Value>| matches!(value, None | Some(Value::Null | Value::Bool(_) | Value::String(_)));
        let mut shown = self.paths.iter().zip(&values).filter(|(path, _)| self.plain.contains(path));
        if !shown.all(|(_, value)| is_plain(value)) {
            return Err(key);
        }
        let Ok(parts) = key.parts() else { return Err(key) };
        for (part, field) in parts.into_iter().zip(self.scan.table.schema.key()) {
            if is_exact(&self.scan.table, field.key_type, &field.name) {
                values.push(part_value(part));
            }
        }
        Ok(Seen::Entry(Entry { key, paths: self.paths.clone(), values }))
    }
}

/// Whether a document mostly has at a path what an index, or the key, has of it to the letter: text, or a truth value, at
/// the top, or a field of the key.
pub(crate) fn is_plain(table: &TableRef, path: &Path) -> bool {
    let is_it = |field: &&Field| matches!(path.segments(), [Segment::Field(name)] if *name == field.name);
    if table.types.of_path(path).is_some() {
        return false;
    }
    let declared = table.schema.fields().iter().find(is_it).map(|field| field.field_type);
    matches!(declared, Some(FieldType::Text | FieldType::Bool)) || key_paths(table).any(|key| key == *path)
}

/// The fields of a table's key that its keys hold exactly as its documents do.
pub(crate) fn key_paths(table: &TableRef) -> impl Iterator<Item = Path> {
    let is_exact = |field: &&KeyField| is_exact(table, field.key_type, &field.name);
    table.schema.key().iter().filter(is_exact).map(|field| Path::field(&*field.name))
}

/// Whether a key holds the field as the document does: not where a type of its own says how it is stored.
fn is_exact(table: &TableRef, key_type: KeyType, name: &str) -> bool {
    use FieldType::{Bool, I8, I16, I32, I64, Text, U8, U16, U32, U64};
    let declared = table.schema.fields().iter().find(|field| field.name == name).map(|field| field.field_type);
    let is_open = table.schema.fields().is_empty();
    match (key_type, declared) {
        (
            KeyType::Bytes | KeyType::Uuid | KeyType::Timestamp | KeyType::Date | KeyType::Decimal | KeyType::Float,
            _,
        ) => false,
        (_, None) => is_open,
        (KeyType::Text, Some(declared)) => declared == Text,
        (KeyType::Integer, Some(declared)) => matches!(declared, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64),
        (KeyType::Boolean, Some(declared)) => declared == Bool,
    }
}

fn part_value(part: KeyPart) -> Option<Value> {
    match part {
        KeyPart::Text(text) => Some(text.into()),
        KeyPart::Boolean(value) => Some(value.into()),
        KeyPart::Integer(number) => {
            i64::try_from(number).map(Value::from).or_else(|_| u64::try_from(number).map(Value::from)).ok()
        }
        KeyPart::Bytes(_)
        | KeyPart::Uuid(_)
        | KeyPart::Timestamp { .. }
        | KeyPart::Date(_)
        | KeyPart::Decimal(_)
        | KeyPart::Float(_) => None,
    }
}
