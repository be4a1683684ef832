//! SlateDB, with its defaults and as much memory as BucketDB has.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use engine_bench::watched::Watched;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use serde_json::json;
use slatedb::config::Settings;
use slatedb::db_cache::foyer::{FoyerCache, FoyerCacheOptions};
use slatedb::{Db, WriteBatch};
use slatedb_common::clock::{DefaultSystemClock, SystemClock};

use super::Peer;
use crate::ledger::Ledger;
use crate::record::Record;

const CACHE_BYTES: u64 = 100 << 20;

pub(crate) struct Slate(Db);

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// One for all, as each would begin with the real time.
    pub(crate) clock: Arc<dyn SystemClock>,
}

pub(crate) fn cache() -> Arc<FoyerCache> {
    Arc::new(FoyerCache::new_with_opts(FoyerCacheOptions { max_capacity: CACHE_BYTES, ..Default::default() }))
}

impl Store {
    fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, clock: Arc::new(DefaultSystemClock::new()) }
    }

    async fn open(&self, ledger: &Ledger, settings: Settings) -> Result<Slate> {
        let builder = Db::builder("db", self.watched(ledger)).with_settings(settings);
        let builder = builder.with_system_clock(self.clock.clone());
        Ok(Slate(builder.with_db_cache(cache(), 0).build().await?))
    }

    pub(crate) fn watched(&self, ledger: &Ledger) -> Arc<dyn ObjectStore> {
        Arc::new(Watched::new(self.objects.clone(), ledger.shared()))
    }
}

impl Peer for Slate {
    const PEER: &'static str = "SlateDB";
    const PACKAGE: &'static str = "slatedb";
    type Store = Store;

    fn settings() -> serde_json::Value {
        json!({"settings": "its defaults; a block cache of 100 MiB; every put is waited for until it is durable"})
    }

    fn new_store() -> Self::Store {
        Store::new(Arc::new(InMemory::new()))
    }

    fn store_in(folder: &Path) -> Result<Self::Store> {
        Ok(Store::new(Arc::new(LocalFileSystem::new_with_prefix(folder)?)))
    }

    async fn open(store: &Self::Store, ledger: &Ledger) -> Result<Self> {
        store.open(ledger, Settings::default()).await
    }

    async fn load(store: &Self::Store, ledger: &Ledger, documents: u64) -> Result<()> {
        // No log while loading: the cheapest way that it has.
        let loading = store.open(ledger, Settings { wal_enabled: false, ..Settings::default() }).await?;
        for first in (0..documents).step_by(1000) {
            let mut batch = WriteBatch::new();
            for number in first..(first + 1000).min(documents) {
                let record = Record::new(number, 0);
                batch.put(record.key.as_bytes(), record.encode());
            }
            loading.0.write(batch).await?;
        }
        loading.0.flush().await?;
        // Compaction.
        tokio::time::sleep(Duration::from_secs(600)).await;
        loading.close().await
    }

    async fn put(&self, record: Record) -> Result<()> {
        Ok(self.0.put(record.key.as_bytes(), record.encode()).await?.await_durable().await?)
    }

    async fn get(&self, key: &str) -> Result<Option<Record>> {
        self.0.get(key).await?.map(|bytes| Record::decode(key, &bytes)).transpose()
    }

    async fn strict_get(&self, _key: &str) -> Option<Result<Option<Record>>> {
        None
    }

    async fn scan(&self, from: &str, rows: usize) -> Result<usize> {
        let mut scan = self.0.scan(from.as_bytes()..).await?;
        let mut found = 0;
        while found < rows && scan.next().await?.is_some() {
            found += 1;
        }
        Ok(found)
    }

    async fn close(self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}
