//! SlateDB.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use engine_bench::slate_settings::load_settings;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use slatedb::config::{ScanOptions, Settings};
use slatedb::db_cache::foyer::{FoyerCache, FoyerCacheOptions};
use slatedb::{Db, WriteBatch};

use super::engine::{ACCESS_KEY_ID, CACHE_BYTES, Engine, Place, SECRET_ACCESS_KEY};
use super::item::Item;

/// Documents in one batch while loading.
const BATCH: u64 = 1000;

/// How long nothing may change before compaction counts as settled: twice as long as the compactor and its worker wait.
const SETTLED: Duration = Duration::from_secs(12);

const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(crate) struct Slate {
    db: Db,
    objects: Arc<dyn ObjectStore>,
}

impl Slate {
    async fn open(objects: Arc<dyn ObjectStore>, settings: Settings) -> Result<Self> {
        let cache = FoyerCache::new_with_opts(FoyerCacheOptions { max_capacity: CACHE_BYTES, ..Default::default() });
        let builder = Db::builder("db", objects.clone()).with_settings(settings);
        Ok(Self { db: builder.with_db_cache(Arc::new(cache), 0).build().await?, objects })
    }

    /// How many tables and sorted runs there are.
    fn shape(&self) -> (usize, usize) {
        let manifest = self.db.manifest();
        (manifest.l0().len(), manifest.compacted().len())
    }

    /// Waits until compaction has nothing left to do.
    async fn settle(&self) -> Result<()> {
        let (mut unchanged, mut before) = (Duration::ZERO, self.shape());
        while unchanged < SETTLED {
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            self.db.refresh_manifest().await?;
            let now = self.shape();
            unchanged = if now == before { unchanged + LOOK_AGAIN_AFTER } else { Duration::ZERO };
            before = now;
        }
        Ok(())
    }
}

impl<R: Item> Engine<R> for Slate {
    /// With the settings that its documentation gives for loads.
    async fn create(place: &Place) -> Result<Self> {
        let objects: Arc<dyn ObjectStore> = match place {
            Place::Memory => Arc::new(InMemory::new()),
            Place::Files(folder) => {
                std::fs::create_dir_all(folder)?;
                // As durable as BucketDB's files.
                Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true))
            }
            Place::S3(bucket) => {
                let builder = AmazonS3Builder::new().with_endpoint(&bucket.endpoint).with_bucket_name(&bucket.name);
                let builder = builder.with_access_key_id(ACCESS_KEY_ID).with_secret_access_key(SECRET_ACCESS_KEY);
                Arc::new(PrefixStore::new(builder.with_allow_http(true).build()?, bucket.prefix.as_str()))
            }
        };
        Self::open(objects, load_settings(CACHE_BYTES / 2)).await
    }

    async fn load(&self, documents: u64) -> Result<()> {
        for first in (0..documents).step_by(BATCH as usize) {
            let mut batch = WriteBatch::new();
            for number in first..(first + BATCH).min(documents) {
                let item = R::make(number, 0);
                batch.put(item.text_key(), item.to_bytes());
            }
            self.db.write(batch).await?;
        }
        self.db.flush().await?;
        Ok(())
    }

    /// With a write-ahead log, which is written at once and not only after 100 ms.
    async fn ready(self) -> Result<Self> {
        self.db.close().await?;
        let settings = Settings { flush_interval: Some(Duration::from_millis(1)), ..Settings::default() };
        let slate = Self::open(self.objects, settings).await?;
        slate.settle().await?;
        Ok(slate)
    }

    async fn put(&self, items: &[R]) -> Result<()> {
        let mut batch = WriteBatch::new();
        items.iter().for_each(|item| batch.put(item.text_key(), item.to_bytes()));
        Ok(self.db.write(batch).await?.await_durable().await?)
    }

    async fn get(&self, key: &str) -> Result<Option<R>> {
        self.db.get(key).await?.map(|bytes| R::from_bytes(key, &bytes)).transpose()
    }

    async fn scan(&self, from: &str, rows: usize) -> Result<Vec<R>> {
        let options = ScanOptions::default().with_cache_blocks(true);
        let mut scan = self.db.scan_with_options(from.as_bytes().to_vec().., &options).await?;
        let mut found = Vec::new();
        while found.len() < rows {
            let Some(entry) = scan.next().await? else { break };
            found.push(R::from_bytes(std::str::from_utf8(&entry.key)?, &entry.value)?);
        }
        Ok(found)
    }

    async fn close(self) -> Result<()> {
        Ok(self.db.close().await?)
    }
}
