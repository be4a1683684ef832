use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bucketdb_documents::{Documents, RunStoreFor};
use bucketdb_driver::MeteredDriver;
use bucketdb_log::{Freshness, IngestTicket, Log, Seq, SlotNames, StoreCheck, StoreReport};
use bucketdb_lsm::Tier;
use bucketdb_runs::RunStore;
use parking_lot::Mutex;
use serde_json::Value;

use crate::home::Home;
use crate::maintenance::Maintenance;
use crate::past::Past;
use crate::{
    Batch, DatabaseBuilder, DatabaseStats, Feed, MemoryStats, NamedTableStats, Result, Since, StorageSize, TierStats,
};

/// An open database. Cheap to clone: all clones share one state and one committer.
///
/// Any number of processes may open the same database at the same time. See the [crate's documentation](crate) for an
/// example.
#[derive(Clone)]
pub struct Database {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) log: Log<Documents>,
    pub(crate) meter: MeteredDriver,
    /// Where it is.
    pub(crate) home: Home,
    #[cfg(feature = "encryption")]
    pub(crate) encryption: Option<bucketdb_encryption::EncryptedDriver>,
    pub(crate) staleness: Duration,
    pub(crate) commit_timeout: Duration,
    pub(crate) past: Past,
    pub(crate) memory: MemoryBudget,
    pub(crate) maintenance: Maintenance,
    /// How many bulk loads are under way.
    pub(crate) loads: Arc<AtomicUsize>,
    /// Bulk loads that were dropped, for as long as no record says so.
    pub(crate) abandoned: Mutex<Vec<IngestTicket>>,
    /// Opens the runs.
    pub(crate) store_for: RunStoreFor,
}

/// What may be used of the memory that a database is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryBudget {
    /// Parts of runs that were read.
    pub(crate) cache_bytes: usize,
    /// What was written since the last checkpoint, before there should be one; at twice that, writers wait.
    pub(crate) overlay_bytes: usize,
    /// What is kept for those who read earlier positions.
    pub(crate) earlier_bytes: usize,
    /// What all bulk loads that are under way gather, together.
    pub(crate) load_bytes: usize,
}

impl MemoryBudget {
    pub(crate) fn of(max_memory: usize) -> Self {
        Self {
            cache_bytes: max_memory / 2,
            overlay_bytes: max_memory / 8,
            earlier_bytes: max_memory / 8,
            load_bytes: max_memory / 4,
        }
    }
}

impl Inner {
    /// How fresh reads are unless they say otherwise.
    pub(crate) fn freshness(&self) -> Freshness {
        if self.staleness.is_zero() { Freshness::Strict } else { Freshness::Bounded(self.staleness) }
    }

    /// Where runs are read and written.
    pub(crate) fn runs(&self) -> RunStore {
        let store = (self.store_for)(self.log.database());
        match self.log.slot_names() {
            SlotNames::Shared => store.create_only(),
            SlotNames::PerSession => store,
        }
    }
}

impl Database {
    /// Opens the database at a URL, or creates it; everything else comes from the environment and the defaults.
    ///
    /// [`Place`](crate::Place) lists the forms of URLs.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`](crate::Error::InvalidUrl), or what is wrong with the store or the database.
    pub async fn open(url: &str) -> Result<Self> {
        Self::builder().url(url).open().await
    }

    /// Opens a database with options.
    pub fn builder() -> DatabaseBuilder {
        DatabaseBuilder::new()
    }

    /// Begins a batch of changes that take effect together.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }

    /// How fresh reads are unless they say otherwise.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.inner.freshness()
    }

    /// Makes what this process knows as fresh as wanted.
    ///
    /// # Errors
    /// If the store fails, or if what it holds is broken.
    pub async fn refresh(&self, freshness: Freshness) -> Result<()> {
        Ok(self.inner.log.refresh(freshness).await?)
    }

    /// The position of the last commit that this process has seen.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.inner.log.position()
    }

    /// Follows the changes of all tables in the order of their commits.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`](crate::Error::InvalidCursor) if the cursor is of another database, or lies in the
    /// future.
    pub async fn watch(&self, since: Since) -> Result<Feed<Value>> {
        Feed::open(self.clone(), None, since).await
    }

    /// What the database holds, and what this process has used. No request.
    ///
    /// # Errors
    /// If the log was found broken.
    pub fn stats(&self) -> Result<DatabaseStats> {
        let log = &self.inner.log;
        let (tables, tiers, written_bytes, position) = log.read(|documents, position| {
            let stats = documents.catalogue().tables().map(|entry| NamedTableStats {
                name: entry.schema().table().to_owned(),
                schema_version: entry.schema().version(),
                stats: documents.stats(entry.id),
            });
            let loaded: Vec<&[Tier]> = documents.ingests().map(|(_, tiers)| tiers).collect();
            let loaded = loaded.into_iter().rev().flatten();
            let tiers = loaded.chain(documents.base().tree.tiers()).map(TierStats::of).collect();
            (stats.collect(), tiers, documents.memory_bytes() as u64, position)
        })?;
        let options = log.options();
        let cache_bytes = self.inner.runs().cache().usage();
        Ok(DatabaseStats {
            database: log.database(),
            store: log.driver().fingerprint(),
            prefix: log.layout().prefix().to_owned(),
            node: log.node(),
            ring_size: options.ring_size,
            slot_names: log.slot_names(),
            position,
            checkpoint: log.last_checkpoint().map(|last| last.covers),
            tail: log.tail(),
            floor: log.floor(),
            grace: options.grace,
            history: options.history.unwrap_or(options.grace),
            tiers,
            memory: MemoryStats { written_bytes, cache_bytes },
            tables,
            usage: self.inner.meter.usage(),
        })
    }

    /// What the objects of the database take in the store. One list for every 1,000 objects.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn storage_size(&self) -> Result<StorageSize> {
        let log = &self.inner.log;
        let prefix = log.layout().prefix();
        let mut size = StorageSize { objects: 0, bytes: Some(0) };
        let mut page = log.driver().list(prefix, None).await?;
        loop {
            for object in &page.objects {
                size.objects += 1;
                size.bytes = size.bytes.zip(object.size_bytes).map(|(sum, bytes)| sum + bytes);
            }
            match page.next {
                Some(next) => page = log.driver().list(prefix, Some(&next)).await?,
                None => return Ok(size),
            }
        }
    }

    /// Finds out by trial what the store honours.
    ///
    /// # Errors
    /// If the store cannot be used at all.
    pub async fn check_store(&self, check: StoreCheck) -> Result<StoreReport> {
        Ok(self.inner.log.check_store(check).await?)
    }

    /// Changes how many nodes take turns. All nodes have to be opened with the new size from then on.
    ///
    /// # Errors
    /// [`LogError::UnfitStore`](crate::LogError::UnfitStore) if the store, which is tried first, cannot serve several
    /// nodes.
    pub async fn set_ring_size(&self, ring_size: u16) -> Result<()> {
        Ok(self.inner.log.set_ring_size(ring_size, StoreCheck::CREATION, self.inner.commit_timeout).await?)
    }

    /// Settles the commit that is under way and stops. Later commits of any clone answer
    /// [`LogError::Closed`](crate::LogError::Closed); reads go on.
    ///
    /// A process that has written a while leaves a [checkpoint](Self::checkpoint) behind, so that the next one opens in
    /// two rounds of requests.
    ///
    /// # Errors
    /// If the store does not answer in time. Whoever waits for a commit is told that its outcome is unknown; a checkpoint that
    /// was under way is given up, and nothing that was answered is lost. Closing may be tried again.
    pub async fn close(&self) -> Result<()> {
        self.inner.leave_checkpoint().await;
        self.inner.runs().flush_disk_cache().await;
        Ok(self.inner.log.close(self.inner.commit_timeout).await?)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Database").field(&self.inner.log).finish()
    }
}
