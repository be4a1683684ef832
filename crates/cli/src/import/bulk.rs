use bucketdb::{BulkLoad, Duplicates};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::MAX_BATCH_BYTES;
use super::gathered::Gathered;
use super::importer::{ImportReport, RowFailure};
use super::seen::Seen;
use super::target::{Pending, Target};
use crate::arguments::Mode;
use crate::failure::Failure;

/// Documents are compared with what is stored so many at a time.
const CHUNK_DOCUMENTS: usize = 4_096;
const CHUNK_BYTES: usize = 4 << 20;

/// After so many bytes of documents it is saved what was done.
const SAVE_BYTES: usize = 128 << 20;

/// So many documents are looked up at the same time.
const LOOKUPS: usize = 32;

/// Gathers documents into sorted runs, which all join the database at once in the end. What is stored already is not
/// written again.
pub(super) struct Bulk {
    /// Whether nothing was stored in the table when it began: then there is nothing to compare with.
    is_new: bool,
    /// Begun with the first document that has to be written.
    load: Option<BulkLoad>,
    chunk: Gathered,
    /// Keys that were written. What is stored says nothing any more about a document with such a key.
    written: Seen,
    imported: u64,
    replaced: u64,
    /// The name by which somebody can go on with it.
    resume: Option<String>,
    /// So many documents of the file, from the first on, are part of the load, or need not be.
    done: u64,
    /// What was handed on since that was saved.
    unsaved_bytes: usize,
}

/// What an import saves on the way.
#[derive(Serialize, Deserialize)]
struct Note {
    done: u64,
    imported: u64,
    replaced: u64,
    unchanged: u64,
}

impl Bulk {
    pub(super) fn new(target: &Target, resume: Option<String>) -> Result<Self, bucketdb::Error> {
        let tables = target.db.stats()?.tables;
        let is_new = tables.iter().find(|table| table.name == target.table).is_none_or(|table| table.stats.is_empty());
        Ok(Self {
            is_new,
            load: None,
            chunk: Gathered::default(),
            written: Seen::new(),
            imported: 0,
            replaced: 0,
            resume,
            done: 0,
            unsaved_bytes: 0,
        })
    }

    /// Takes a document.
    pub(super) async fn add(
        &mut self,
        pending: Pending,
        target: &Target,
        report: &mut ImportReport,
    ) -> Result<(), RowFailure> {
        if pending.size_bytes > MAX_BATCH_BYTES {
            let message = format!("the document takes {} bytes, and one holds at most 8 MiB", pending.size_bytes);
            return Err(RowFailure::at(pending.line, Failure::new("batch_too_large", message)));
        }
        if pending.place <= self.done {
            self.pass_over(&pending);
            return Ok(());
        }
        let Some(pending) = self.chunk.replace(pending) else { return Ok(()) };
        let place = pending.place;
        self.chunk.push(pending);
        if self.chunk.len() >= CHUNK_DOCUMENTS || self.chunk.size_bytes() >= CHUNK_BYTES {
            self.write_chunk(target, report).await?;
            if self.unsaved_bytes >= SAVE_BYTES {
                self.save(place, report.unchanged).await?;
            }
        }
        Ok(())
    }

    /// Passes over a document that is part of the load already.
    fn pass_over(&mut self, pending: &Pending) {
        if !self.is_new {
            self.written.insert(&pending.key_text);
        }
    }

    /// Saves that so many documents of the file are done.
    async fn save(&mut self, done: u64, unchanged: u64) -> Result<(), RowFailure> {
        let (Some(load), true) = (&mut self.load, self.resume.is_some()) else { return Ok(()) };
        let note = Note { done, imported: self.imported, replaced: self.replaced, unchanged };
        load.save(serde_json::to_vec(&note).map_err(|error| Failure::new("internal", error.to_string()))?).await?;
        self.unsaved_bytes = 0;
        Ok(())
    }

    /// Begins to load, or goes on where an import of the same name was cut off.
    async fn begin(&mut self, target: &Target, report: &mut ImportReport) -> Result<BulkLoad, RowFailure> {
        target.create().await?;
        let duplicates = match target.mode {
            Mode::Put => Duplicates::Replace,
            Mode::Insert => Duplicates::Fail,
        };
        let Some(name) = &self.resume else { return Ok(target.collection.bulk_load(duplicates).await?) };
        let load = target.collection.resumable_load(name, duplicates).await?;
        if let Some(saved) = load.saved() {
            let note: Note = serde_json::from_slice(saved).map_err(|_| {
                Failure::new("invalid_option", format!("the load {name:?} that was cut off is none of an import"))
            })?;
            (self.done, self.imported, self.replaced) = (note.done, note.imported, note.replaced);
            (report.resumed, report.unchanged) = (note.done, note.unchanged);
        }
        Ok(load)
    }

    /// Lets everything appear. If it fails, nothing does; what was saved before can still be gone on with.
    pub(super) async fn finish(&mut self, target: &Target, report: &mut ImportReport) -> Result<(), RowFailure> {
        let stopped = self.write_chunk(target, report).await.err();
        if let Some(name) = self.resume.as_ref().filter(|_| report.read < self.done) {
            let (read, done) = (report.read, self.done);
            let message = format!(
                "load {name:?} cannot go on: the input ends after {read} documents, and {done} were loaded before the \
                 import was cut off, so it is not the same input"
            );
            return Err(Failure::new("invalid_input", message).of_data().into());
        }
        if let Some(load) = self.load.take() {
            let loaded = load.finish().await.map_err(|error| Failure::from(error).of_data())?;
            report.commits += u64::from(loaded.commit.is_some());
            report.imported += self.imported;
            report.replaced += self.replaced;
        }
        stopped.map_or(Ok(()), Err)
    }

    /// Hands the documents of the chunk on that are not stored, or all that stand before the first that cannot be.
    async fn write_chunk(&mut self, target: &Target, report: &mut ImportReport) -> Result<(), RowFailure> {
        let chunk = self.chunk.take();
        let mut all_stored = self.look_up(&chunk, target).await?.into_iter();
        for pending in chunk {
            let stored = all_stored.next().flatten();
            if stored.is_some() && target.mode == Mode::Insert {
                return Err(target.exists_already(&pending));
            }
            let is_new = stored.is_none();
            if stored.is_some_and(|stored| stored == pending.document) && !self.written.may_contain(&pending.key_text) {
                report.unchanged += u64::from(!pending.is_duplicate);
                continue;
            }
            if self.load.is_none() {
                self.load = Some(self.begin(target, report).await?);
            }
            if pending.place <= self.done {
                self.pass_over(&pending);
                continue;
            }
            let Some(load) = &mut self.load else { continue };
            load.add_value(&pending.document).await.map_err(|error| RowFailure::at(pending.line, error.into()))?;
            self.unsaved_bytes += pending.size_bytes;
            if !self.is_new {
                self.written.insert(&pending.key_text);
            }
            if !pending.is_duplicate {
                *(if is_new { &mut self.imported } else { &mut self.replaced }) += 1;
            }
        }
        Ok(())
    }

    /// What is stored in the place of each; nothing at all if nothing was stored when it began.
    async fn look_up(&self, chunk: &[Pending], target: &Target) -> Result<Vec<Option<Value>>, RowFailure> {
        if self.is_new {
            return Ok(Vec::new());
        }
        let lookups = chunk.iter().map(|pending| {
            let stored = target.collection.get(&pending.key);
            async move { stored.await.map_err(|error| RowFailure::at(pending.line, error.into())) }
        });
        let lookups: Vec<_> = lookups.collect();
        stream::iter(lookups).buffered(LOOKUPS).try_collect().await
    }
}
