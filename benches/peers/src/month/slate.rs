//! The app on SlateDB: one instance writes, the other one only reads.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use engine_bench::watched::Watched;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use serde_json::json;
use slatedb::config::Settings;
use slatedb::db_cache::foyer::{FoyerCache, FoyerCacheOptions};
use slatedb::{Db, DbReader, WriteBatch};
use slatedb_common::clock::{DefaultSystemClock, SystemClock};

use super::{INSTANCES, Options, Site};
use crate::latency::Latency;
use crate::ledger::{Ledger, Totals};
use crate::record::Record;

/// What BucketDB may use in all.
const CACHE_BYTES: u64 = 100 << 20;

/// Records in one batch while loading.
const BATCH: u64 = 1000;

pub struct Slate {
    store: Arc<InMemory>,
    ledgers: Vec<Ledger>,
    loading: Totals,
    /// One for all, as each would begin with the real time.
    clock: Arc<dyn SystemClock>,
}

pub enum Instance {
    Writer(Db),
    Reader(DbReader),
}

fn cache() -> Arc<FoyerCache> {
    Arc::new(FoyerCache::new_with_opts(FoyerCacheOptions { max_capacity: CACHE_BYTES, ..Default::default() }))
}

impl Slate {
    fn driver(&self, ledger: &Ledger) -> Arc<dyn ObjectStore> {
        Arc::new(Watched::new(self.store.clone(), ledger.shared()))
    }
}

impl Site for Slate {
    const PEER: &'static str = "SlateDB";
    const PACKAGE: &'static str = "slatedb";
    /// Twice what the reader waits before it looks for something new.
    const STALENESS: Duration = Duration::from_secs(20);
    type Instance = Instance;

    fn settings(_options: &Options) -> serde_json::Value {
        json!({
            "settings": "its defaults; a cache of 100 MiB for each instance, no disk cache",
            "instances": "one writer and one DbReader, which looks for news every 10 s, while BucketDB's are at most 1 s old",
        })
    }

    async fn load(options: &Options) -> Result<Self> {
        let ledgers = (0..INSTANCES).map(|_| Ledger::new(Latency::FIXED)).collect();
        let mut site = Self {
            store: Arc::new(InMemory::new()),
            ledgers,
            loading: Totals::default(),
            clock: Arc::new(DefaultSystemClock::new()),
        };
        let ledger = Ledger::new(Latency::FIXED);
        // No log while loading: the cheapest way that it has.
        let settings = Settings { wal_enabled: false, ..Settings::default() };
        let db =
            Db::builder("db", site.driver(&ledger)).with_settings(settings).with_db_cache(cache(), 0).build().await?;
        for first in (0..options.documents).step_by(BATCH as usize) {
            let mut batch = WriteBatch::new();
            for number in first..(first + BATCH).min(options.documents) {
                let record = Record::new(number, 0);
                batch.put(record.key.as_bytes(), record.encode());
            }
            db.write(batch).await?;
        }
        db.flush().await?;
        // What compaction has to do with it belongs to loading.
        tokio::time::sleep(Duration::from_secs(600)).await;
        db.close().await?;
        site.loading = ledger.totals();
        Ok(site)
    }

    fn ledger(&self, instance: usize) -> &Ledger {
        &self.ledgers[instance]
    }

    fn loading(&self) -> Totals {
        self.loading
    }

    async fn open(&self, instance: usize) -> Result<Self::Instance> {
        let store = self.driver(&self.ledgers[instance]);
        if Self::writes(instance) {
            let builder = Db::builder("db", store).with_system_clock(self.clock.clone());
            return Ok(Instance::Writer(builder.with_db_cache(cache(), 0).build().await?));
        }
        let builder = DbReader::builder("db", store).with_system_clock(self.clock.clone());
        Ok(Instance::Reader(builder.with_db_cache(cache(), 0).build().await?))
    }

    async fn get(&self, instance: &Self::Instance, key: &str) -> Result<Option<Record>> {
        let found = match instance {
            Instance::Writer(db) => db.get(key).await?,
            Instance::Reader(reader) => reader.get(key).await?,
        };
        found.map(|bytes| Record::decode(key, &bytes)).transpose()
    }

    fn writes(instance: usize) -> bool {
        instance == 0
    }

    async fn put(&self, instance: &Self::Instance, record: Record) -> Result<()> {
        let Instance::Writer(db) = instance else { bail!("only one instance writes") };
        Ok(db.put(record.key.as_bytes(), record.encode()).await?.await_durable().await?)
    }

    async fn close(&self, instance: Self::Instance) -> Result<()> {
        match instance {
            Instance::Writer(db) => Ok(db.close().await?),
            Instance::Reader(reader) => Ok(reader.close().await?),
        }
    }

    async fn stored_bytes(&self) -> Result<u64> {
        let objects: Vec<_> = self.store.list(None).try_collect().await?;
        Ok(objects.iter().map(|object| object.size).sum())
    }
}
