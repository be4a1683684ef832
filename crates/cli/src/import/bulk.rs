use bucketdb::{BulkLoad, Duplicates};
use futures::stream::{self, StreamExt, TryStreamExt};
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
}

impl Bulk {
    pub(super) fn new(target: &Target) -> Result<Self, bucketdb::Error> {
        let tables = target.db.stats()?.tables;
        let is_new = tables.iter().find(|table| table.name == target.table).is_none_or(|table| table.stats.is_empty());
        Ok(Self { is_new, load: None, chunk: Gathered::default(), written: Seen::new(), imported: 0, replaced: 0 })
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
        let Some(pending) = self.chunk.replace(pending) else { return Ok(()) };
        self.chunk.push(pending);
        if self.chunk.len() >= CHUNK_DOCUMENTS || self.chunk.size_bytes() >= CHUNK_BYTES {
            self.write_chunk(target, report).await?;
        }
        Ok(())
    }

    /// Lets everything appear. If it fails, nothing does.
    pub(super) async fn finish(&mut self, target: &Target, report: &mut ImportReport) -> Result<(), RowFailure> {
        let stopped = self.write_chunk(target, report).await.err();
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
            let load = match &mut self.load {
                Some(load) => load,
                none => {
                    target.create().await?;
                    let duplicates = match target.mode {
                        Mode::Put => Duplicates::Replace,
                        Mode::Insert => Duplicates::Fail,
                    };
                    none.insert(target.collection.bulk_load(duplicates).await?)
                }
            };
            load.add_value(&pending.document).await.map_err(|error| RowFailure::at(pending.line, error.into()))?;
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
