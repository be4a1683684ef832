//! SlateDB, with the blocks and the index of all documents in memory where BucketDB's are.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use slatedb::config::Settings;
use slatedb::db_cache::foyer::{FoyerCache, FoyerCacheOptions};
use slatedb::{Db, WriteBatch};

use crate::document::Person;
use crate::engine::{Engine, Scanned};

/// Documents in one batch while loading.
const BATCH: u64 = 1000;

#[derive(Clone)]
pub struct Slate {
    pub db: Db,
}

impl Slate {
    pub async fn open(store: Arc<dyn ObjectStore>, cache_bytes: u64, wal: bool) -> Result<Self> {
        let settings = Settings { wal_enabled: wal, ..Settings::default() };
        let cache = FoyerCache::new_with_opts(FoyerCacheOptions { max_capacity: cache_bytes, ..Default::default() });
        let db = Db::builder("db", store).with_settings(settings).with_db_cache(Arc::new(cache), 0).build().await?;
        Ok(Self { db })
    }

    pub async fn open_folder(folder: &Path, cache_bytes: u64, wal: bool) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        Self::open(Arc::new(LocalFileSystem::new_with_prefix(folder)?), cache_bytes, wal).await
    }

    /// In bounded memory, and without a write-ahead log: for a load that matters as a whole.
    pub async fn open_in(folder: &Path, memory_bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let half = memory_bytes / 2;
        let settings = Settings {
            wal_enabled: false,
            max_unflushed_bytes: half as usize,
            l0_sst_size_bytes: (half / 2) as usize,
            ..Settings::default()
        };
        let cache = FoyerCache::new_with_opts(FoyerCacheOptions { max_capacity: half, ..Default::default() });
        let store = Arc::new(LocalFileSystem::new_with_prefix(folder)?);
        let db = Db::builder("db", store).with_settings(settings).with_db_cache(Arc::new(cache), 0).build().await?;
        Ok(Self { db })
    }

    pub async fn load(&self, documents: u64) -> Result<()> {
        for first in (0..documents).step_by(BATCH as usize) {
            let mut batch = WriteBatch::new();
            for id in first..(first + BATCH).min(documents) {
                batch.put(id.to_be_bytes(), Person::new(id, 0).encode());
            }
            self.db.write(batch).await?;
        }
        self.db.flush().await?;
        Ok(())
    }
}

impl Engine for Slate {
    const NAME: &'static str = "SlateDB";

    async fn get(&self, id: u64) -> Result<Option<Person>> {
        Ok(self.db.get(id.to_be_bytes()).await?.map(|bytes| Person::decode(&bytes)))
    }

    async fn scan_stored(&self) -> Result<u64> {
        let mut rows = 0;
        let mut scan = self.db.scan::<std::ops::RangeFull>(..).await?;
        while let Some(entry) = scan.next().await? {
            rows += u64::from(!std::hint::black_box(entry.value).is_empty());
        }
        Ok(rows)
    }

    async fn scan_typed(&self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        let mut scan = self.db.scan::<std::ops::RangeFull>(..).await?;
        while let Some(entry) = scan.next().await? {
            scanned.add(&Person::decode(&entry.value));
        }
        Ok(scanned)
    }
}
