//! Writes to all documents that a query finds.

use std::pin::pin;

use bucketdb_documents::{Change, Condition};
use bucketdb_log::format::MAX_BODY_BYTES;
use futures::stream::TryStreamExt;
use parking_lot::Mutex;
use serde_json::Value;

use super::Query;
use super::turns::Turns;
use crate::origin::Origin;
use crate::request::Match;
use crate::rows::{Stored, TableRef};
use crate::transact::TransactOptions;
use crate::{Database, Document, Error, Result, Transaction};

/// How many documents one piece of a write has at most.
const PIECE_DOCUMENTS: usize = 1_000;

/// How many bytes the documents of one piece take, about, before they are changed.
const PIECE_BYTES: usize = 1024 * 1024;

/// # Writing
///
/// [`delete`](Self::delete), [`update`](Query::update) and [`patch`](Self::patch) write to the documents that the query
/// finds, order, limit and offset heeded, and tell how many these were. All of it is one transaction: it happens at one
/// moment or not at all, to exactly those documents that match at that moment, whatever others do; if they write to what
/// was read, it begins again. One commit holds 8 MiB, which is some 100,000 keys, or the new documents; a query that finds
/// more is refused with [`Error::WriteTooLarge`] before anything is written, and [`in_pieces`](Self::in_pieces) is for
/// those.
///
/// A query in a [`Transaction`] writes as part of that.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bucketdb::Error> {
/// # use bucketdb::{Database, Document, MemoryDriver};
/// # use serde_json::json;
/// # #[derive(serde::Serialize, serde::Deserialize, Document)]
/// # #[document(table = "tasks")]
/// # struct Task { #[document(key)] id: u64, tries: u32, is_done: bool }
/// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
/// let tasks = db.table::<Task>().await?;
/// for id in 1..=5 {
///     tasks.insert(&Task { id, tries: 0, is_done: id > 3 }).await?;
/// }
/// let retried = tasks.query().filter(Task::IS_DONE.eq(false)).update(|task| task.tries += 1).await?;
/// let closed = tasks.query().filter(Task::TRIES.ge(1)).limit(2).patch(&json!({"is_done": true})).await?;
/// let removed = tasks.query().filter(Task::IS_DONE).delete().await?;
/// assert_eq!((retried, closed, removed), (3, 2, 4));
/// # Ok(())
/// # }
/// ```
impl<T: Stored> Query<T> {
    /// Lets a write by this query happen in pieces, however many documents there are: each of up to 1,000 documents is a
    /// transaction of its own. So others may see some of them written and some not.
    ///
    /// The documents are those that the query finds when it begins; each is written if it still matches the filter when
    /// its turn comes, and once at most. If it takes so long that this moment cannot be read any more, the rest are those
    /// that it finds then, or it ends in [`Error::SnapshotExpired`] if it has an order. After an error, what was written stays, and the rest can be done by doing it again.
    /// Means nothing in a transaction.
    pub fn in_pieces(mut self) -> Self {
        self.request.in_pieces = true;
        self
    }

    /// Removes the documents that the query finds, and tells how many.
    ///
    /// # Errors
    /// [`Error::WriteTooLarge`] if one commit does not hold all of it; [`Error::ReadOnly`] in a snapshot.
    pub async fn delete(self) -> Result<u64> {
        self.write(false, |table, found| Ok(table.delete(found.key.clone(), Condition::Always))).await
    }

    /// Changes what a JSON merge patch (RFC 7396) has, in all documents that the query finds, and tells how many: fields
    /// in objects one by one, anything else as a whole; `null` removes a field.
    ///
    /// # Errors
    /// As [`delete`](Self::delete); [`Error::InvalidKey`] if the patch changes a key; [`Error::InvalidDocument`] if a
    /// document would not have the shape of the type any more; [`Error::UniqueViolation`].
    pub async fn patch(self, patch: &Value) -> Result<u64> {
        let change =
            |table: &TableRef, Match { key, row }: &Match| Ok(table.patch::<T>(key, row, patch, Condition::Always)?.1);
        self.write(false, change).await
    }

    /// Changes every document that the query finds with `change`, and writes what `put` makes of it.
    async fn update_with<E: From<Error>>(
        self,
        put: fn(&TableRef, &T, Condition) -> Result<Change>,
        mut change: impl FnMut(&mut T) -> Result<(), E> + Send,
    ) -> Result<u64, E> {
        let written = self.write(true, move |table, Match { key, row }| {
            let mut document: T = table.decode(key, row)?;
            change(&mut document)?;
            let mut write = put(table, &document, Condition::Always)?;
            table.check_same_key(key, &write.key)?;
            table.made_of(&mut write, row)?;
            Ok(write)
        });
        written.await
    }

    /// Writes the change that is made of every document that the query finds.
    async fn write<E: From<Error>>(
        mut self,
        heeds_order: bool,
        change: impl FnMut(&TableRef, &Match) -> Result<Change, E> + Send,
    ) -> Result<u64, E> {
        if self.request.limit.is_none() && self.request.offset == 0 && !heeds_order {
            // It decides nothing, and would have all documents in memory.
            self.request.order = None;
        }
        // A transaction may run several times, each time with the same closure.
        let change = Mutex::new(change);
        match self.request.origin.clone() {
            Origin::Moment(_) => Err(Error::ReadOnly.into()),
            Origin::Transaction(transaction) => self.write_in(&transaction, &change).await,
            Origin::Live(db, _) if self.request.in_pieces => self.write_in_pieces(&db, &change).await,
            Origin::Live(db, freshness) => {
                let options = TransactOptions { freshness, ..TransactOptions::default() };
                let write = async |transaction: Transaction| self.clone().write_in(&transaction, &change).await;
                Ok(db.transact_with(options, write).await?.value)
            }
        }
    }

    /// As part of a transaction, which gets all of it or, after an error, nothing.
    async fn write_in<E: From<Error>>(
        mut self,
        transaction: &Transaction,
        change: &Mutex<impl FnMut(&TableRef, &Match) -> Result<Change, E>>,
    ) -> Result<u64, E> {
        self.request.origin = Origin::Transaction(transaction.clone());
        let Some((table, matches)) = self.request.run().await? else { return Ok(0) };
        let mut changes = Changes::default();
        let mut matches = pin!(matches);
        while let Some(found) = matches.try_next().await? {
            let change = (change.lock())(&table, &found)?;
            if !changes.add(change) {
                let (table, limit_bytes) = (table.name().to_owned(), MAX_BODY_BYTES);
                return Err(Error::WriteTooLarge { table, limit_bytes }.into());
            }
        }
        let count = changes.all.len() as u64;
        transaction.add(changes.all)?;
        Ok(count)
    }

    async fn write_in_pieces<E: From<Error>>(
        self,
        db: &Database,
        change: &Mutex<impl FnMut(&TableRef, &Match) -> Result<Change, E>>,
    ) -> Result<u64, E> {
        let Some(mut found) = Turns::of(self.request.clone()).await? else { return Ok(0) };
        let table = &found.table.clone();
        let sieve = &self.request.sieve(table);
        let mut count = 0;
        loop {
            let (mut keys, mut bytes) = (Vec::new(), 0);
            while keys.len() < PIECE_DOCUMENTS
                && bytes < PIECE_BYTES
                && let Some(Match { key, row }) = found.next().await?
            {
                bytes += key.as_bytes().len() + row.len();
                keys.push(key);
            }
            if keys.is_empty() {
                return Ok(count);
            }
            let mut left = keys.as_slice();
            while !left.is_empty() {
                let keys = left;
                let piece = async |transaction: Transaction| {
                    let mut changes = Changes::default();
                    let mut done = 0;
                    for key in keys {
                        if let Some(row) = transaction.row(table, key).await?
                            && sieve.accepts(table, key, &row)?
                        {
                            let change = (change.lock())(table, &Match { key: key.clone(), row })?;
                            // Documents that have grown go on in a transaction of their own; of a single one that does not
                            // fit, the commit tells.
                            if !changes.add(change) && done > 0 {
                                break;
                            }
                        }
                        done += 1;
                    }
                    let written = changes.all.len() as u64;
                    transaction.add(changes.all)?;
                    Ok::<_, E>((done, written))
                };
                let (done, written) = db.transact(piece).await?;
                count += written;
                left = left.get(done..).unwrap_or_default();
            }
        }
    }
}

/// The same calls for documents with a type and without.
macro_rules! update_calls {
    ($document:ty, $put:path) => {
        /// Changes all documents that the query finds, and tells how many.
        ///
        /// The closure is called again for the same documents if others wrote to them meanwhile.
        ///
        /// # Errors
        /// As [`delete`](Self::delete); [`Error::InvalidKey`] if `change` changes a key; [`Error::UniqueViolation`].
        pub async fn update(self, mut change: impl FnMut(&mut $document) + Send) -> Result<u64> {
            self.try_update(|document| {
                change(document);
                Ok::<_, Error>(())
            })
            .await
        }

        /// As [`update`](Self::update), with a closure that may refuse: then nothing is written, or, in pieces, nothing more.
        ///
        /// # Errors
        /// The closure's, and those of [`update`](Self::update).
        pub async fn try_update<E: From<Error>>(
            self,
            change: impl FnMut(&mut $document) -> Result<(), E> + Send,
        ) -> Result<u64, E> {
            self.update_with($put, change).await
        }
    };
}

impl<T: Document> Query<T> {
    update_calls!(T, TableRef::put_document);
}

impl Query<Value> {
    update_calls!(Value, TableRef::put_value);
}

/// Changes for one commit.
#[derive(Default)]
struct Changes {
    all: Vec<Change>,
    size_bytes: usize,
}

impl Changes {
    /// Takes a change in, unless it makes more than one commit holds; the first is always taken.
    fn add(&mut self, change: Change) -> bool {
        let size_bytes = self.size_bytes + change.size_bytes();
        if size_bytes > MAX_BODY_BYTES - Change::OVERHEAD_BYTES && !self.all.is_empty() {
            return false;
        }
        self.size_bytes = size_bytes;
        self.all.push(change);
        true
    }
}
