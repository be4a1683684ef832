use std::fmt;
use std::marker::PhantomData;

use bucketdb_documents::{AsKey, DocumentKey, EncodedKey, InvalidSchema, KeyType};
use bucketdb_log::{LogTime, Seq};
use serde_json::Value;

use crate::moment::Moment;
use crate::origin::{Origin, View};
use crate::rows::{Stored, TableRef};
use crate::{Database, Document, Point, Query, Result};

/// A database as it was at one position of its log, for reading. Cheap to clone.
///
/// [`Database::snapshot`] gives one of the present, [`Database::at`] one of the past. What it shows never changes,
/// whatever is committed meanwhile. While it lives, this process keeps in memory what it can see.
#[derive(Clone)]
pub struct Snapshot {
    moment: Moment,
    time: LogTime,
}

/// A table of a [`Snapshot`].
pub struct SnapshotTable<T> {
    snapshot: Snapshot,
    /// What the type says; the table may not have been there yet.
    name: String,
    documents: PhantomData<fn() -> T>,
}

/// A collection of a [`Snapshot`].
#[derive(Clone, Debug)]
pub struct SnapshotCollection {
    snapshot: Snapshot,
    name: String,
}

impl Database {
    /// The database as it is now, as fresh as its reads are. No request beyond those for freshness.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, MemoryDriver};
    /// # use serde_json::json;
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let events = db.collection("events");
    /// let first = events.insert(&json!({"id": 1})).await?;
    /// events.insert(&json!({"id": 2})).await?;
    /// let now = db.snapshot().await?;
    /// events.insert(&json!({"id": 3})).await?;
    /// assert_eq!(now.collection("events").query().count().await?, 2);
    /// let then = db.at(first).await?;
    /// assert_eq!(then.collection("events").query().count().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the store fails, or if what it holds is broken.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        self.refresh(self.freshness()).await?;
        self.show(self.inner.pin()?).await
    }

    /// The database as it was at a position ([`Seq`]), behind a [`Commit`](crate::Commit), or at a time
    /// ([`LogTime`], [`WallTime`](crate::WallTime), [`SystemTime`](std::time::SystemTime)).
    ///
    /// A position that this process is at takes no request. Any other is made from the log's records, at one get for
    /// each that is not in memory any more; the last two are kept. A time takes some gets more to find the position.
    ///
    /// # Errors
    /// [`Error::InvalidPoint`](crate::Error::InvalidPoint) if it lies in the future, or before the database was created;
    /// [`Error::SnapshotExpired`](crate::Error::SnapshotExpired) if it was given up.
    pub async fn at(&self, point: impl Into<Point>) -> Result<Snapshot> {
        let seq = self.inner.resolve(point.into()).await?;
        self.show(self.inner.moment_at(seq).await?).await
    }

    pub(crate) async fn show(&self, moment: Moment) -> Result<Snapshot> {
        let time = self.inner.existing_record(moment.seq()).await?.time;
        Ok(Snapshot { moment, time })
    }
}

impl Snapshot {
    /// The position of the last record that it shows.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.moment.seq()
    }

    /// The time in that record.
    #[must_use]
    pub fn time(&self) -> LogTime {
        self.time
    }

    /// A table by its Rust type. One that there was not yet is empty.
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) if the table's key has other types than the type's.
    pub fn table<T: Document>(&self) -> Result<SnapshotTable<T>> {
        let name = T::schema().table().to_owned();
        if let Some(table) = self.find(&name)? {
            let (stored, given) = (table.schema.key_types(), T::Key::types());
            if stored != given {
                let reason = format!("its key is ({}), and this type's is ({})", list(&stored), list(&given));
                return Err(InvalidSchema { table: name, reason }.into());
            }
        }
        Ok(SnapshotTable { snapshot: self.clone(), name, documents: PhantomData })
    }

    /// A collection by its name. One that there was not yet is empty.
    #[must_use]
    pub fn collection(&self, name: &str) -> SnapshotCollection {
        SnapshotCollection { snapshot: self.clone(), name: name.to_owned() }
    }

    /// The document of a table with that key.
    ///
    /// # Errors
    /// As [`table`](Self::table) and [`SnapshotTable::get`].
    pub async fn get<T: Document>(&self, key: impl AsKey<T::Key>) -> Result<Option<T>> {
        self.table::<T>()?.get(key).await
    }

    /// The names of all tables, in order.
    pub(crate) fn table_names(&self) -> Result<Vec<String>> {
        self.moment.read(|documents, _| {
            documents.catalogue().tables().map(|entry| entry.schema().table().to_owned()).collect()
        })
    }

    pub(crate) fn moment(&self) -> &Moment {
        &self.moment
    }

    pub(crate) fn find(&self, name: &str) -> Result<Option<TableRef>> {
        View { moment: self.moment.clone(), transaction: None }.find(name)
    }

    async fn read<T: Stored>(&self, table: &TableRef, key: &EncodedKey) -> Result<Option<T>> {
        let found = self.moment.get(table.id, key).await?;
        found.map(|found| table.decode(key, &found.row)).transpose()
    }

    fn origin(&self) -> Origin {
        Origin::Moment(self.moment.clone())
    }
}

impl<T: Document> SnapshotTable<T> {
    /// The document with that key.
    ///
    /// # Errors
    /// [`Error::InvalidDocument`](crate::Error::InvalidDocument) if what was stored has not the shape of the type.
    pub async fn get(&self, key: impl AsKey<T::Key>) -> Result<Option<T>> {
        let Some(table) = self.snapshot.find(&self.name)?.map(TableRef::read_as::<T>) else { return Ok(None) };
        self.snapshot.read(&table, &table.key(&key.key_parts())?).await
    }

    /// Asks for documents by what is in them.
    pub fn query(&self) -> Query<T> {
        Query::by_name(self.snapshot.origin(), self.name.clone())
    }
}

impl SnapshotCollection {
    /// The document with that key, which is a JSON value, or a list of them if the key has several fields.
    ///
    /// # Errors
    /// [`Error::InvalidKey`](crate::Error::InvalidKey) if the value cannot be a key here.
    pub async fn get(&self, key: &Value) -> Result<Option<Value>> {
        let Some(table) = self.snapshot.find(&self.name)? else { return Ok(None) };
        self.snapshot.read(&table, &table.parse_key(key)?).await
    }

    /// As [`get`](Self::get), with the key as a person writes it: bare text where the key is text, JSON otherwise.
    ///
    /// # Errors
    /// [`Error::InvalidKey`](crate::Error::InvalidKey) if the text cannot be a key here.
    pub async fn get_by_text(&self, key: &str) -> Result<Option<Value>> {
        let Some(table) = self.snapshot.find(&self.name)? else { return Ok(None) };
        self.snapshot.read(&table, &table.parse_key_text(key)?).await
    }

    /// Whether the collection was there.
    ///
    /// # Errors
    /// If the log was found broken.
    pub fn exists(&self) -> Result<bool> {
        Ok(self.snapshot.find(&self.name)?.is_some())
    }

    /// Asks for documents by what is in them.
    pub fn query(&self) -> Query<Value> {
        Query::by_name(self.snapshot.origin(), self.name.clone())
    }
}

fn list(types: &[KeyType]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Snapshot").field("position", &self.position()).finish_non_exhaustive()
    }
}

impl<T> Clone for SnapshotTable<T> {
    fn clone(&self) -> Self {
        Self { snapshot: self.snapshot.clone(), name: self.name.clone(), documents: PhantomData }
    }
}

impl<T> fmt::Debug for SnapshotTable<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SnapshotTable").field(&self.name).field(&self.snapshot).finish()
    }
}
