use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bucketdb_documents::{DocumentKey, EncodedKey, KeyRange, Proposal, ReadSet, blobs_of_row, row};
use bucketdb_driver::{DriverError, ErrorKind, Operation};
use bucketdb_env::Environment;
use bucketdb_log::{Commit, CommitError, DatabaseId, Freshness, IngestTicket, Seq};
use bucketdb_runs::format::MAX_ROW_BYTES;
use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{self, Either};
use serde::Serialize;
use serde_json::Value;

use self::buffer::LoadBuffer;
use self::stretches::Stretches;
use crate::rows::TableRef;
use crate::{Database, Document, Error, Result};

mod beginning;
mod buffer;
mod giving_up;
mod saved;
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
    /// Under which somebody can go on with it; empty if nobody shall.
    name: String,
    /// What was saved last.
    note: Option<Bytes>,
    /// Whether a record says, or will say, that it is over.
    has_ended: bool,
    /// Since when nobody else may have written to the table, if what is there is heeded.
    reads_at: Seq,
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

/// A bulk load looks at no other row, so nobody could tell whether the blobs of its documents belong to others.
fn check_no_blob(row: &[u8], database: DatabaseId, table: &TableRef, key: &EncodedKey) -> Result<()> {
    if blobs_of_row(row, database).is_empty() {
        return Ok(());
    }
    Err(table.invalid_document(key, "it refers to a blob, and a bulk load cannot: write it by itself"))
}

impl BulkLoad {
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
        let database = self.db.inner.log.database();
        self.buffer.push(table.id, key, |bytes| {
            let before = bytes.len();
            let encoded = row::encode_into(bytes, document, &table.layouts);
            encoded.map_err(|error| table.invalid_document(key, error))?;
            check_no_blob(bytes.get(before..).unwrap_or_default(), database, table, key)?;
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

    /// What was given to [`save`](Self::save) last, be it by this process or by one before it whose load this goes on with.
    #[must_use]
    pub fn saved(&self) -> Option<&[u8]> {
        self.note.as_deref()
    }

    /// Writes all that was added so far, and saves it in the log together with a note by which the caller will know where it
    /// stood: whoever begins a [resumable load](crate::Table::resumable_load) of the same name within ten
    /// [graces](crate::DatabaseBuilder::grace) goes on from here, as if what was added before had been added just so. It also
    /// starts the time anew for which what a load has written is spared by sweeps.
    ///
    /// It takes one put, and one more run for what is gathered; once for every few hundred megabytes is often enough. The
    /// record takes some 200 bytes for every run, and the note.
    ///
    /// # Errors
    /// As [`add`](Self::add); [`LogError::IngestEnded`](crate::LogError::IngestEnded) if somebody else has gone on with the load.
    pub async fn save(&mut self, note: impl Into<Bytes>) -> Result<()> {
        let (buffer, added) = (std::mem::take(&mut self.buffer), self.added);
        let stretches = self.idle().await?;
        let written = stretches.write(buffer).await;
        let saved = match written {
            Ok(()) => stretches.save(added, note.into()).await,
            Err(error) => Err(error),
        };
        let saved = saved.inspect_err(|error| self.writer = Writer::Failed(error.clone()))?;
        let inner = &self.db.inner;
        let progress = saved.encode().into();
        self.ticket = inner.log.save_ingest(&self.name, Some(self.ticket), progress, inner.commit_timeout).await?;
        self.note = Some(saved.note);
        self.idle().await?.remove_replaced().await;
        Ok(())
    }

    /// Lets everything appear in the database. A load that can never succeed is given up when this returns.
    ///
    /// # Errors
    /// As [`add`](Self::add); [`Error::Conflict`] or [`Error::TransactionTooLong`] if somebody wrote to the table meanwhile
    /// and the load was to heed what is there.
    pub async fn finish(mut self) -> Result<BulkLoaded> {
        let loaded = self.commit().await;
        match &loaded {
            Ok(_) => {
                if let Writer::Idle(stretches) = &mut self.writer {
                    stretches.remove_replaced().await;
                }
            }
            Err(error) => {
                self.has_ended = self.has_ended || self.db.inner.end_if_final(self.ticket, error).await;
                self.writer = Writer::Failed(error.clone());
            }
        }
        loaded
    }

    async fn commit(&mut self) -> Result<BulkLoaded> {
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
            let mut reads = ReadSet::new(self.reads_at);
            reads.ranges.push(KeyRange::all(self.table.id));
            reads
        });
        let written_under = (self.table.id, self.table.layouts.version());
        let proposal = Proposal::Ingest { tiers, reads, begun: self.ticket.seq, written_under };
        let outcome = inner.propose(&proposal, Freshness::Local).await;
        // Whoever cannot tell whether it appeared lets it lapse.
        self.has_ended = matches!(outcome, Ok(_) | Err(CommitError::OutcomeUnknown { .. }));
        let commit = outcome.map_err(|error| inner.explain(error))?;
        Ok(BulkLoaded { commit: Some(commit), documents, skipped })
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
