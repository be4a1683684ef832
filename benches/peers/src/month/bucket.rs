//! The app on BucketDB.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bucketdb::{Database, Driver, Duplicates, MemoryDriver, Table};
use serde_json::json;

use super::{INSTANCES, Options, Site};
use crate::latency::Latency;
use crate::ledger::{Ledger, Totals};
use crate::ledger_driver::LedgerDriver;
use crate::record::Record;
use crate::virtual_time::VirtualEnvironment;

const DISK_BYTES: u64 = 2 << 30;

pub struct Bucket {
    store: Arc<MemoryDriver>,
    env: VirtualEnvironment,
    ledgers: Vec<Ledger>,
    loading: Totals,
    disks: Vec<tempfile::TempDir>,
}

impl Bucket {
    fn driver(&self, ledger: &Ledger) -> LedgerDriver {
        LedgerDriver::new(self.store.clone(), Arc::new(self.env.clone()), ledger.clone())
    }
}

impl Site for Bucket {
    const PEER: &'static str = "BucketDB";
    const PACKAGE: &'static str = "bucketdb";
    const STALENESS: Duration = Duration::from_millis(1500);
    type Instance = (Database, Table<Record>);

    fn settings(options: &Options) -> serde_json::Value {
        json!({
            "settings": "its defaults but for the ring size, which is 2 as there are two instances",
            "disk bytes for each instance": if options.disk { DISK_BYTES } else { 0 },
        })
    }

    async fn load(options: &Options) -> Result<Self> {
        let ledgers = (0..INSTANCES).map(|_| Ledger::new(Latency::FIXED)).collect();
        let disks: Result<_, _> = (0..INSTANCES).filter(|_| options.disk).map(|_| tempfile::tempdir()).collect();
        let (store, env) = (Arc::new(MemoryDriver::new()), VirtualEnvironment::new(1));
        let mut site = Self { store, env, ledgers, loading: Totals::default(), disks: disks? };
        let ledger = Ledger::new(Latency::FIXED);
        let builder = Database::builder().driver(site.driver(&ledger)).prefix("db").environment(site.env.clone());
        let db = builder.ring_size(INSTANCES as u64).open().await?;
        let mut load = db.table::<Record>().await?.bulk_load(Duplicates::Fail).await?;
        for number in 0..options.documents {
            load.add(&Record::new(number, 0)).await?;
        }
        load.finish().await?;
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
        let builder = Database::builder().driver(self.driver(&self.ledgers[instance])).prefix("db");
        let builder = builder.environment(self.env.clone()).node_id(instance as u64).ring_size(INSTANCES as u64);
        let builder = match self.disks.get(instance) {
            Some(folder) => builder.cache_dir(folder.path(), DISK_BYTES),
            None => builder,
        };
        let db = builder.open().await?;
        let records = db.table::<Record>().await?;
        Ok((db, records))
    }

    async fn get(&self, (_, records): &Self::Instance, key: &str) -> Result<Option<Record>> {
        Ok(records.get(key).await?)
    }

    fn writes(_instance: usize) -> bool {
        true
    }

    async fn put(&self, (_, records): &Self::Instance, record: Record) -> Result<()> {
        records.put(&record).await?;
        Ok(())
    }

    async fn close(&self, (db, _): Self::Instance) -> Result<()> {
        Ok(db.close().await?)
    }

    async fn stored_bytes(&self) -> Result<u64> {
        let (mut bytes, mut next) = (0, None);
        loop {
            let page = self.store.list("", next.as_deref()).await?;
            bytes += page.objects.iter().filter_map(|object| object.size_bytes).sum::<u64>();
            next = page.next;
            if next.is_none() {
                return Ok(bytes);
            }
        }
    }
}
