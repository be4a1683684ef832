use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bucketdb_documents::{DocumentKey, EncodedKey, KeyRange, Proposal, ReadSet, row};
use bucketdb_driver::{DriverError, ErrorKind, Operation};
use bucketdb_env::Environment;
use bucketdb_log::{Commit, CommitError, Freshness, IngestTicket, Seq};
use bucketdb_runs::format::MAX_ROW_BYTES;
use futures::channel::oneshot;
use futures::future::{self, Either};
use serde::Serialize;
use serde_json::Value;

use self::buffer::LoadBuffer;
use self::stretches::Stretches;
use crate::database::Inner;
use crate::rows::TableRef;
use crate::{Collection, Database, Document, Error, Result, Table};

mod buffer;
mod stretches;

/// What becomes of a document whose key is there already, in the table or earlier in the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicates {
    /// The load fails, and nothing of it appears.
    #[default]
    Fail,
    /// What is there stays.
    Skip,
    /// It replaces what is there.
    Replace,
}

/// Loads any number of documents into one table, which all appear at once or not at all.
///
/// The documents go into sorted runs of their own, in bounded memory, and one record lets the runs join the database. So
/// ten million documents take not ten million puts but a few for every 32 MiB. They are gathered, sorted and written at the
/// same time; documents that come in the order of their keys are quickest, and are written once. A load that fails or is
/// dropped leaves nothing but objects that a [sweep](Database::sweep) removes; [`abort`](Self::abort) removes them at once.
///
/// Unless it [replaces](Duplicates::Replace) what is there, somebody else who writes to the table meanwhile makes it fail
/// with a conflict.
#[must_use = "a bulk load does nothing until it is finished"]
pub struct BulkLoad {
    db: Database,
    table: TableRef,
    duplicates: Duplicates,
    ticket: IngestTicket,
    /// Whether a record says, or will say, that it is over.
    has_ended: bool,
    begun_at: Seq,
    buffer: LoadBuffer,
    writer: Writer,
    share: Share,
    added: u64,
}

/// Who writes what was gathered, while more is gathered.
enum Writer {
    Idle(Box<Stretches>),
    Busy(oneshot::Receiver<(Box<Stretches>, Result<()>)>),
    /// Something could not be written.
    Failed(Error),
}

/// A part of the memory that all loads of a database have together.
struct Share {
    loads: Arc<AtomicUsize>,
    of_all_bytes: usize,
}

/// What a [`BulkLoad`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkLoaded {
    /// Where it is in the log; `None` if there was nothing to load.
    pub commit: Option<Commit>,
    /// How many documents it wrote, those included that later ones replaced.
    pub documents: u64,
    /// How many it left out because their keys were there.
    pub skipped: u64,
}

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
}

impl Collection {
    /// Begins to load many documents at once. The collection must exist.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if it does not; or if the store fails.
    pub async fn bulk_load(&self, duplicates: Duplicates) -> Result<BulkLoad> {
        let table = self.find_existing().await?;
        BulkLoad::begin(self.database().clone(), table, duplicates).await
    }
}

impl BulkLoad {
    async fn begin(db: Database, table: TableRef, duplicates: Duplicates) -> Result<Self> {
        let inner = &db.inner;
        // Whoever loads looks after the database too.
        inner.await_room(inner.commit_timeout).await?;
        inner.log.refresh(Freshness::Strict).await?;
        let ticket = inner.log.begin_ingest(inner.commit_timeout).await?;
        let begun_at = inner.log.position();
        let stretches = Stretches::new(inner.clone(), table.clone(), duplicates, begun_at);
        let share = Share::new(&inner.loads, inner.memory.load_bytes);
        let (buffer, writer) = (LoadBuffer::default(), Writer::Idle(Box::new(stretches)));
        Ok(Self { db, table, duplicates, ticket, has_ended: false, begun_at, buffer, writer, share, added: 0 })
    }

    /// Adds a document. Waits while the store does not keep up.
    ///
    /// # Errors
    /// If it cannot be stored: the others still can. If the store fails, or [`Error::AlreadyExists`] if a key is there, that
    /// of this document or of one that was added before, and that is to fail: the load has come to nothing then.
    pub async fn add<T: Document>(&mut self, document: &T) -> Result<()> {
        let key = self.table.key(&document.key().parts())?;
        self.push(&key, document).await
    }

    /// Adds a JSON document.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_value(&mut self, document: &Value) -> Result<()> {
        let key = self.table.key_of(document)?;
        self.push(&key, document).await
    }

    async fn push<T: Serialize + ?Sized>(&mut self, key: &EncodedKey, document: &T) -> Result<()> {
        if let Writer::Failed(error) = &self.writer {
            return Err(error.clone());
        }
        let (table, most_bytes) = (&self.table, self.share.buffer_bytes());
        if self.buffer.is_empty() {
            self.buffer = LoadBuffer::with_capacity(most_bytes + most_bytes / 8);
        }
        self.buffer.push(table.id, key, |bytes| {
            let before = bytes.len();
            let encoded = row::encode_into(bytes, document, table.schema.version());
            encoded.map_err(|error| table.invalid_document(key, error))?;
            if bytes.len() - before > MAX_ROW_BYTES {
                return Err(table.invalid_document(key, format!("it takes more than {MAX_ROW_BYTES} bytes")));
            }
            Ok(())
        })?;
        self.added += 1;
        if self.buffer.size_bytes() >= most_bytes { self.write_buffer().await } else { Ok(()) }
    }

    /// What writes, once it is idle.
    async fn idle(&mut self) -> Result<&mut Stretches> {
        if let Writer::Busy(written) = &mut self.writer {
            self.writer = match written.await {
                Ok((stretches, Ok(()))) => Writer::Idle(stretches),
                Ok((_, Err(error))) => Writer::Failed(error),
                Err(oneshot::Canceled) => Writer::Failed(ended_early()),
            };
        }
        match &mut self.writer {
            Writer::Idle(stretches) => Ok(stretches),
            Writer::Busy(_) => Err(ended_early()),
            Writer::Failed(error) => Err(error.clone()),
        }
    }

    /// Lets what was gathered be written as soon as what was gathered before is.
    async fn write_buffer(&mut self) -> Result<()> {
        self.idle().await?;
        let (mut tell, written) = oneshot::channel();
        let Writer::Idle(mut stretches) = std::mem::replace(&mut self.writer, Writer::Busy(written)) else {
            return Ok(());
        };
        let buffer = std::mem::take(&mut self.buffer);
        self.db.inner.log.env().spawn(Box::pin(async move {
            let written = {
                let write = std::pin::pin!(stretches.write(buffer));
                match future::select(write, tell.cancellation()).await {
                    Either::Left((written, _)) => written,
                    // The load was dropped.
                    Either::Right(_) => return,
                }
            };
            let _ = tell.send((stretches, written));
        }));
        Ok(())
    }

    /// Lets everything appear in the database.
    ///
    /// # Errors
    /// As [`add`](Self::add); [`Error::Conflict`] or [`Error::TransactionTooLong`] if somebody wrote to the table meanwhile
    /// and the load was to heed what is there.
    pub async fn finish(mut self) -> Result<BulkLoaded> {
        let buffer = std::mem::take(&mut self.buffer);
        let stretches = self.idle().await?;
        stretches.write(buffer).await?;
        let tiers = stretches.finish().await?;
        let skipped = stretches.skipped();
        let documents = self.added.saturating_sub(skipped);
        let inner = &self.db.inner;
        if tiers.is_empty() {
            inner.log.end_ingest(self.ticket, inner.commit_timeout).await?;
            self.has_ended = true;
            return Ok(BulkLoaded { commit: None, documents, skipped });
        }
        let reads = (self.duplicates != Duplicates::Replace).then(|| {
            let mut reads = ReadSet::new(self.begun_at);
            reads.ranges.push(KeyRange::all(self.table.id));
            reads
        });
        let proposal = Proposal::Ingest { tiers, reads, begun: self.ticket.seq };
        let outcome = inner.log.commit(proposal, Freshness::Local, inner.commit_timeout).await;
        // Whoever cannot tell whether it appeared lets it lapse.
        self.has_ended = matches!(outcome, Ok(_) | Err(CommitError::OutcomeUnknown { .. }));
        let commit = outcome.map_err(|error| inner.explain(error))?;
        Ok(BulkLoaded { commit: Some(commit), documents, skipped })
    }

    /// Gives the load up: nothing of it appears, and what it wrote is removed. One that is dropped is given up too, as soon
    /// as its runtime or the database's maintenance comes round to it; one whose process is killed, after ten
    /// [graces](crate::DatabaseBuilder::grace). What it wrote is then left to a [sweep](Database::sweep).
    ///
    /// # Errors
    /// If the store fails: what is left is removed as if the load had been dropped.
    pub async fn abort(mut self) -> Result<()> {
        // What failed before is no concern any more.
        let _ = self.idle().await;
        let inner = &self.db.inner;
        inner.log.end_ingest(self.ticket, inner.commit_timeout).await?;
        self.has_ended = true;
        match std::mem::replace(&mut self.writer, Writer::Failed(ended_early())) {
            Writer::Idle(stretches) => stretches.discard().await,
            Writer::Busy(_) | Writer::Failed(_) => Ok(()),
        }
    }
}

impl Drop for BulkLoad {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        self.db.inner.abandoned.lock().push(self.ticket);
        let inner = self.db.inner.clone();
        self.db.inner.log.env().spawn(Box::pin(async move {
            if let Err(error) = inner.end_abandoned().await {
                tracing::debug!(%error, "a bulk load that was dropped is left to maintenance");
            }
        }));
    }
}

impl Inner {
    /// Says in the log that loads were given up which were dropped.
    pub(crate) async fn end_abandoned(&self) -> Result<()> {
        loop {
            let Some(ticket) = self.abandoned.lock().pop() else { return Ok(()) };
            if let Err(error) = self.log.end_ingest(ticket, self.commit_timeout).await {
                self.abandoned.lock().push(ticket);
                return Err(error.into());
            }
        }
    }
}

impl Share {
    fn new(loads: &Arc<AtomicUsize>, of_all_bytes: usize) -> Self {
        loads.fetch_add(1, Ordering::Relaxed);
        Self { loads: loads.clone(), of_all_bytes }
    }

    /// How large a buffer may become: one is filled while another one is written.
    fn buffer_bytes(&self) -> usize {
        self.of_all_bytes / 2 / self.loads.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.loads.fetch_sub(1, Ordering::Relaxed);
    }
}

fn ended_early() -> Error {
    let detail = "the task that wrote a bulk load ended early";
    DriverError::new(ErrorKind::Transient, Operation::Put, "run/", detail).into()
}

impl fmt::Debug for BulkLoad {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BulkLoad")
            .field("table", &self.table.name())
            .field("added", &self.added)
            .finish_non_exhaustive()
    }
}
