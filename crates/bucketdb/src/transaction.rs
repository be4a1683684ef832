use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use bucketdb_documents::{AsKey, Change, Condition, EncodedKey, Found, KeyRange, ReadSet};
use bucketdb_log::Seq;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use crate::batch::find_registered;
use crate::moment::Moment;
use crate::origin::Origin;
use crate::rows::{Stored, TableRef};
use crate::writes::Writes;
use crate::{Collection, Database, Document, Error, Query, Result};

/// Reads and writes that take effect together or not at all, as if nobody else did anything meanwhile.
///
/// [`Database::transact`] makes one and hands it to a closure. It reads the database as it was at one moment, and what
/// it wrote itself. Nothing is written before the closure ends. Clones are the same transaction; once the closure has
/// ended, all of them answer [`Error::TransactionEnded`].
///
/// Tables are those that were registered before, by [`Database::table`]; collections must exist to be written to.
#[derive(Clone)]
pub struct Transaction {
    shared: Arc<Shared>,
}

struct Shared {
    db: Database,
    /// `None` once it has ended.
    open: Mutex<Option<Open>>,
}

struct Open {
    moment: Moment,
    reads: ReadSet,
    writes: Writes,
    tables: HashMap<TypeId, TableRef>,
}

impl Transaction {
    /// Begins at the present moment.
    pub(crate) fn begin(db: &Database) -> Result<Self> {
        let moment = db.inner.pin()?;
        let reads = ReadSet::new(moment.seq());
        let open = Open { moment, reads, writes: Writes::default(), tables: HashMap::new() };
        Ok(Self { shared: Arc::new(Shared { db: db.clone(), open: Mutex::new(Some(open)) }) })
    }

    /// Ends it; gives what it read and wrote. An error if it read what its moment does not show any more.
    pub(crate) fn end(&self) -> Result<(ReadSet, Writes)> {
        let open = self.shared.open.lock().take().ok_or(Error::TransactionEnded)?;
        if open.moment.has_expired() { Err(open.moment.expired()) } else { Ok((open.reads, open.writes)) }
    }

    /// The document with that key.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered; [`Error::InvalidDocument`] if what
    /// is stored has not the shape of the type.
    pub async fn get<T: Document>(&self, key: impl AsKey<T::Key>) -> Result<Option<T>> {
        let table = self.table::<T>()?;
        self.read(&table, &table.key(&key.key_parts())?).await
    }

    /// Adds a document.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if there is one with its key.
    pub async fn insert<T: Document>(&self, document: &T) -> Result<()> {
        let table = self.table::<T>()?;
        self.write_absent(&table, table.put_document(document, Condition::Absent)?).await
    }

    /// Writes a document, whether or not there was one with its key.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered.
    pub fn put<T: Document>(&self, document: &T) -> Result<()> {
        let change = self.table::<T>()?.put_document(document, Condition::Always)?;
        self.with(|open| open.writes.add(change))
    }

    /// Writes a document in the place of one with its key.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn replace<T: Document>(&self, document: &T) -> Result<()> {
        let table = self.table::<T>()?;
        self.write_present(&table, table.put_document(document, Condition::Exists)?).await
    }

    /// Reads a document, changes it and writes it back. Gives it as it was written.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such document; [`Error::InvalidKey`] if `change` changes its key.
    pub async fn update<T: Document>(&self, key: impl AsKey<T::Key>, change: impl FnOnce(&mut T)) -> Result<T> {
        let table = self.table::<T>()?;
        let key = table.key(&key.key_parts())?;
        let row = self.row(&table, &key).await?.ok_or_else(|| table.not_found(&key))?;
        let mut document: T = table.decode(&key, &row)?;
        change(&mut document);
        let mut write = table.put_document(&document, Condition::Exists)?;
        table.made_of(&mut write, &row)?;
        table.check_same_key(&key, &write.key)?;
        self.with(|open| open.writes.add(write))?;
        Ok(document)
    }

    /// Changes what a JSON merge patch (RFC 7396) has in a document. Gives it as it was written.
    ///
    /// # Errors
    /// As [`update`](Self::update); [`Error::InvalidDocument`] if the patch is no object, or if the result has not the shape
    /// of the type.
    pub async fn patch<T: Document>(&self, key: impl AsKey<T::Key>, patch: &Value) -> Result<T> {
        let table = self.table::<T>()?;
        let key = table.key(&key.key_parts())?;
        self.patch_encoded(&table, &key, patch).await
    }

    async fn patch_encoded<T: Stored>(&self, table: &TableRef, key: &EncodedKey, patch: &Value) -> Result<T> {
        let row = self.row(table, key).await?.ok_or_else(|| table.not_found(key))?;
        let (document, write) = table.patch(key, &row, patch, Condition::Exists)?;
        self.with(|open| open.writes.add(write))?;
        Ok(document)
    }

    /// Removes the document with that key, if there is one.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered.
    pub fn delete<T: Document>(&self, key: impl AsKey<T::Key>) -> Result<()> {
        let table = self.table::<T>()?;
        let change = table.delete(table.key(&key.key_parts())?, Condition::Always);
        self.with(|open| open.writes.add(change))
    }

    /// Makes sure that a document is the one that was read earlier, outside the transaction: last written at that
    /// position, or absent. [`Table::get_versioned`](crate::Table::get_versioned) tells it. What the transaction wrote
    /// itself does not count.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`] if it is another one.
    pub async fn expect_version<T: Document>(
        &self,
        key: impl AsKey<T::Key>,
        version: impl Into<Option<Seq>>,
    ) -> Result<()> {
        let table = self.table::<T>()?;
        let (key, expected) = (table.key(&key.key_parts())?, version.into());
        let found = self.stored(&table, &key).await?.map(|found| found.version);
        if found == expected { Ok(()) } else { Err(table.version_mismatch(&key, expected)) }
    }

    /// Asks for documents by what is in them, those included that the transaction wrote before the query runs.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] or [`Error::Schema`] if the type was never registered.
    pub fn query<T: Document>(&self) -> Result<Query<T>> {
        Ok(Query::new(Origin::Transaction(self.clone()), self.table::<T>()?))
    }

    /// The JSON document of a collection with that key. A collection that does not exist is empty.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] if the value cannot be a key there.
    pub async fn get_value(&self, collection: &Collection, key: &Value) -> Result<Option<Value>> {
        let Some(table) = self.find(collection.name())? else { return Ok(None) };
        self.read(&table, &table.parse_key(key)?).await
    }

    /// Adds a JSON document to a collection.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if there is one with its key; [`Error::UnknownTable`] if the collection does not exist.
    pub async fn insert_value(&self, collection: &Collection, document: &Value) -> Result<()> {
        let table = self.find_existing(collection)?;
        self.write_absent(&table, table.put_value(document, Condition::Absent)?).await
    }

    /// Writes a JSON document to a collection.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if the collection does not exist.
    pub fn put_value(&self, collection: &Collection, document: &Value) -> Result<()> {
        let change = self.find_existing(collection)?.put_value(document, Condition::Always)?;
        self.with(|open| open.writes.add(change))
    }

    /// Writes a JSON document in the place of one with its key.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; [`Error::UnknownTable`] if the collection does not exist.
    pub async fn replace_value(&self, collection: &Collection, document: &Value) -> Result<()> {
        let table = self.find_existing(collection)?;
        self.write_present(&table, table.put_value(document, Condition::Exists)?).await
    }

    /// Changes what a JSON merge patch (RFC 7396) has in a JSON document of a collection. Gives it as it was written.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such document; [`Error::UnknownTable`] if the collection does not exist;
    /// [`Error::InvalidDocument`] if the patch is no object; [`Error::InvalidKey`] if it changes the key.
    pub async fn patch_value(&self, collection: &Collection, key: &Value, patch: &Value) -> Result<Value> {
        let table = self.find_existing(collection)?;
        self.patch_encoded(&table, &table.parse_key(key)?, patch).await
    }

    /// Removes the JSON document of a collection with that key, if there is one.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if the collection does not exist.
    pub fn delete_value(&self, collection: &Collection, key: &Value) -> Result<()> {
        let table = self.find_existing(collection)?;
        let change = table.delete(table.parse_key(key)?, Condition::Always);
        self.with(|open| open.writes.add(change))
    }

    /// Asks for the JSON documents of a collection by what is in them. A collection that does not exist is empty.
    pub fn query_values(&self, collection: &Collection) -> Query<Value> {
        Query::by_name(Origin::Transaction(self.clone()), collection.name().to_owned())
    }

    /// The position that it reads at.
    ///
    /// # Errors
    /// [`Error::TransactionEnded`] after its closure has ended.
    pub fn position(&self) -> Result<Seq> {
        Ok(self.moment()?.seq())
    }

    pub(crate) fn moment(&self) -> Result<Moment> {
        self.with(|open| open.moment.clone())
    }

    pub(crate) fn note_absent_table(&self, name: &str) -> Result<()> {
        self.with(|open| {
            open.reads.absent_tables.insert(name.to_owned());
        })
    }

    /// Notes that a range was read: in the place of an earlier one, which it contains, or as a new one. Gives its place.
    pub(crate) fn note_range(&self, place: Option<usize>, range: KeyRange) -> Result<usize> {
        self.with(|open| {
            let ranges = &mut open.reads.ranges;
            match place.and_then(|place| Some((place, ranges.get_mut(place)?))) {
                Some((place, earlier)) => {
                    *earlier = range;
                    place
                }
                None => {
                    ranges.push(range);
                    ranges.len() - 1
                }
            }
        })
    }

    pub(crate) fn own_writes(&self, range: &KeyRange) -> Result<BTreeMap<EncodedKey, Option<Bytes>>> {
        self.with(|open| open.writes.in_range(range))
    }

    /// Adds changes of rows that were read.
    pub(crate) fn add(&self, changes: Vec<Change>) -> Result<()> {
        self.with(|open| changes.into_iter().for_each(|change| open.writes.add(change)))
    }

    fn with<R>(&self, act: impl FnOnce(&mut Open) -> R) -> Result<R> {
        self.shared.open.lock().as_mut().map(act).ok_or(Error::TransactionEnded)
    }

    /// A document as the transaction sees it.
    async fn read<T: Stored>(&self, table: &TableRef, key: &EncodedKey) -> Result<Option<T>> {
        self.row(table, key).await?.map(|row| table.decode(key, &row)).transpose()
    }

    /// The row of a document as the transaction sees it.
    pub(crate) async fn row(&self, table: &TableRef, key: &EncodedKey) -> Result<Option<Bytes>> {
        match self.with(|open| open.writes.get(table.id, key))? {
            Some(own) => Ok(own),
            None => Ok(self.stored(table, key).await?.map(|found| found.row)),
        }
    }

    /// What is stored at the transaction's moment, with a note that it was looked at.
    async fn stored(&self, table: &TableRef, key: &EncodedKey) -> Result<Option<Found>> {
        let moment = self.with(|open| {
            open.reads.keys.insert((table.id, key.clone()));
            open.moment.clone()
        })?;
        moment.get(table.id, key).await
    }

    async fn write_absent(&self, table: &TableRef, change: Change) -> Result<()> {
        if self.row(table, &change.key).await?.is_some() {
            return Err(table.already_exists(&change.key));
        }
        self.with(|open| open.writes.add(change))
    }

    async fn write_present(&self, table: &TableRef, change: Change) -> Result<()> {
        if self.row(table, &change.key).await?.is_none() {
            return Err(table.not_found(&change.key));
        }
        self.with(|open| open.writes.add(change))
    }

    /// The table of a type, looked up once.
    fn table<T: Document>(&self) -> Result<TableRef> {
        if let Some(known) = self.with(|open| open.tables.get(&TypeId::of::<T>()).cloned())? {
            return Ok(known);
        }
        match find_registered::<T>(&self.shared.db) {
            Ok(table) => {
                self.with(|open| open.tables.insert(TypeId::of::<T>(), table.clone()))?;
                Ok(table)
            }
            Err(error) => {
                match &error {
                    Error::UnknownTable { table } => self.note_absent_table(table)?,
                    Error::Schema(_) => {
                        let schema = T::schema();
                        let absent = (schema.table().to_owned(), schema.version());
                        self.with(|open| open.reads.absent_versions.insert(absent))?;
                    }
                    _ => {}
                }
                Err(error)
            }
        }
    }

    fn find(&self, name: &str) -> Result<Option<TableRef>> {
        let found = self.moment()?.read(|documents, _| TableRef::find(documents.catalogue(), name))?;
        if found.is_none() {
            self.note_absent_table(name)?;
        }
        Ok(found)
    }

    fn find_existing(&self, collection: &Collection) -> Result<TableRef> {
        let unknown = || Error::UnknownTable { table: collection.name().to_owned() };
        self.find(collection.name())?.ok_or_else(unknown)
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let position = self.position().ok();
        formatter.debug_struct("Transaction").field("position", &position).finish_non_exhaustive()
    }
}
