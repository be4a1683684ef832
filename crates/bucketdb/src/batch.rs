use std::any::TypeId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use bucketdb_documents::{AsKey, Change, Condition, InvalidSchema, Refusal};
use bucketdb_log::{Commit, CommitError, Seq};
use serde_json::Value;

use crate::rows::{TableRef, registered};
use crate::table::schema_of;
use crate::{Collection, Database, Document, Error, Result};

/// Changes of any tables that take effect together or not at all, in the order in which they were added.
///
/// A batch reads nothing. It is refused as a whole if one of its conditions does not hold, such as an insert that meets
/// a document, also one that the batch itself puts before. Nothing is sent before [`commit`](Self::commit); a batch that
/// is dropped changes nothing. Changes that depend on what is read, such as a patch,
/// belong in a [transaction](Database::transact).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bucketdb::Error> {
/// # use bucketdb::{Database, Document, MemoryDriver};
/// # #[derive(serde::Serialize, serde::Deserialize, Document)]
/// # #[document(table = "events")]
/// # struct Event { #[document(key)] id: u64 }
/// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
/// let events = db.table::<Event>().await?;
/// let mut batch = db.batch();
/// batch.insert(&Event { id: 1 })?;
/// {
///     let mut joined = batch.nested();
///     joined.put(&Event { id: 2 })?;
///     joined.merge();
/// }
/// {
///     let mut dropped = batch.nested();
///     dropped.put(&Event { id: 3 })?;
/// }
/// batch.commit().await?;
/// assert_eq!(events.query().count().await?, 2);
/// # Ok(())
/// # }
/// ```
#[must_use = "a batch that is not committed or merged changes nothing"]
pub struct Batch<K = Root> {
    db: Database,
    changes: Vec<Change>,
    tables: HashMap<TypeId, TableRef>,
    kind: K,
}

/// The kind of a [`Batch`] that is committed.
#[derive(Debug)]
pub struct Root(());

/// The kind of a [`Batch`] inside another: it joins that one when it is merged, and vanishes when it is dropped.
#[derive(Debug)]
pub struct Nested<'a> {
    parent: &'a mut Vec<Change>,
}

impl Batch {
    pub(crate) fn new(db: Database) -> Self {
        Self { db, changes: Vec::new(), tables: HashMap::new(), kind: Root(()) }
    }

    /// Commits all changes: one put.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::NotFound`] or [`Error::VersionMismatch`] for the first condition that does
    /// not hold; [`Error::BatchTooLarge`] over 8 MiB; [`Error::EmptyBatch`] if there is nothing to commit.
    pub async fn commit(self) -> Result<Commit> {
        if self.changes.is_empty() {
            return Err(Error::EmptyBatch);
        }
        self.db.inner.write(self.changes, self.db.freshness()).await
    }
}

impl Batch<Nested<'_>> {
    /// Adds the changes to the batch that this one is nested in.
    pub fn merge(self) {
        self.kind.parent.extend(self.changes);
    }
}

impl<K> Batch<K> {
    /// Adds a document, which must not exist.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered, by [`Database::table`].
    pub fn insert<T: Document>(&mut self, document: &T) -> Result<()> {
        let change = self.table::<T>()?.put_document(document, Condition::Absent)?;
        self.changes.push(change);
        Ok(())
    }

    /// Writes a document, whether or not there was one.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered, by [`Database::table`].
    pub fn put<T: Document>(&mut self, document: &T) -> Result<()> {
        let change = self.table::<T>()?.put_document(document, Condition::Always)?;
        self.changes.push(change);
        Ok(())
    }

    /// Writes a document in the place of one with its key, which must exist.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered, by [`Database::table`].
    pub fn replace<T: Document>(&mut self, document: &T) -> Result<()> {
        let change = self.table::<T>()?.put_document(document, Condition::Exists)?;
        self.changes.push(change);
        Ok(())
    }

    /// Writes a document; the one with its key must still be of that version, or absent if the version is `None`. What
    /// the batch itself wrote before is of no version.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered, by [`Database::table`].
    pub fn put_if<T: Document>(&mut self, document: &T, version: impl Into<Option<Seq>>) -> Result<()> {
        let change = self.table::<T>()?.put_document(document, Condition::Version(version.into()))?;
        self.changes.push(change);
        Ok(())
    }

    /// Removes a document, which must still be of that version.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered, by [`Database::table`].
    pub fn delete_if<T: Document>(&mut self, key: impl AsKey<T::Key>, version: Seq) -> Result<()> {
        let table = self.table::<T>()?;
        let change = table.delete(table.key(&key.key_parts())?, Condition::Version(Some(version)));
        self.changes.push(change);
        Ok(())
    }

    /// Removes a document, if there is one.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered, by [`Database::table`].
    pub fn delete<T: Document>(&mut self, key: impl AsKey<T::Key>) -> Result<()> {
        let table = self.table::<T>()?;
        let change = table.delete(table.key(&key.key_parts())?, Condition::Always);
        self.changes.push(change);
        Ok(())
    }

    /// Adds a JSON document to a collection, which must exist; the document must not.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if the collection does not exist.
    pub fn insert_into(&mut self, collection: &Collection, document: &Value) -> Result<()> {
        let change = self.find(collection.name())?.put_value(document, Condition::Absent)?;
        self.changes.push(change);
        Ok(())
    }

    /// Writes a JSON document to a collection, which must exist.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if the collection does not exist.
    pub fn put_into(&mut self, collection: &Collection, document: &Value) -> Result<()> {
        let change = self.find(collection.name())?.put_value(document, Condition::Always)?;
        self.changes.push(change);
        Ok(())
    }

    /// Removes a document of a collection, which must exist, by its key as a person writes it: bare text where the key
    /// is text, JSON otherwise. The document must exist.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if the collection does not exist; [`Error::InvalidKey`] if the text cannot be a key there.
    pub fn delete_from_by_text(&mut self, collection: &Collection, key: &str) -> Result<()> {
        let table = self.find(collection.name())?;
        let key = table.parse_key_text(key)?;
        self.changes.push(table.delete(key, Condition::Exists));
        Ok(())
    }

    /// A batch inside this one, to any depth.
    pub fn nested(&mut self) -> Batch<Nested<'_>> {
        let kind = Nested { parent: &mut self.changes };
        Batch { db: self.db.clone(), changes: Vec::new(), tables: HashMap::new(), kind }
    }

    /// How many changes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether it has no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The table of a type, looked up once for a batch.
    fn table<T: Document>(&mut self) -> Result<&TableRef> {
        match self.tables.entry(TypeId::of::<T>()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(find_registered::<T>(&self.db)?)),
        }
    }

    fn find(&self, name: &str) -> Result<TableRef> {
        let unknown = || Error::UnknownTable { table: name.to_owned() };
        self.db.inner.log.read(|documents, _| TableRef::find(documents.catalogue(), name))?.ok_or_else(unknown)
    }
}

/// The table of a type whose schema is registered: its name alone would let other keys and fields in.
pub(crate) fn find_registered<T: Document>(db: &Database) -> Result<TableRef> {
    let schema = schema_of::<T>();
    let (found, accepts) = db.inner.log.read(|documents, _| {
        let known = documents.catalogue().by_name(schema.table());
        (registered(documents, &schema), known.map(|known| known.migrated().accepts))
    })?;
    let table = schema.table().to_owned();
    match found {
        Some(found) => Ok(found.read_as::<T>()),
        None if accepts.is_some_and(|accepts| accepts > schema.version()) => {
            let (version, accepts) = (schema.version(), accepts.unwrap_or_default());
            Err(db.inner.explain(CommitError::Refused(Refusal::OutdatedVersion { table, version, accepts })))
        }
        None if accepts.is_some() => {
            let version = schema.version();
            let reason =
                format!("version {version}, as this type has it, is not registered: call `Database::table` first");
            Err(InvalidSchema { table, reason }.into())
        }
        None => Err(Error::UnknownTable { table }),
    }
}

impl<K> fmt::Debug for Batch<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Batch").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}
