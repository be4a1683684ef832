use std::fmt;
use std::marker::PhantomData;

use bucketdb_documents::{AsKey, Condition, DocumentKey, EncodedKey, Found, Schema};
use bucketdb_log::{Commit, Freshness, Seq};
use serde_json::Value;

use crate::earlier::with_step;
use crate::nested_fields::check_nested_fields;
use crate::origin::Origin;
use crate::rows::TableRef;
use crate::{Database, Document, Feed, Query, Result, Since, Versioned};

/// A table whose documents are values of a Rust type. Cheap to clone.
pub struct Table<T> {
    db: Database,
    table: TableRef,
    freshness: Freshness,
    documents: PhantomData<fn() -> T>,
}

impl<T: Document> Table<T> {
    pub(crate) fn new(db: Database, table: TableRef) -> Self {
        let freshness = db.freshness();
        Self { db, table, freshness, documents: PhantomData }
    }

    /// The same table, read with another freshness than the database's.
    #[must_use]
    pub fn with_freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// The name of the table.
    #[must_use]
    pub fn name(&self) -> &str {
        self.table.name()
    }

    /// The document with that key. With local freshness no request, with strict freshness one get that all who read at
    /// the same time share.
    ///
    /// # Errors
    /// [`Error::InvalidDocument`](crate::Error::InvalidDocument) if what is stored has not the shape of the type.
    pub async fn get(&self, key: impl AsKey<T::Key>) -> Result<Option<T>> {
        let key = self.key(&key)?;
        let found = self.db.inner.get(self.table.id, &key, self.freshness).await?;
        found.map(|found| self.table.decode(&key, &found.row)).transpose()
    }

    /// As [`get`](Self::get), with the document's version, for [`put_if`](Self::put_if) and
    /// [`delete_if`](Self::delete_if).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_versioned(&self, key: impl AsKey<T::Key>) -> Result<Option<Versioned<T>>> {
        let key = self.key(&key)?;
        let found = self.db.inner.get(self.table.id, &key, self.freshness).await?;
        found.map(|found| self.table.decode_versioned(&key, &found)).transpose()
    }

    /// Adds a document. One put.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if there is one with its key.
    pub async fn insert(&self, document: &T) -> Result<Commit> {
        self.write(document, Condition::Absent).await
    }

    /// Writes a document, whether or not there was one with its key. One put.
    ///
    /// # Errors
    /// If the document cannot be stored, or the store fails.
    pub async fn put(&self, document: &T) -> Result<Commit> {
        self.write(document, Condition::Always).await
    }

    /// Writes a document in the place of one with its key. One put.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is none.
    pub async fn replace(&self, document: &T) -> Result<Commit> {
        self.write(document, Condition::Exists).await
    }

    /// Writes a document if the one with its key is still of that version; absent, if the version is `None`. One put.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`](crate::Error::VersionMismatch) if it is not.
    pub async fn put_if(&self, document: &T, version: impl Into<Option<Seq>>) -> Result<Commit> {
        self.write(document, Condition::Version(version.into())).await
    }

    async fn write(&self, document: &T, condition: Condition) -> Result<Commit> {
        let change = self.table.put_document(document, condition)?;
        self.db.inner.write(vec![change], self.freshness).await
    }

    /// Reads a document, changes it and writes it back; if somebody else wrote it in between, once more with what they
    /// wrote. Gives the document as it was written.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such document;
    /// [`Error::InvalidKey`](crate::Error::InvalidKey) if `change` changes its key.
    pub async fn update(&self, key: impl AsKey<T::Key>, mut change: impl FnMut(&mut T)) -> Result<T> {
        let key = self.key(&key)?;
        let table = &self.table;
        let written = self.db.inner.update(table, &key, self.freshness, |found| {
            let mut document: T = table.decode(&key, &found.row)?;
            change(&mut document);
            let mut write = table.put_document(&document, Condition::Version(Some(found.version)))?;
            table.made_of(&mut write, &found.row)?;
            Ok((document, write))
        });
        written.await
    }

    /// Changes what a JSON merge patch (RFC 7396) has: fields in objects one by one, anything else as a whole; `null`
    /// removes a field. Otherwise as [`update`](Self::update).
    ///
    /// # Errors
    /// As [`update`](Self::update); [`Error::InvalidDocument`](crate::Error::InvalidDocument) if the patch is no object, or
    /// if the result has not the shape of the type.
    pub async fn patch(&self, key: impl AsKey<T::Key>, patch: &Value) -> Result<T> {
        let key = self.key(&key)?;
        let change = |found: &Found| self.table.patch(&key, &found.row, patch, Condition::Version(Some(found.version)));
        self.db.inner.update(&self.table, &key, self.freshness, change).await
    }

    /// Reads a document, if there is one, and writes what `change` makes of it; if somebody else wrote it in between, once
    /// more with what they wrote. Gives the document as it was written. Where it does not matter what there was,
    /// [`put`](Self::put) reads nothing.
    ///
    /// # Errors
    /// [`Error::InvalidKey`](crate::Error::InvalidKey) if what `change` gives has another key.
    pub async fn upsert(&self, key: impl AsKey<T::Key>, mut change: impl FnMut(Option<T>) -> T) -> Result<T> {
        let key = self.key(&key)?;
        let table = &self.table;
        let written = self.db.inner.upsert(table, &key, self.freshness, |found| {
            let document = change(found.map(|found| table.decode(&key, &found.row)).transpose()?);
            let version = found.map(|found| found.version);
            let mut write = table.put_document(&document, Condition::Version(version))?;
            if let Some(found) = found {
                table.made_of(&mut write, &found.row)?;
            }
            Ok((document, write))
        });
        written.await
    }

    /// Removes the document with that key, if there is one. One put.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete(&self, key: impl AsKey<T::Key>) -> Result<Commit> {
        let change = self.table.delete(self.key(&key)?, Condition::Always);
        self.db.inner.write(vec![change], self.freshness).await
    }

    /// Removes the document with that key if it is still of that version. One put.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`](crate::Error::VersionMismatch) if it is not.
    pub async fn delete_if(&self, key: impl AsKey<T::Key>, version: Seq) -> Result<Commit> {
        let change = self.table.delete(self.key(&key)?, Condition::Version(Some(version)));
        self.db.inner.write(vec![change], self.freshness).await
    }

    /// Asks for documents by what is in them.
    pub fn query(&self) -> Query<T> {
        Query::new(Origin::Live(self.db.clone(), self.freshness), self.table.clone())
    }

    /// Follows the table's changes in the order of their commits.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`](crate::Error::InvalidCursor) if the cursor is of another database, or lies in the future.
    pub async fn watch(&self, since: Since) -> Result<Feed<T>> {
        Feed::open(self.db.clone(), Some(self.table.clone()), since).await
    }

    pub(crate) fn database(&self) -> &Database {
        &self.db
    }

    pub(crate) fn table_ref(&self) -> &TableRef {
        &self.table
    }

    fn key(&self, key: &impl AsKey<T::Key>) -> Result<EncodedKey> {
        self.table.key(&key.key_parts())
    }
}

impl Database {
    /// A table by its Rust type: registers its schema, or checks it against the stored one. The first time in a
    /// database one put, afterwards no request.
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) if the type contradicts what is registered, if documents of the versions
    /// that are do not read as it, or if one of its indexes is over a field that a nested type has not; [`Error::OutdatedSchema`](crate::Error::OutdatedSchema) if the type is of a version whose
    /// documents were [migrated](Self::finish_migration) to a newer one.
    pub async fn table<T: Document>(&self) -> Result<Table<T>> {
        let schema = schema_of::<T>();
        check_nested_fields::<T>(&schema)?;
        let table = self.inner.register(&schema).await?;
        Ok(Table::new(self.clone(), table.read_as::<T>()))
    }
}

/// The schema of a type, whole.
pub(crate) fn schema_of<T: Document>() -> Schema {
    with_step::<T>(T::schema().with_key_types(&T::Key::types()))
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), table: self.table.clone(), freshness: self.freshness, documents: PhantomData }
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Table").field(&self.table.name()).finish()
    }
}
