use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_documents::{
    Catalogue, Change, ChangeKind, Condition, DocumentKey, Documents, EncodedKey, Found, KeyPart, KeyType, Layouts,
    Proposal, ReadSet, Refusal, Schema, TableEntry, TableId, Transaction, Write, key_from_text, key_from_value, row,
};
use bucketdb_log::format::MAX_BODY_BYTES;
use bucketdb_log::{Commit, CommitError, Freshness, LogError, Seq};
use bucketdb_query::{Filter, Order, TextTypes};
use bytes::Bytes;
use serde_json::Value;

use crate::blobs::blob_expired;
use crate::database::Inner;
use crate::earlier::{Step, check_reachable, step_of};
use crate::stored_document::StoredDocument;
use crate::{Document, Error, Result, Versioned};

/// What a row can be read as: a [`Document`], or a JSON value.
pub trait Stored: Sized + Send + 'static {
    /// Reads it from a row.
    ///
    /// # Errors
    /// If the document has not the shape of the type.
    fn from_row(row: &[u8], layouts: &Layouts) -> Result<Self, row::RowError>;

    /// As what rows are read.
    #[doc(hidden)]
    fn reading() -> Reading;
}

/// As what rows are read.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    /// As JSON, as they are stored.
    Value,
    /// As documents of one version, with the step that leads to it, if there is one.
    Version(u32, Option<Step>),
}

impl<T: Document> Stored for T {
    fn reading() -> Reading {
        Reading::Version(T::schema().version(), step_of::<T>())
    }

    fn from_row(row: &[u8], layouts: &Layouts) -> Result<Self, row::RowError> {
        row::decode(row, layouts)
    }
}

impl Stored for Value {
    fn reading() -> Reading {
        Reading::Value
    }

    fn from_row(row: &[u8], layouts: &Layouts) -> Result<Self, row::RowError> {
        row::decode_value(row, layouts)
    }
}

/// A table as its users' handles hold it: what it takes to reach its rows.
#[derive(Clone, Debug)]
pub(crate) struct TableRef {
    pub(crate) id: TableId,
    pub(crate) schema: Arc<Schema>,
    /// To write rows under that schema, and to read those of any version.
    pub(crate) layouts: Layouts,
    pub(crate) reading: Reading,
    /// What the texts of its fields stand for, as far as is known: a query asks at its moment.
    pub(crate) types: TextTypes,
}

impl From<&TableEntry> for TableRef {
    /// Under the newest version of its schema.
    fn from(entry: &TableEntry) -> Self {
        let (schema, layouts, types) = (Arc::new(entry.schema().clone()), entry.layouts(), entry.types().clone());
        Self { id: entry.id, schema, layouts, reading: Reading::Value, types }
    }
}

impl TableRef {
    pub(crate) fn name(&self) -> &str {
        self.schema.table()
    }

    /// The same table, read as documents of that type.
    pub(crate) fn read_as<T: Stored>(self) -> Self {
        self.reading(T::reading())
    }

    /// The same table, read so.
    pub(crate) fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        if let Reading::Version(version, _) = self.reading {
            self.layouts = self.layouts.seen_as(version);
        }
        self
    }

    /// A row, or what a step makes of it if it is one of an earlier version.
    pub(crate) fn current<'a>(&self, key: &EncodedKey, row: &'a Bytes) -> Result<Cow<'a, Bytes>> {
        let Reading::Version(_, step) = self.reading else { return Ok(Cow::Borrowed(row)) };
        if !self.may_need_step() {
            return Ok(Cow::Borrowed(row));
        }
        let invalid = |error| self.invalid_document(key, error);
        let reached = row::schema_version(row).and_then(|written| check_reachable(written, &self.layouts));
        match (reached, step) {
            (Ok(()), _) => Ok(Cow::Borrowed(row)),
            (Err(_), Some(step)) => step(row, &self.layouts).map(Cow::Owned).map_err(invalid),
            (Err(error), None) => Err(invalid(error)),
        }
    }

    /// Whether [`current`](Self::current) may make another row of one.
    pub(crate) fn may_need_step(&self) -> bool {
        matches!(self.reading, Reading::Version(..)) && self.layouts.has_steps()
    }

    pub(crate) fn find(catalogue: &Catalogue, name: &str) -> Option<Self> {
        catalogue.by_name(name).map(Self::from)
    }

    pub(crate) fn invalid_key(&self, reason: impl ToString) -> Error {
        Error::InvalidKey { table: self.name().to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn invalid_document(&self, key: impl ToString, reason: impl ToString) -> Error {
        Error::InvalidDocument { table: self.name().to_owned(), key: key.to_string(), reason: reason.to_string() }
    }

    pub(crate) fn already_exists(&self, key: &EncodedKey) -> Error {
        Error::AlreadyExists { table: self.name().to_owned(), key: key.to_string() }
    }

    pub(crate) fn not_found(&self, key: &EncodedKey) -> Error {
        Error::NotFound { table: self.name().to_owned(), key: key.to_string() }
    }

    pub(crate) fn version_mismatch(&self, key: &EncodedKey, expected: Option<Seq>) -> Error {
        Error::VersionMismatch { table: self.name().to_owned(), key: key.to_string(), expected }
    }

    /// # Errors
    /// [`Error::InvalidKey`] if an update changed the key.
    pub(crate) fn check_same_key(&self, before: &EncodedKey, after: &EncodedKey) -> Result<()> {
        if before == after {
            return Ok(());
        }
        Err(self.invalid_key(format!("an update of {before} changed the key to {after}")))
    }

    pub(crate) fn decode<T: Stored>(&self, key: &EncodedKey, row: &Bytes) -> Result<T> {
        let row = self.current(key, row)?;
        T::from_row(&row, &self.layouts).map_err(|error| self.unreadable(key, &row, error))
    }

    /// What a change that was made of an earlier row has to keep of it.
    ///
    /// # Errors
    /// If it cannot be made of that row.
    pub(crate) fn made_of(&self, change: &mut Change, replaced: &Bytes) -> Result<()> {
        match self.reading {
            // JSON has all there is.
            Reading::Value => self.check_current(&change.key, replaced),
            Reading::Version(..) => self.keep_in(change, replaced),
        }
    }

    /// Whether a row may be written again as one of the version of the layouts without a program's own step.
    fn check_current(&self, key: &EncodedKey, row: &Bytes) -> Result<()> {
        let reached = row::schema_version(row).and_then(|written| check_reachable(written, &self.layouts));
        reached.map_err(|error| self.invalid_document(key, error))
    }

    /// The row as one of the version of the layouts; `None` if it is none of an earlier one.
    pub(crate) fn upgraded(&self, key: &EncodedKey, row: &Bytes) -> Result<Option<Bytes>> {
        match self.current(key, row)? {
            Cow::Owned(newer) => Ok(Some(newer)),
            Cow::Borrowed(row) => row::upgraded(row, &self.layouts).map_err(|error| self.invalid_document(key, error)),
        }
    }

    /// Why a row does not read as the type.
    pub(crate) fn unreadable(&self, key: &EncodedKey, row: &Bytes, error: row::RowError) -> Error {
        let own = self.layouts.version();
        let written = row::schema_version(row).unwrap_or(own);
        match self.reading {
            Reading::Version(..) if self.layouts.step_between(own, written).is_some() => {
                self.outdated(format!("the document {key} was written under version {written}: {error}"))
            }
            _ => self.invalid_document(key, error),
        }
    }

    /// Whether a filter accepts a row, of which no more is read than what the filter asks for. The filter was made
    /// [comparable](Filter::comparable) with the table's types.
    pub(crate) fn matches(&self, filter: &Filter, key: &EncodedKey, row: &Bytes) -> Result<bool> {
        let row = self.current(key, row)?;
        row::look(&row, &self.layouts, |document| filter.matches_in(&StoredDocument { document, types: &self.types }))
            .map_err(|error| self.invalid_document(key, error))
    }

    /// By what a row takes its place in an order; no more is read than the fields in which its paths begin.
    pub(crate) fn positions(&self, order: &Order, key: &EncodedKey, row: &Bytes) -> Result<Vec<Option<Value>>> {
        let names = order.terms().iter().filter_map(|term| term.path.first_field());
        let row = self.current(key, row)?;
        let part = row::look(&row, &self.layouts, |document| document.to_object(names))
            .map_err(|error| self.invalid_document(key, error))?;
        Ok(order.positions(&part, &self.types))
    }

    pub(crate) fn decode_versioned<T: Stored>(&self, key: &EncodedKey, found: &Found) -> Result<Versioned<T>> {
        Ok(Versioned { document: self.decode(key, &found.row)?, version: found.version })
    }

    /// The change that writes a typed document.
    pub(crate) fn put_document<T: Document>(&self, document: &T, condition: Condition) -> Result<Change> {
        let key = self.key(&document.key().parts())?;
        let row = row::encode(document, &self.layouts).map_err(|error| self.invalid_document(&key, error))?;
        Ok(Change { table: self.id, key, condition, kind: ChangeKind::Put(row) })
    }

    /// The change that writes a JSON document.
    pub(crate) fn put_value(&self, document: &Value, condition: Condition) -> Result<Change> {
        let key = self.key_of(document)?;
        let row = row::encode(document, &self.layouts).map_err(|error| self.invalid_document(&key, error))?;
        Ok(Change { table: self.id, key, condition, kind: ChangeKind::Put(row) })
    }

    pub(crate) fn delete(&self, key: EncodedKey, condition: Condition) -> Change {
        Change { table: self.id, key, condition, kind: ChangeKind::Delete }
    }

    /// The key that is a JSON value, or a list of them if it has several fields.
    pub(crate) fn parse_key(&self, key: &Value) -> Result<EncodedKey> {
        let types = self.schema.key_types();
        let parsed = match (key, types.as_slice()) {
            (Value::Array(values), [_, _, ..]) => key_from_value(&types, &values.iter().collect::<Vec<_>>()),
            _ => key_from_value(&types, &[key]),
        };
        parsed.map_err(|error| self.invalid_key(error))
    }

    /// The key with these fields.
    pub(crate) fn key(&self, parts: &[KeyPart]) -> Result<EncodedKey> {
        EncodedKey::new(parts).map_err(|error| self.invalid_key(error))
    }

    /// The key that a person wrote.
    pub(crate) fn parse_key_text(&self, key: &str) -> Result<EncodedKey> {
        key_from_text(&self.schema.key_types(), key).map_err(|error| self.invalid_key(error))
    }

    /// The key in a JSON document.
    pub(crate) fn key_of(&self, document: &Value) -> Result<EncodedKey> {
        if !document.is_object() {
            return Err(self.invalid_key("a document is a JSON object"));
        }
        let values: Vec<&Value> = self
            .schema
            .key()
            .iter()
            .map(|field| {
                let missing = || self.invalid_key(format!("field {:?} is missing", field.name));
                document.get(&field.name).ok_or_else(missing)
            })
            .collect::<Result<_>>()?;
        let types: Vec<KeyType> = self.schema.key_types();
        key_from_value(&types, &values).map_err(|error| self.invalid_key(error))
    }
}

impl Inner {
    /// Commits changes together.
    pub(crate) async fn write(self: &Arc<Self>, changes: Vec<Change>, freshness: Freshness) -> Result<Commit> {
        let transaction = Transaction { changes };
        check_size(&transaction)?;
        self.commit(transaction, None, freshness, self.commit_timeout).await
    }

    /// Commits a transaction, after looking up what its conditions rest on.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        transaction: Transaction,
        reads: Option<ReadSet>,
        freshness: Freshness,
        timeout: Duration,
    ) -> Result<Commit> {
        let (transaction, give_up_at) = (Arc::new(transaction), self.in_time(timeout));
        loop {
            let room = self.await_room(self.left_until(give_up_at)).await;
            let may_come = room.map_err(|error| self.explain(error))?;
            let committed = self.commit_now(&transaction, reads.as_ref(), freshness, self.left_until(give_up_at)).await;
            match committed {
                // Others were faster, and took the room that there was.
                Err(Error::Log(LogError::TailFull { .. })) if may_come && !self.left_until(give_up_at).is_zero() => {}
                outcome => return outcome,
            }
        }
    }

    /// As [`commit`](Self::commit), without waiting for room: for what is done after a checkpoint.
    pub(crate) async fn commit_now(
        self: &Arc<Self>,
        transaction: &Arc<Transaction>,
        reads: Option<&ReadSet>,
        freshness: Freshness,
        timeout: Duration,
    ) -> Result<Commit> {
        let is_conditional = transaction.changes.iter().any(|change| change.condition != Condition::Always);
        let give_up_at = self.in_time(timeout);
        loop {
            let (kept, known_versions) = self.keeping(transaction, freshness).await?;
            let (transaction, rests_on_kept) = match &kept {
                Some(kept) => (&kept.transaction, true),
                None => (transaction, false),
            };
            let claiming = self.claiming(transaction, reads).await?;
            let (transaction, reads) = match &claiming {
                Some(claiming) => (&claiming.transaction, claiming.reads.as_ref()),
                None => (transaction, reads),
            };
            let rests_on_rows = is_conditional
                || rests_on_kept
                || claiming.is_some()
                || self.log.read(|documents, _| documents.has_unique_index(transaction))?;
            if rests_on_rows || reads.is_some() {
                let read = reads.into_iter().flat_map(ReadSet::tables);
                self.check_clock(transaction.changes.iter().map(|change| change.table).chain(read)).await?;
            }
            let facts = if rests_on_rows { self.facts(transaction).await? } else { None };
            let left = self.left_until(give_up_at);
            let mut write = Write::new(transaction.clone(), known_versions, self.wall_ms());
            (write.reads, write.facts) = (reads.cloned(), facts);
            match self.log.commit(Proposal::Write(write), freshness, left).await {
                Err(CommitError::Refused(Refusal::Changed { table, key, .. }))
                    if !left.is_zero() && kept.as_ref().is_some_and(|kept| kept.rests_on(table, &key)) => {}
                // There was a checkpoint, or a bulk load, since the rows were looked up.
                Err(CommitError::Refused(Refusal::FactsTooOld)) if !left.is_zero() => {}
                Err(error)
                    if !left.is_zero() && claiming.as_ref().is_some_and(|claiming| claiming.may_pass(&error)) => {}
                Err(CommitError::Log(LogError::Swept { object })) => {
                    return Err(blob_expired(claiming.as_ref(), &object));
                }
                outcome => return outcome.map_err(|error| self.explain(error)),
            }
        }
    }

    /// Reads a row, which must be there, and writes what `change` makes of it, as [`upsert`](Self::upsert) does.
    pub(crate) async fn update<T>(
        self: &Arc<Self>,
        table: &TableRef,
        key: &EncodedKey,
        freshness: Freshness,
        mut change: impl FnMut(&Found) -> Result<(T, Change)>,
    ) -> Result<T> {
        let change = |found: Option<&Found>| change(found.ok_or_else(|| table.not_found(key))?);
        self.upsert(table, key, freshness, change).await
    }

    /// Reads a row and writes what `change` makes of it, which also gives the document as it will be; once more, from
    /// what is there then, whenever somebody else wrote the row in between.
    pub(crate) async fn upsert<T>(
        self: &Arc<Self>,
        table: &TableRef,
        key: &EncodedKey,
        mut freshness: Freshness,
        mut change: impl FnMut(Option<&Found>) -> Result<(T, Change)>,
    ) -> Result<T> {
        loop {
            let found = self.get(table.id, key, freshness).await?;
            let (document, write) = change(found.as_ref())?;
            table.check_same_key(key, &write.key)?;
            // A refusal is followed by another try, so what it rests on need not be fresh: the next try is.
            match self.write(vec![write], Freshness::Local).await {
                Err(Error::VersionMismatch { .. }) => freshness = Freshness::Local,
                outcome => return outcome.map(|_| document),
            }
        }
    }

    /// Registers a schema, unless it is registered already, and tells its table.
    pub(crate) async fn register(self: &Arc<Self>, schema: &Schema) -> Result<TableRef> {
        let (known, lacks_ttl) = self.log.read(|documents, _| {
            let entry = documents.catalogue().by_name(schema.table());
            (registered(documents, schema), entry.is_some_and(|entry| entry.lacks_ttl(schema)))
        })?;
        if let Some(table) = known.filter(|_| !lacks_ttl) {
            return Ok(table);
        }
        self.change_catalogue(Proposal::Register(schema.clone())).await?;
        let unknown = || Error::UnknownTable { table: schema.table().to_owned() };
        self.log.read(|documents, _| registered(documents, schema))?.ok_or_else(unknown)
    }

    /// Commits a change of the catalogue; `None` if it is as it is to be already.
    pub(crate) async fn change_catalogue(self: &Arc<Self>, proposal: Proposal) -> Result<Option<Commit>> {
        match self.propose(&proposal, Freshness::Strict).await {
            Ok(commit) => Ok(Some(commit)),
            Err(CommitError::Refused(Refusal::AlreadyRegistered(_))) => Ok(None),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// What went wrong, in words that name tables and keys.
    pub(crate) fn explain(&self, error: CommitError<Refusal>) -> Error {
        let name = |table: TableId| {
            let name = |documents: &Documents, _: Seq| {
                documents.catalogue().table(table).map(|entry| entry.schema().table().to_owned())
            };
            self.log.read(name).ok().flatten().unwrap_or_else(|| format!("number {}", table.0))
        };
        match error {
            CommitError::Refused(refusal) => match refusal {
                // Others claimed the blobs, or gave them up, again and again.
                Refusal::AlreadyExists { table: TableId::BLOBS, .. } => Error::CommitTimedOut,
                Refusal::ReadChanged { table: TableId::BLOBS, .. } => {
                    Error::Conflict { table: "of blobs".to_owned(), key: "of one of its blobs".to_owned() }
                }
                Refusal::AlreadyExists { table, key } => {
                    Error::AlreadyExists { table: name(table), key: key.to_string() }
                }
                Refusal::NotFound { table, key } => Error::NotFound { table: name(table), key: key.to_string() },
                Refusal::Changed { table, key, expected } => {
                    Error::VersionMismatch { table: name(table), key: key.to_string(), expected }
                }
                Refusal::ReadChanged { table, key } => Error::Conflict { table: name(table), key: key.to_string() },
                Refusal::TableCreated(table) => Error::TableConflict { table },
                Refusal::ReadsTooOld { at } => Error::TransactionTooLong { at },
                Refusal::FactsTooOld => Error::CommitTimedOut,
                Refusal::UnknownTable(table) | Refusal::AlreadyRegistered(table) => {
                    Error::UnknownTable { table: name(table) }
                }
                Refusal::UnknownIndex { table, fields } => Error::UnknownIndex { table, fields },
                Refusal::Duplicate { table, fields, key, holder } => Error::UniqueViolation {
                    table: name(table),
                    fields,
                    key: key.to_string(),
                    holder: holder.to_string(),
                },
                Refusal::IndexValueTooLarge { table, fields, key } => {
                    Error::IndexValueTooLarge { table: name(table), fields, key: key.to_string() }
                }
                Refusal::OutdatedVersion { table, version, accepts } => {
                    let reason = format!("version {accepts} is the lowest that may do this now");
                    Error::OutdatedSchema { table, version, reason }
                }
                Refusal::BranchExists { name } => Error::BranchExists { name },
                Refusal::UnknownBranch { name } => Error::UnknownBranch { name },
                Refusal::InvalidBranch { name, reason } => Error::InvalidBranch { name, reason },
                Refusal::SnapshotExists { name } => Error::SnapshotExists { name },
                Refusal::UnknownSnapshot { name } => Error::UnknownSnapshot { name },
                Refusal::InvalidSnapshot { name, reason } => Error::InvalidSnapshot { name, reason },
                Refusal::Schema(invalid) => Error::Schema(invalid),
            },
            CommitError::OutcomeUnknown { id, slot } => Error::CommitOutcomeUnknown { id, slot },
            CommitError::TooLarge { size_bytes, limit_bytes } => Error::BatchTooLarge { size_bytes, limit_bytes },
            CommitError::Log(error) => {
                self.heed(&error);
                Error::Log(error)
            }
            // The enum may grow: what is not known to have been written is not claimed to have been.
            CommitError::TimedOut | _ => Error::CommitTimedOut,
        }
    }
}

/// # Errors
/// [`Error::BatchTooLarge`] if the transaction does not fit a record.
pub(crate) fn check_size(transaction: &Transaction) -> Result<()> {
    let (size_bytes, limit_bytes) = (transaction.size_bytes(), MAX_BODY_BYTES);
    if size_bytes > limit_bytes { Err(Error::BatchTooLarge { size_bytes, limit_bytes }) } else { Ok(()) }
}

/// The table of a schema that is registered as it is.
pub(crate) fn registered(documents: &Documents, schema: &Schema) -> Option<TableRef> {
    let entry = documents.catalogue().by_name(schema.table())?;
    if !entry.has(schema) || schema.version() < entry.migrated().accepts {
        return None;
    }
    let known = entry.versions().iter().find(|known| known.is_same_declaration(schema))?;
    let layouts = entry.layouts().for_version(known.version());
    Some(TableRef {
        id: entry.id,
        schema: Arc::new(known.clone()),
        layouts,
        reading: Reading::Value,
        types: entry.types().clone(),
    })
}
