use bucketdb::{Collection, Database, Freshness, KeyType, Schema};
use serde_json::Value;

use super::Row;
use super::importer::RowFailure;
use crate::arguments::Mode;
use crate::failure::Failure;

/// What a change takes in a commit beside its key and its document.
const CHANGE_BYTES: usize = 64;

/// The field that is the key if nothing else was said.
const DEFAULT_KEY: &str = "id";

/// The table that documents go into.
pub(super) struct Target {
    pub(super) db: Database,
    pub(super) table: String,
    /// Reads what this process knows.
    pub(super) collection: Collection,
    /// `None` until the first document of a new table says of what types its key is.
    pub(super) schema: Option<Schema>,
    pub(super) key: Vec<String>,
    pub(super) mode: Mode,
}

/// A document that is to be stored.
pub(super) struct Pending {
    pub(super) line: u64,
    pub(super) key: Value,
    /// The key as text, by which two keys are compared.
    pub(super) key_text: String,
    pub(super) document: Value,
    /// At least what it takes in a commit.
    pub(super) size_bytes: usize,
    /// Whether its key came earlier in the file.
    pub(super) is_duplicate: bool,
    /// Which document of the file it is, counted from 1.
    pub(super) place: u64,
}

impl Target {
    /// The database is made as fresh as can be, once.
    pub(super) async fn new(
        db: &Database,
        table: &str,
        wanted: Option<Vec<String>>,
        mode: Mode,
    ) -> Result<Self, Failure> {
        db.refresh(Freshness::Strict).await?;
        let collection = db.collection(table).with_freshness(Freshness::Local);
        let schema = collection.schema().await?;
        let known: Option<Vec<String>> =
            schema.as_ref().map(|schema| schema.key().iter().map(|field| field.name.clone()).collect());
        let key = match (known, wanted) {
            (Some(known), Some(wanted)) if known != wanted => {
                let (known, wanted) = (known.join(","), wanted.join(","));
                return Err(Failure::usage(format!("the key of table {table} is {known}, and --key says {wanted}")));
            }
            (Some(known), _) => known,
            (None, wanted) => {
                let key = wanted.unwrap_or_else(|| vec![DEFAULT_KEY.to_owned()]);
                // A name that cannot be is refused before anything is read.
                open_schema(table, &key, &vec![KeyType::Text; key.len()]).check().map_err(bucketdb::Error::from)?;
                key
            }
        };
        Ok(Self { db: db.clone(), table: table.to_owned(), collection, schema, key, mode })
    }

    /// What a row comes to in this table.
    pub(super) fn prepare(&mut self, row: Row) -> Result<Pending, RowFailure> {
        let Row { line, mut document } = row;
        self.unify(&mut document);
        let (key, types) = self.key_of(&document).map_err(|failure| RowFailure::at(line, failure))?;
        if self.schema.is_none() {
            self.schema = Some(open_schema(&self.table, &self.key, &types));
        }
        let key_text = key.to_string();
        let size_bytes = stored_bytes(&document) + key_text.len() + CHANGE_BYTES;
        Ok(Pending { line, key, key_text, document, size_bytes, is_duplicate: false, place: 0 })
    }

    /// Gives texts that stand for a value the form in which they are stored, so that a document that is there already is
    /// known again.
    fn unify(&self, document: &mut Value) {
        for field in self.schema.iter().flat_map(Schema::fields) {
            let Some(text_type) = field.field_type.text_type() else { continue };
            if let Some(Value::String(text)) = document.get_mut(&field.name)
                && let Some(value) = text_type.parse(text)
            {
                *text = value.to_string();
            }
        }
    }

    /// Makes the table, if it is new and a document said what its key is.
    pub(super) async fn create(&self) -> Result<(), bucketdb::Error> {
        if let Some(schema) = &self.schema
            && self.collection.schema().await?.is_none()
        {
            self.db.create_collection(schema.clone()).await?;
        }
        Ok(())
    }

    /// Why a document may not be inserted.
    pub(super) fn exists_already(&self, pending: &Pending) -> RowFailure {
        let message = format!("table {} has a document with key {} already", self.table, pending.key);
        RowFailure::at(pending.line, Failure::new("already_exists", message))
    }

    /// The key in a document, and what its fields hold.
    fn key_of(&self, document: &Value) -> Result<(Value, Vec<KeyType>), Failure> {
        let mut values = Vec::new();
        let mut types = Vec::new();
        for name in &self.key {
            let invalid = |reason: &str| Failure::new("invalid_key", format!("field {name:?}, the key, {reason}"));
            let value = document.get(name).ok_or_else(|| invalid("is missing"))?;
            let wanted = self.schema.as_ref().and_then(|schema| schema.key().get(values.len()));
            let declared = wanted.map(|field| field.key_type).filter(|wanted| wanted.text_type().is_some());
            if let Some(key_type) = declared
                && let Some(part) = key_type.part(value).and_then(|part| part.text_value())
            {
                // In one form, in whichever it is written.
                values.push(part.to_string().into());
                types.push(key_type);
                continue;
            }
            let key_type = match value {
                Value::String(_) => KeyType::Text,
                Value::Bool(_) => KeyType::Boolean,
                Value::Number(number) if !number.is_f64() => KeyType::Integer,
                Value::Array(_) if wanted.is_some_and(|field| field.key_type == KeyType::Bytes) => KeyType::Bytes,
                _ => return Err(invalid(&format!("is {value}, and must be text, a whole number or a boolean"))),
            };
            if let Some(wanted) = wanted.filter(|field| field.key_type != key_type) {
                return Err(invalid(&format!("is {value}, and in this table it is of type {}", wanted.key_type)));
            }
            values.push(value.clone());
            types.push(key_type);
        }
        let key = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        Ok((key, types))
    }
}

/// The schema of a table without declared fields.
fn open_schema(table: &str, key: &[String], types: &[KeyType]) -> Schema {
    let names: Vec<&str> = key.iter().map(String::as_str).collect();
    Schema::builder(table).version(0).key(&names).finish().with_key_types(types)
}

/// At least what the document takes when it is stored.
fn stored_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 9,
        Value::String(text) => 5 + text.len(),
        Value::Array(items) => 5 + items.iter().map(stored_bytes).sum::<usize>(),
        Value::Object(fields) => {
            5 + fields.iter().map(|(name, value)| 5 + name.len() + stored_bytes(value)).sum::<usize>()
        }
    }
}
