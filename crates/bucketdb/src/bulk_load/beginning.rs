use bucketdb_log::{Freshness, IngestTicket, LogError, SavedIngest, Seq};
use bytes::Bytes;

use super::buffer::LoadBuffer;
use super::saved::Saved;
use super::stretches::Stretches;
use super::{BulkLoad, Duplicates, Share, Writer};
use crate::rows::TableRef;
use crate::{Collection, Database, Document, Result, Table};

/// How long the name of a load may be.
const MAX_NAME_BYTES: usize = 256;

impl<T: Document> Table<T> {
    /// Begins to load many documents at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, Document, Duplicates, MemoryDriver};
    /// # #[derive(serde::Serialize, serde::Deserialize, Document)]
    /// # #[document(table = "numbers")]
    /// # struct Number { #[document(key)] id: u64 }
    /// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let numbers = db.table::<Number>().await?;
    /// let mut load = numbers.bulk_load(Duplicates::Fail).await?;
    /// for id in 0..10_000 {
    ///     load.add(&Number { id }).await?;
    /// }
    /// assert_eq!(load.finish().await?.documents, 10_000);
    /// assert_eq!(numbers.query().count().await?, 10_000);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the store fails.
    pub async fn bulk_load(&self, duplicates: Duplicates) -> Result<BulkLoad> {
        BulkLoad::begin(self.database().clone(), self.table_ref().clone(), duplicates).await
    }

    /// As [`bulk_load`](Self::bulk_load), by a name of the caller's, 1 to 256 bytes long. If a load of that name
    /// [saved](BulkLoad::save) what it had loaded and did not end, it is gone on with from there, and whoever is at it still
    /// can neither save nor finish it any more.
    ///
    /// # Errors
    /// If the store fails; [`LogError::InvalidOption`] if the name is too long, or if the load of that name is one of
    /// another table or with another treatment of duplicates.
    pub async fn resumable_load(&self, name: &str, duplicates: Duplicates) -> Result<BulkLoad> {
        BulkLoad::resume(self.database().clone(), self.table_ref().clone(), duplicates, name).await
    }
}

impl Collection {
    /// Begins to load many documents at once. The collection must exist.
    ///
    /// # Errors
    /// [`Error::UnknownTable`](crate::Error::UnknownTable) if it does not; or if the store fails.
    pub async fn bulk_load(&self, duplicates: Duplicates) -> Result<BulkLoad> {
        let table = self.find_existing().await?;
        BulkLoad::begin(self.database().clone(), table, duplicates).await
    }

    /// As [`Table::resumable_load`].
    ///
    /// # Errors
    /// As [`Table::resumable_load`], or [`Error::UnknownTable`](crate::Error::UnknownTable) if the collection does not exist.
    pub async fn resumable_load(&self, name: &str, duplicates: Duplicates) -> Result<BulkLoad> {
        let table = self.find_existing().await?;
        BulkLoad::resume(self.database().clone(), table, duplicates, name).await
    }
}

impl BulkLoad {
    async fn begin(db: Database, table: TableRef, duplicates: Duplicates) -> Result<Self> {
        let inner = &db.inner;
        // Whoever loads looks after the database too.
        inner.await_room(inner.commit_timeout).await.map_err(|error| inner.explain(error))?;
        inner.log.refresh(Freshness::Strict).await?;
        let ticket = inner.log.begin_ingest(inner.commit_timeout).await?;
        Ok(Self::new(db, table, duplicates, ticket))
    }

    async fn resume(db: Database, table: TableRef, duplicates: Duplicates, name: &str) -> Result<Self> {
        let inner = &db.inner;
        let invalid = |reason: String| LogError::InvalidOption { option: "name", reason };
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let reason =
                format!("the name of a bulk load has 1 to {MAX_NAME_BYTES} bytes, and this one {}", name.len());
            return Err(invalid(reason).into());
        }
        inner.await_room(inner.commit_timeout).await.map_err(|error| inner.explain(error))?;
        inner.log.refresh(Freshness::Strict).await?;
        let (replaces, progress) = match inner.log.saved_ingest(name) {
            Some(SavedIngest { ticket, progress }) => (Some(ticket), progress),
            None => (None, Bytes::new()),
        };
        if progress.is_empty() {
            let ticket = inner.log.save_ingest(name, replaces, progress, inner.commit_timeout).await?;
            let mut load = Self::new(db, table, duplicates, ticket);
            load.name = name.to_owned();
            return Ok(load);
        }
        let saved = Saved::decode(progress.clone(), &inner.runs());
        let saved = saved.map_err(|error| inner.damaged(replaces.map_or(Seq(0), |ticket| ticket.seq), error))?;
        if (saved.table, saved.duplicates) != (table.id, duplicates) {
            let reason = format!("the load {name:?} is one into another table, or treats duplicates in another way");
            return Err(invalid(reason).into());
        }
        // Only one can go on from here.
        let ticket = inner.log.save_ingest(name, replaces, progress, inner.commit_timeout).await?;
        let stretches = Stretches::restore(inner.clone(), table.clone(), &saved);
        let reads_at = match duplicates {
            Duplicates::Replace => saved.begun_at,
            Duplicates::Fail | Duplicates::Skip => match stretches.check_absent(saved.begun_at).await {
                Ok(seq) => seq,
                Err(error) => {
                    inner.end_if_final(ticket, &error).await;
                    return Err(error);
                }
            },
        };
        let mut load = Self::of(db, table, duplicates, ticket, reads_at, stretches);
        (load.name, load.added, load.note) = (name.to_owned(), saved.added, Some(saved.note));
        Ok(load)
    }

    fn new(db: Database, table: TableRef, duplicates: Duplicates, ticket: IngestTicket) -> Self {
        let begun_at = db.inner.log.position();
        let stretches = Stretches::new(db.inner.clone(), table.clone(), duplicates, begun_at);
        Self::of(db, table, duplicates, ticket, begun_at, stretches)
    }

    fn of(
        db: Database,
        table: TableRef,
        duplicates: Duplicates,
        ticket: IngestTicket,
        reads_at: Seq,
        stretches: Stretches,
    ) -> Self {
        let share = Share::new(&db.inner.loads, db.inner.memory.load_bytes);
        let (buffer, writer) = (LoadBuffer::default(), Writer::Idle(Box::new(stretches)));
        let (name, note, has_ended, added) = (String::new(), None, false, 0);
        Self { db, table, duplicates, ticket, name, note, has_ended, reads_at, buffer, writer, share, added }
    }
}
