use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use bucketdb::{Collection, Database, Freshness, KeyType, Schema};
use serde::Serialize;
use serde_json::Value;

use super::Row;
use crate::arguments::Mode;
use crate::failure::Failure;

/// How much may go into one commit by our estimate, which is never too low. The rest of its 8 MiB is for what a commit
/// holds beside documents.
const MAX_BATCH_BYTES: usize = (8 << 20) - (64 << 10);

/// What a change takes in a commit beside its key and its document.
const CHANGE_BYTES: usize = 64;

/// The field that is the key if nothing else was said.
const DEFAULT_KEY: &str = "id";

/// How documents get into a table.
#[derive(Clone, Debug)]
pub(crate) struct ImportOptions {
    /// The fields that are the key; `None` takes what the table has.
    pub(crate) key: Option<Vec<String>>,
    pub(crate) mode: Mode,
    pub(crate) batch_size: usize,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ImportReport {
    /// Documents read.
    pub(crate) read: u64,
    /// New ones.
    pub(crate) imported: u64,
    /// Those that had another content.
    pub(crate) replaced: u64,
    /// Those that were stored already, just so.
    pub(crate) unchanged: u64,
    /// Documents whose key occurred earlier in the file: the last one counts.
    pub(crate) duplicates: u64,
    pub(crate) commits: u64,
}

/// Gathers documents and commits them in as few records as possible. What is stored already is not written again: the
/// state is in memory, so that looking costs no request.
pub(crate) struct Importer {
    db: Database,
    table: String,
    /// Reads what this process knows.
    collection: Collection,
    schema: Option<Schema>,
    key: Vec<String>,
    options: ImportOptions,
    pending: Vec<Pending>,
    pending_bytes: usize,
    /// Where the document with a key is among the pending ones.
    places: HashMap<String, usize>,
    /// Hashes of all keys that were read: 128 bits, so that two do not meet by chance.
    seen: HashSet<u128>,
    report: ImportReport,
}

struct Pending {
    line: u64,
    key: Value,
    document: Value,
    size_bytes: usize,
    /// Whether its key came earlier in the file.
    is_duplicate: bool,
}

/// A document that cannot be imported.
#[derive(Debug)]
pub(crate) struct RowFailure {
    /// The line of the document; `None` if the failure is about no single one.
    pub(crate) line: Option<u64>,
    pub(crate) failure: Failure,
}

impl RowFailure {
    fn at(line: u64, failure: Failure) -> Self {
        Self { line: Some(line), failure: failure.of_data() }
    }
}

impl From<Failure> for RowFailure {
    fn from(failure: Failure) -> Self {
        Self { line: None, failure }
    }
}

impl From<bucketdb::Error> for RowFailure {
    fn from(error: bucketdb::Error) -> Self {
        Failure::from(error).into()
    }
}

impl Importer {
    /// Begins an import. The database is made as fresh as can be, once.
    pub(crate) async fn new(db: &Database, table: &str, options: ImportOptions) -> Result<Self, Failure> {
        db.refresh(Freshness::Strict).await?;
        let collection = db.collection(table).with_freshness(Freshness::Local);
        let schema = collection.schema().await?;
        let known: Option<Vec<String>> =
            schema.as_ref().map(|schema| schema.key().iter().map(|field| field.name.clone()).collect());
        let key = match (known, options.key.clone()) {
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
        Ok(Self {
            db: db.clone(),
            table: table.to_owned(),
            collection,
            schema,
            key,
            options,
            pending: Vec::new(),
            pending_bytes: 0,
            places: HashMap::new(),
            seen: HashSet::new(),
            report: ImportReport::default(),
        })
    }

    /// The table's schema, if there is one yet.
    pub(crate) fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// The fields of the key.
    pub(crate) fn key(&self) -> &[String] {
        &self.key
    }

    /// What was done so far.
    pub(crate) fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Takes a document, and commits those before it if no more fit. If it cannot be imported, those before it stay to
    /// be committed.
    pub(crate) async fn add(&mut self, row: Row) -> Result<(), RowFailure> {
        let Row { line, document } = row;
        let (key, types) = self.key_of(&document).map_err(|failure| RowFailure::at(line, failure))?;
        if self.schema.is_none() {
            self.schema = Some(open_schema(&self.table, &self.key, &types));
        }
        let key_text = key.to_string();
        let is_duplicate = !self.seen.insert(hash(&key_text));
        if is_duplicate && self.options.mode == Mode::Insert {
            let failure = Failure::new("already_exists", format!("key {key} occurs a second time in the file"));
            return Err(RowFailure::at(line, failure));
        }
        self.report.read += 1;
        self.report.duplicates += u64::from(is_duplicate);
        let size_bytes = stored_bytes(&document) + key_text.len() + CHANGE_BYTES;
        if let Some(earlier) = self.places.get(&key_text).and_then(|place| self.pending.get_mut(*place)) {
            self.pending_bytes = self.pending_bytes - earlier.size_bytes + size_bytes;
            *earlier = Pending { line, key, document, size_bytes, is_duplicate: earlier.is_duplicate };
            return Ok(());
        }
        if self.pending_bytes + size_bytes > MAX_BATCH_BYTES || self.pending.len() >= self.options.batch_size {
            self.make_room(size_bytes).await?;
        }
        self.places.insert(key_text, self.pending.len());
        self.pending_bytes += size_bytes;
        self.pending.push(Pending { line, key, document, size_bytes, is_duplicate });
        Ok(())
    }

    /// Commits what is left.
    pub(crate) async fn finish(&mut self) -> Result<(), RowFailure> {
        let stopped = self.drop_unchanged().await?;
        self.commit().await?;
        stopped.map_or(Ok(()), Err)
    }

    /// Commits what is gathered, unless so much of it is stored already that there is room without.
    async fn make_room(&mut self, size_bytes: usize) -> Result<(), RowFailure> {
        if let Some(stopped) = self.drop_unchanged().await? {
            self.commit().await?;
            return Err(stopped);
        }
        let has_room = self.pending_bytes.saturating_add(size_bytes) <= MAX_BATCH_BYTES / 2
            && self.pending.len() < self.options.batch_size.div_ceil(2);
        if has_room { Ok(()) } else { self.commit().await }
    }

    /// Drops documents that are stored already, just so. Where none may exist, the first that does ends the import: it
    /// and all behind it are dropped, and why is told.
    async fn drop_unchanged(&mut self) -> Result<Option<RowFailure>, RowFailure> {
        let mut kept = Vec::with_capacity(self.pending.len());
        let mut stopped = None;
        for pending in std::mem::take(&mut self.pending) {
            let stored = match self.collection.get(&pending.key).await {
                Ok(stored) => stored,
                Err(error) => {
                    stopped = Some(RowFailure::at(pending.line, error.into()));
                    break;
                }
            };
            if stored.is_some() && self.options.mode == Mode::Insert {
                let message = format!("table {} has a document with key {} already", self.table, pending.key);
                stopped = Some(RowFailure::at(pending.line, Failure::new("already_exists", message)));
                break;
            }
            if stored.is_some_and(|stored| stored == pending.document) {
                self.report.unchanged += u64::from(!pending.is_duplicate);
            } else {
                kept.push(pending);
            }
        }
        self.pending_bytes = kept.iter().map(|pending| pending.size_bytes).sum();
        self.places = (0..).zip(&kept).map(|(place, pending)| (pending.key.to_string(), place)).collect();
        self.pending = kept;
        Ok(stopped)
    }

    /// Commits everything that is pending, or all that stands before the first document that cannot be stored.
    async fn commit(&mut self) -> Result<(), RowFailure> {
        let pending = std::mem::take(&mut self.pending);
        self.places.clear();
        self.pending_bytes = 0;
        let (Some(first), Some(schema)) = (pending.first(), &self.schema) else { return Ok(()) };
        if self.collection.schema().await?.is_none() {
            self.db.create_collection(schema.clone()).await?;
        }
        let first_line = first.line;
        let mut batch = self.db.batch();
        let (mut imported, mut replaced, mut stopped) = (0, 0, None);
        for Pending { line, key, document, is_duplicate, .. } in &pending {
            let added = match self.options.mode {
                Mode::Put => batch.put_into(&self.collection, document),
                Mode::Insert => batch.insert_into(&self.collection, document),
            };
            if let Err(error) = added {
                stopped = Some(RowFailure::at(*line, error.into()));
                break;
            }
            if !is_duplicate {
                let is_new = self.collection.get(key).await?.is_none();
                *(if is_new { &mut imported } else { &mut replaced }) += 1;
            }
        }
        if !batch.is_empty() {
            let is_single = batch.len() == 1;
            match batch.commit().await {
                Ok(_) => {}
                // Nothing else can be meant if there was only one.
                Err(error) if is_single => return Err(RowFailure::at(first_line, error.into())),
                Err(error) => return Err(Failure::from(error).of_data().into()),
            }
            self.report.commits += 1;
            self.report.imported += imported;
            self.report.replaced += replaced;
        }
        stopped.map_or(Ok(()), Err)
    }

    /// The key in a document, and what its fields hold.
    fn key_of(&self, document: &Value) -> Result<(Value, Vec<KeyType>), Failure> {
        let mut values = Vec::new();
        let mut types = Vec::new();
        for name in &self.key {
            let invalid = |reason: &str| Failure::new("invalid_key", format!("field {name:?}, the key, {reason}"));
            let value = document.get(name).ok_or_else(|| invalid("is missing"))?;
            let wanted = self.schema.as_ref().and_then(|schema| schema.key().get(values.len()));
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

fn hash(text: &str) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
