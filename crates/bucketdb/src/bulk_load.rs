use std::collections::BTreeMap;
use std::fmt;

use bucketdb_documents::{
    Change, ChangeKind, Condition, EncodedKey, KeyRange, Proposal, ReadSet, TableId, WrittenRow, run_entry,
};
use bucketdb_log::{Commit, Freshness, IngestTicket, Seq};
use bucketdb_lsm::{Plan, Tier, Tree, Work};
use bucketdb_runs::{RunEntry, RunOptions, RunStore};
use bytes::Bytes;
use serde_json::Value;

use crate::rows::TableRef;
use crate::{Collection, Database, Document, Error, Result, Table};

/// So many sorted stretches are merged into one as soon as there are that many.
const FAN_IN: usize = 24;

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
/// ten million documents take not ten million puts but a few for every 32 MiB. A load that is dropped or fails leaves
/// nothing but objects that a [sweep](Database::sweep) removes.
///
/// Unless it [replaces](Duplicates::Replace) what is there, somebody else who writes to the table meanwhile makes it fail
/// with a conflict.
#[must_use = "a bulk load does nothing until it is finished"]
pub struct BulkLoad {
    db: Database,
    table: TableRef,
    duplicates: Duplicates,
    ticket: IngestTicket,
    begun_at: Seq,
    store: RunStore,
    buffer: BTreeMap<EncodedKey, Bytes>,
    buffer_bytes: usize,
    max_buffer_bytes: usize,
    /// Sorted stretches, in the order in which they were given.
    stretches: Vec<Tier>,
    loaded: u64,
    skipped: u64,
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
        let (begun_at, store) = (inner.log.position(), inner.runs());
        let max_buffer_bytes = 2 * inner.memory.overlay_bytes;
        let (buffer, stretches) = (BTreeMap::new(), Vec::new());
        let (buffer_bytes, loaded, skipped) = (0, 0, 0);
        Ok(Self {
            db,
            table,
            duplicates,
            ticket,
            begun_at,
            store,
            buffer,
            buffer_bytes,
            max_buffer_bytes,
            stretches,
            loaded,
            skipped,
        })
    }

    /// Adds a document.
    ///
    /// # Errors
    /// If it cannot be stored, or the store fails; [`Error::AlreadyExists`] if its key is there and that is to fail.
    pub async fn add<T: Document>(&mut self, document: &T) -> Result<()> {
        let change = self.table.put_document(document, Condition::Always)?;
        self.add_change(change).await
    }

    /// Adds a JSON document.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_value(&mut self, document: &Value) -> Result<()> {
        let change = self.table.put_value(document, Condition::Always)?;
        self.add_change(change).await
    }

    async fn add_change(&mut self, change: Change) -> Result<()> {
        let ChangeKind::Put(row) = change.kind else { return Ok(()) };
        match self.duplicates {
            Duplicates::Fail if self.buffer.contains_key(&change.key) => {
                return Err(self.table.already_exists(&change.key));
            }
            Duplicates::Skip if self.buffer.contains_key(&change.key) => {
                self.skipped += 1;
                return Ok(());
            }
            _ => {}
        }
        self.buffer_bytes += change.key.as_bytes().len() + row.len() + ENTRY_OVERHEAD_BYTES;
        self.loaded += 1;
        self.buffer.insert(change.key, row);
        if self.buffer_bytes >= self.max_buffer_bytes {
            self.write_buffer().await?;
        }
        Ok(())
    }

    fn work(&self) -> Work<'_> {
        let inner = &self.db.inner;
        let block_bytes = inner.log.options().block_bytes as usize;
        let options = RunOptions { block_bytes };
        Work { store: &self.store, policy: &inner.maintenance.policy, options, begun_at: self.begun_at }
    }

    /// Writes what was gathered as a sorted stretch.
    async fn write_buffer(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.buffer_bytes = 0;
        self.leave_out_existing(&mut buffer).await?;
        let table = self.table.id;
        let version = self.begun_at;
        let mut rows =
            buffer.into_iter().map(|(key, row)| run_entry(table, WrittenRow { key, row: Some(row), version }));
        let (runs, _) = self.work().write(&mut rows).await?;
        let Some(first) = runs.first() else { return Ok(()) };
        match self.stretches.last_mut() {
            // What comes in order stays one tier.
            Some(last) if last.runs().last().is_some_and(|last| last.meta().last_key < first.meta().first_key) => {
                *last = last.extended(runs);
            }
            _ => self.stretches.push(Tier::new(runs)),
        }
        if self.stretches.len() >= FAN_IN {
            self.merge_stretches().await?;
        }
        Ok(())
    }

    /// Leaves out, or refuses, what the table has.
    async fn leave_out_existing(&mut self, buffer: &mut BTreeMap<EncodedKey, Bytes>) -> Result<()> {
        if self.duplicates == Duplicates::Replace || self.db.inner.is_table_empty(self.table.id)? {
            return Ok(());
        }
        let keys: Vec<(TableId, EncodedKey)> = buffer.keys().map(|key| (self.table.id, key.clone())).collect();
        let mut existing = Vec::new();
        for keys in keys.chunks(KEYS_TOGETHER) {
            let rows = self.db.inner.newest_many(keys).await?;
            existing.extend(keys.iter().zip(rows).filter(|(_, row)| row.is_some()).map(|((_, key), _)| key.clone()));
        }
        if let Some(key) = existing.first().filter(|_| self.duplicates == Duplicates::Fail) {
            return Err(self.table.already_exists(key));
        }
        for key in existing {
            buffer.remove(&key);
            self.skipped += 1;
            self.loaded -= 1;
        }
        Ok(())
    }

    /// The stretches as tiers, the one first that decides.
    fn tiers(&self) -> Vec<Tier> {
        let stretches = self.stretches.iter().cloned();
        if self.duplicates == Duplicates::Skip { stretches.collect() } else { stretches.rev().collect() }
    }

    /// Makes one stretch of all, and removes what it was made of.
    async fn merge_stretches(&mut self) -> Result<()> {
        let tree = Tree::new(self.tiers(), None);
        let count = tree.tiers().len();
        let entries = |tree: &Tree| tree.tiers().iter().map(|tier| tier.entries().0).sum::<u64>();
        let mut nothing = std::iter::empty::<RunEntry>();
        let built = self.work().run(&tree, &mut nothing, Plan::Merge(count)).await?;
        if self.duplicates == Duplicates::Fail && entries(&built.tree) < entries(&tree) {
            return Err(Error::InvalidDocument {
                table: self.table.name().to_owned(),
                key: "of a document that was given twice".to_owned(),
                reason: "the load was to fail where a key occurs twice".to_owned(),
            });
        }
        if self.duplicates == Duplicates::Skip {
            self.skipped += entries(&tree) - entries(&built.tree);
        }
        self.stretches = built.tree.tiers().to_vec();
        let gone: Vec<String> = tree.runs().map(|run| run.meta().name.to_string()).collect();
        // What cannot be removed now is left to a sweep: the load goes on without it.
        if let Err(error) = self.db.inner.discard(&gone).await {
            tracing::debug!(%error, "stretches that were merged are left to the next sweep");
        }
        Ok(())
    }

    /// Lets everything appear in the database.
    ///
    /// # Errors
    /// If the store fails; [`Error::Conflict`] or [`Error::TransactionTooLong`] if somebody wrote to the table meanwhile
    /// and the load was to heed what is there.
    pub async fn finish(mut self) -> Result<BulkLoaded> {
        self.write_buffer().await?;
        // Whether a key occurs twice is seen only where the stretches meet.
        if self.duplicates != Duplicates::Replace && self.stretches.len() > 1 {
            self.merge_stretches().await?;
        }
        let inner = &self.db.inner;
        let (documents, skipped) = (self.loaded, self.skipped);
        let tiers = self.tiers();
        if tiers.is_empty() {
            inner.log.end_ingest(self.ticket, inner.commit_timeout).await?;
            return Ok(BulkLoaded { commit: None, documents, skipped });
        }
        let reads = (self.duplicates != Duplicates::Replace).then(|| {
            let mut reads = ReadSet::new(self.begun_at);
            reads.ranges.push(KeyRange::all(self.table.id));
            reads
        });
        let proposal = Proposal::Ingest { tiers, reads, begun: self.ticket.seq };
        let outcome = inner.log.commit(proposal, Freshness::Local, inner.commit_timeout).await;
        let commit = outcome.map_err(|error| inner.explain(error))?;
        Ok(BulkLoaded { commit: Some(commit), documents, skipped })
    }
}

/// So many keys are looked up together.
const KEYS_TOGETHER: usize = 4096;

/// What a document takes in the buffer beside its key and row, about.
const ENTRY_OVERHEAD_BYTES: usize = 96;

impl fmt::Debug for BulkLoad {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BulkLoad")
            .field("table", &self.table.name())
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}
