//! SlateDB, with settings that its documentation gives as the fastest for what is measured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use engine_bench::slate_settings::load_settings;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use slatedb::config::{ScanOptions, Settings};
use slatedb::db_cache::foyer::{FoyerCache, FoyerCacheOptions};
use slatedb::{Db, WriteBatch};

use crate::document::{Maker, Person};
use crate::engine::{Engine, Scanned};

/// Documents in one batch while loading.
const BATCH: u64 = 1000;

/// What a scan fetches ahead, in bytes: by default it is one block.
const READ_AHEAD_BYTES: usize = 1 << 20;

/// How long nothing may change before compaction counts as settled: twice as long as the compactor and its worker wait.
const SETTLED: Duration = Duration::from_secs(12);

#[derive(Clone)]
pub struct Slate {
    pub db: Db,
    /// Whether scans leave blocks in the cache.
    is_in_memory: bool,
}

impl Slate {
    /// With everything in memory that is read.
    pub async fn open(store: Arc<dyn ObjectStore>, cache_bytes: u64, settings: Settings) -> Result<Self> {
        let cache = FoyerCache::new_with_opts(FoyerCacheOptions { max_capacity: cache_bytes, ..Default::default() });
        let db = Db::builder("db", store).with_settings(settings).with_db_cache(Arc::new(cache), 0).build().await?;
        Ok(Self { db, is_in_memory: true })
    }

    /// Its defaults, in a folder.
    pub async fn open_folder(folder: &Path, cache_bytes: u64) -> Result<Self> {
        Self::open(local(folder)?, cache_bytes, Settings::default()).await
    }

    /// For a load that matters as a whole, in so much memory: [`load_settings`].
    pub async fn open_in(folder: &Path, memory_bytes: u64) -> Result<Self> {
        let mut slate = Self::open(local(folder)?, memory_bytes / 2, load_settings(memory_bytes / 2)).await?;
        slate.is_in_memory = false;
        Ok(slate)
    }

    pub async fn load(&self, documents: u64) -> Result<()> {
        let mut maker = Maker::new();
        for first in (0..documents).step_by(BATCH as usize) {
            let mut batch = WriteBatch::new();
            for id in first..(first + BATCH).min(documents) {
                batch.put(id.to_be_bytes(), maker.person(id, 0).encode());
            }
            self.db.write(batch).await?;
        }
        self.db.flush().await?;
        Ok(())
    }

    /// Waits until compaction has nothing left to do.
    pub async fn settle(&self) -> Result<()> {
        let mut unchanged = Duration::ZERO;
        let mut before = self.shape();
        while unchanged < SETTLED {
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.db.refresh_manifest().await?;
            let now = self.shape();
            unchanged = if now == before { unchanged + Duration::from_millis(500) } else { Duration::ZERO };
            before = now;
        }
        Ok(())
    }

    /// How many tables and sorted runs a read may have to look at, how many objects they are, and their bytes.
    pub fn shape(&self) -> (u64, u64, u64) {
        let manifest = self.db.manifest();
        let levels = manifest.l0().len() + manifest.compacted().len();
        let objects = manifest.l0().len() + manifest.compacted().iter().map(|run| run.sst_views().len()).sum::<usize>();
        let l0_bytes = manifest.l0().iter().map(|table| table.estimate_size()).sum::<u64>();
        let run_bytes = manifest.compacted().iter().map(|run| run.estimate_size()).sum::<u64>();
        (levels as u64, objects as u64, l0_bytes + run_bytes)
    }

    async fn each(&self, mut visit: impl FnMut(&[u8])) -> Result<()> {
        let options = ScanOptions::default()
            .with_read_ahead_bytes(READ_AHEAD_BYTES)
            .with_max_fetch_tasks(4)
            .with_cache_blocks(self.is_in_memory);
        let mut scan = self.db.scan_with_options::<std::ops::RangeFull>(.., &options).await?;
        while let Some(entry) = scan.next().await? {
            visit(&entry.value);
        }
        Ok(())
    }
}

fn local(folder: &Path) -> Result<Arc<dyn ObjectStore>> {
    std::fs::create_dir_all(folder)?;
    // As durable as BucketDB's files and SQLite's.
    Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)))
}

impl Engine for Slate {
    const NAME: &'static str = "SlateDB";

    async fn put(&self, people: Vec<Person>) -> Result<()> {
        let mut batch = WriteBatch::new();
        people.iter().for_each(|person| batch.put(person.id.to_be_bytes(), person.encode()));
        self.db.write(batch).await?;
        // Not after the interval, but at once.
        self.db.flush().await?;
        Ok(())
    }

    async fn get(&self, id: u64) -> Result<Option<Person>> {
        Ok(self.db.get(id.to_be_bytes()).await?.map(|bytes| Person::decode(&bytes)))
    }

    async fn scan_stored(&self) -> Result<u64> {
        let mut rows = 0;
        self.each(|bytes| rows += u64::from(!std::hint::black_box(bytes).is_empty())).await?;
        Ok(rows)
    }

    async fn scan_typed(&self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        self.each(|bytes| scanned.add(&Person::decode(bytes))).await?;
        Ok(scanned)
    }
}
