//! The app on SlateDB: one instance writes, the other one only reads.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::TryStreamExt;
use object_store::ObjectStore;
use serde_json::json;
use slatedb::DbReader;

use super::{INSTANCES, Options, Site};
use crate::latency::Latency;
use crate::ledger::{Ledger, Totals};
use crate::record::Record;
use crate::requests::Peer;
use crate::requests::slate::{Slate as Loaded, Store, cache};

pub struct Slate {
    store: Store,
    ledgers: Vec<Ledger>,
    loading: Totals,
}

pub enum Instance {
    Writer(Loaded),
    Reader(DbReader),
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
        let (store, ledger) = (Loaded::new_store(), Ledger::new(Latency::FIXED));
        Loaded::load(&store, &ledger, options.documents).await?;
        let ledgers = (0..INSTANCES).map(|_| Ledger::new(Latency::FIXED)).collect();
        Ok(Self { store, ledgers, loading: ledger.totals() })
    }

    fn ledger(&self, instance: usize) -> &Ledger {
        &self.ledgers[instance]
    }

    fn loading(&self) -> Totals {
        self.loading
    }

    async fn open(&self, instance: usize) -> Result<Self::Instance> {
        let ledger = &self.ledgers[instance];
        if Self::writes(instance) {
            return Ok(Instance::Writer(Loaded::open(&self.store, ledger).await?));
        }
        let builder = DbReader::builder("db", self.store.watched(ledger)).with_system_clock(self.store.clock.clone());
        Ok(Instance::Reader(builder.with_db_cache(cache(), 0).build().await?))
    }

    async fn get(&self, instance: &Self::Instance, key: &str) -> Result<Option<Record>> {
        match instance {
            Instance::Writer(db) => db.get(key).await,
            Instance::Reader(reader) => reader.get(key).await?.map(|bytes| Record::decode(key, &bytes)).transpose(),
        }
    }

    fn writes(instance: usize) -> bool {
        instance == 0
    }

    async fn put(&self, instance: &Self::Instance, record: Record) -> Result<()> {
        let Instance::Writer(db) = instance else { bail!("only one instance writes") };
        db.put(record).await
    }

    async fn close(&self, instance: Self::Instance) -> Result<()> {
        match instance {
            Instance::Writer(db) => db.close().await,
            Instance::Reader(reader) => Ok(reader.close().await?),
        }
    }

    async fn stored_bytes(&self) -> Result<u64> {
        let objects: Vec<_> = self.store.objects.list(None).try_collect().await?;
        Ok(objects.iter().map(|object| object.size).sum())
    }
}
