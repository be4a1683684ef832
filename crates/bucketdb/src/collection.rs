use std::sync::Arc;

use bucketdb_documents::{Condition, EncodedKey, Found, KeyType, Layouts, TableId, Transaction};
use bucketdb_log::{Commit, Freshness, Seq};
use bucketdb_query::TextTypes;
use serde_json::Value;

use crate::origin::Origin;
use crate::rows::{Reading, TableRef, check_size};
use crate::{Database, Error, Feed, Query, Result, Schema, Since, Versioned};

/// The field that is the key of a collection made without a schema.
const DEFAULT_KEY_FIELD: &str = "id";

/// A table whose documents are JSON objects. Cheap to clone.
///
/// A collection that does not exist yet comes into being with its first document, whose field `id`, a text or a whole
/// number, becomes the key; [`Database::create_collection`] makes one with another key.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bucketdb::Error> {
/// use bucketdb::{Database, MemoryDriver};
/// use serde_json::json;
///
/// let db = Database::builder().driver(MemoryDriver::new()).open().await?;
/// let events = db.collection("events");
/// events.insert(&json!({"id": 1, "kind": "login", "user": "u_1"})).await?;
/// let logins = events.query().filter_text(r#"kind = "login""#)?.count().await?;
/// assert_eq!(logins, 1);
/// assert_eq!(events.get(&json!(1)).await?.unwrap()["user"], "u_1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Collection {
    db: Database,
    name: String,
    freshness: Freshness,
}

impl Database {
    /// A collection by its name. No request.
    #[must_use]
    pub fn collection(&self, name: &str) -> Collection {
        Collection { db: self.clone(), name: name.to_owned(), freshness: self.freshness() }
    }

    /// A collection with a schema that is given at run time. One put if it is new, afterwards no request.
    ///
    /// # Errors
    /// [`Error::Schema`] if the schema cannot be, or contradicts what is registered.
    pub async fn create_collection(&self, schema: Schema) -> Result<Collection> {
        let table = self.inner.register(&schema).await?;
        Ok(self.collection(table.name()))
    }
}

impl Collection {
    /// The same collection, read with another freshness than the database's.
    #[must_use]
    pub fn with_freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its schema; `None` if it does not exist yet.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn schema(&self) -> Result<Option<Schema>> {
        Ok(self.find().await?.map(|table| Arc::unwrap_or_clone(table.schema)))
    }

    /// The document with that key, which is a JSON value, or a list of them if the key has several fields.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] if the value cannot be a key here.
    pub async fn get(&self, key: &Value) -> Result<Option<Value>> {
        let Some(table) = self.find().await? else { return Ok(None) };
        let key = table.parse_key(key)?;
        self.get_encoded(&table, &key).await
    }

    /// As [`get`](Self::get), with the key as a person writes it: bare text where the key is text, JSON otherwise.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] if the text cannot be a key here.
    pub async fn get_by_text(&self, key: &str) -> Result<Option<Value>> {
        let Some(table) = self.find().await? else { return Ok(None) };
        let key = table.parse_key_text(key)?;
        self.get_encoded(&table, &key).await
    }

    /// As [`get`](Self::get), with the document's version, for [`put_if`](Self::put_if) and
    /// [`delete_if`](Self::delete_if).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_versioned(&self, key: &Value) -> Result<Option<Versioned<Value>>> {
        let Some(table) = self.find().await? else { return Ok(None) };
        let key = table.parse_key(key)?;
        let found = self.db.inner.get(table.id, &key, Freshness::Local).await?;
        found.map(|found| table.decode_versioned(&key, &found)).transpose()
    }

    async fn get_encoded(&self, table: &TableRef, key: &EncodedKey) -> Result<Option<Value>> {
        let found = self.db.inner.get(table.id, key, Freshness::Local).await?;
        found.map(|found| table.decode(key, &found.row)).transpose()
    }

    /// Adds a document. One put, and one more for the first of a new collection.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if there is one with its key.
    pub async fn insert(&self, document: &Value) -> Result<Commit> {
        self.write(document, Condition::Absent).await
    }

    /// Writes a document, whether or not there was one with its key. One put, and one more for the first of a new
    /// collection.
    ///
    /// # Errors
    /// If the document cannot be stored, or the store fails.
    pub async fn put(&self, document: &Value) -> Result<Commit> {
        self.write(document, Condition::Always).await
    }

    /// Writes a document in the place of one with its key. One put.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; [`Error::UnknownTable`] if the collection does not exist.
    pub async fn replace(&self, document: &Value) -> Result<Commit> {
        let change = self.find_existing().await?.put_value(document, Condition::Exists)?;
        self.db.inner.write(vec![change], self.freshness).await
    }

    /// Writes a document if the one with its key is still of that version; absent, if the version is `None`. One put.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`] if it is not; [`Error::UnknownTable`] if the collection does not exist.
    pub async fn put_if(&self, document: &Value, version: impl Into<Option<Seq>>) -> Result<Commit> {
        let change = self.find_existing().await?.put_value(document, Condition::Version(version.into()))?;
        self.db.inner.write(vec![change], self.freshness).await
    }

    async fn write(&self, document: &Value, condition: Condition) -> Result<Commit> {
        let table = self.find_or_create(document).await?;
        let change = table.put_value(document, condition)?;
        self.db.inner.write(vec![change], self.freshness).await
    }

    /// Reads a document, changes it and writes it back; if somebody else wrote it in between, once more with what they
    /// wrote. Gives the document as it was written.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such document; [`Error::InvalidKey`] if `change` changes its key;
    /// [`Error::InvalidDocument`] if only a program's own step makes the document one of the newest version.
    pub async fn update(&self, key: &Value, mut change: impl FnMut(&mut Value)) -> Result<Value> {
        let not_found = || Error::NotFound { table: self.name.clone(), key: key.to_string() };
        let table = self.find().await?.ok_or_else(not_found)?;
        let key = table.parse_key(key)?;
        let written = self.db.inner.update(&table, &key, Freshness::Local, |found| {
            let mut document: Value = table.decode(&key, &found.row)?;
            change(&mut document);
            let mut write = table.put_value(&document, Condition::Version(Some(found.version)))?;
            table.made_of(&mut write, &found.row)?;
            Ok((document, write))
        });
        written.await
    }

    /// Changes what a JSON merge patch (RFC 7396) has: fields in objects one by one, anything else as a whole; `null`
    /// removes a field. Otherwise as [`update`](Self::update).
    ///
    /// # Errors
    /// As [`update`](Self::update); [`Error::InvalidDocument`] if the patch is no object.
    pub async fn patch(&self, key: &Value, patch: &Value) -> Result<Value> {
        let not_found = || Error::NotFound { table: self.name.clone(), key: key.to_string() };
        let table = self.find().await?.ok_or_else(not_found)?;
        self.patch_encoded(&table, &table.parse_key(key)?, patch).await
    }

    /// As [`patch`](Self::patch), with the key as a person writes it.
    ///
    /// # Errors
    /// As [`patch`](Self::patch); [`Error::UnknownTable`] if the collection does not exist.
    pub async fn patch_by_text(&self, key: &str, patch: &Value) -> Result<Value> {
        let table = self.find_existing().await?;
        self.patch_encoded(&table, &table.parse_key_text(key)?, patch).await
    }

    async fn patch_encoded(&self, table: &TableRef, key: &EncodedKey, patch: &Value) -> Result<Value> {
        let change = |found: &Found| table.patch(key, &found.row, patch, Condition::Version(Some(found.version)));
        self.db.inner.update(table, key, Freshness::Local, change).await
    }

    /// Reads a document, if there is one, and writes what `change` makes of it; if somebody else wrote it in between, once
    /// more with what they wrote. Gives the document as it was written. Where it does not matter what there was,
    /// [`put`](Self::put) reads nothing.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] if what `change` gives has another key.
    pub async fn upsert(&self, key: &Value, mut change: impl FnMut(Option<Value>) -> Value) -> Result<Value> {
        let table = match self.find().await? {
            Some(table) => table,
            None => self.find_or_create(&change(None)).await?,
        };
        let key = table.parse_key(key)?;
        let written = self.db.inner.upsert(&table, &key, Freshness::Local, |found| {
            let document = change(found.map(|found| table.decode(&key, &found.row)).transpose()?);
            let version = found.map(|found| found.version);
            let mut write = table.put_value(&document, Condition::Version(version))?;
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
    /// [`Error::UnknownTable`] if the collection does not exist.
    pub async fn delete(&self, key: &Value) -> Result<Commit> {
        let table = self.find_existing().await?;
        let key = table.parse_key(key)?;
        self.delete_encoded(&table, key, Condition::Always).await
    }

    /// Removes the document with the key as a person writes it, which must exist.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such document.
    pub async fn delete_by_text(&self, key: &str) -> Result<Commit> {
        let table = self.find_existing().await?;
        let key = table.parse_key_text(key)?;
        self.delete_encoded(&table, key, Condition::Exists).await
    }

    /// Removes the document with that key if it is still of that version. One put.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`] if it is not; [`Error::UnknownTable`] if the collection does not exist.
    pub async fn delete_if(&self, key: &Value, version: Seq) -> Result<Commit> {
        let table = self.find_existing().await?;
        let key = table.parse_key(key)?;
        self.delete_encoded(&table, key, Condition::Version(Some(version))).await
    }

    async fn delete_encoded(&self, table: &TableRef, key: EncodedKey, condition: Condition) -> Result<Commit> {
        self.db.inner.write(vec![table.delete(key, condition)], self.freshness).await
    }

    /// Asks for documents by what is in them. A collection that does not exist is empty.
    pub fn query(&self) -> Query<Value> {
        Query::by_name(Origin::Live(self.db.clone(), self.freshness), self.name.clone())
    }

    /// Follows the collection's changes in the order of their commits.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if the collection does not exist; [`Error::InvalidCursor`] if the cursor is of another
    /// database, or lies in the future.
    pub async fn watch(&self, since: Since) -> Result<Feed<Value>> {
        let table = self.find_existing().await?;
        Feed::open(self.db.clone(), Some(table), since).await
    }

    /// The table, if the state, made as fresh as wanted, has it.
    pub(crate) fn database(&self) -> &Database {
        &self.db
    }

    async fn find(&self) -> Result<Option<TableRef>> {
        self.db.inner.log.refresh(self.freshness).await?;
        Ok(self.db.inner.log.read(|documents, _| TableRef::find(documents.catalogue(), &self.name))?)
    }

    pub(crate) async fn find_existing(&self) -> Result<TableRef> {
        let unknown = || Error::UnknownTable { table: self.name.clone() };
        self.find().await?.ok_or_else(unknown)
    }

    pub(crate) async fn find_or_create(&self, first: &Value) -> Result<TableRef> {
        let local = self.db.inner.log.read(|documents, _| TableRef::find(documents.catalogue(), &self.name))?;
        if let Some(table) = local {
            return Ok(table);
        }
        let invalid = |reason: &str| Error::InvalidKey { table: self.name.clone(), reason: reason.to_owned() };
        let key_type = match first.get(DEFAULT_KEY_FIELD) {
            Some(Value::String(_)) => KeyType::Text,
            Some(Value::Number(number)) if !number.is_f64() => KeyType::Integer,
            Some(_) => return Err(invalid("field \"id\" of the first document is neither text nor a whole number")),
            None => return Err(invalid("the first document has no field \"id\", and no other key was declared")),
        };
        let schema = Schema::open(&self.name, DEFAULT_KEY_FIELD, key_type);
        schema.check()?;
        // A document that cannot be stored must not leave an empty collection behind whose key it decided.
        let layouts = Layouts::of_schema(&schema);
        let types = TextTypes::default();
        let trial =
            TableRef { id: TableId(u32::MAX), schema: Arc::new(schema), layouts, reading: Reading::Value, types };
        check_size(&Transaction { changes: vec![trial.put_value(first, Condition::Always)?] })?;
        // Somebody else may make it at the same time, with another key: then theirs it is.
        match self.db.inner.register(&trial.schema).await {
            Err(Error::Schema(error)) => self.find().await?.ok_or(Error::Schema(error)),
            outcome => outcome,
        }
    }
}
