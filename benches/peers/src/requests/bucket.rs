//! BucketDB, with its defaults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bucketdb::{Database, Document, Driver, Duplicates, FileDriver, Freshness, MemoryDriver, Table};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::{Cost, Peer, by_kind, cost};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::ledger_driver::LedgerDriver;
use crate::record::{Record, key};
use crate::results::{Row, row};
use crate::virtual_time::VirtualEnvironment;

#[derive(Clone)]
pub(crate) struct Store {
    driver: Arc<dyn Driver>,
    env: VirtualEnvironment,
}

pub(crate) struct Bucket {
    db: Database,
    /// Reads what this process has seen.
    local: Table<Record>,
    strict: Table<Record>,
}

impl Store {
    fn new(driver: Arc<dyn Driver>) -> Self {
        Self { driver, env: VirtualEnvironment::new(2) }
    }

    async fn database(&self, ledger: &Ledger, (node, nodes): (u64, u64)) -> Result<Database> {
        let driver = LedgerDriver::new(self.driver.clone(), Arc::new(self.env.clone()), ledger.clone());
        let builder = Database::builder().driver(driver).prefix("db").environment(self.env.clone());
        Ok(builder.node_id(node).ring_size(nodes).open().await?)
    }

    async fn open(&self, ledger: &Ledger, nodes: (u64, u64)) -> Result<Bucket> {
        let db = self.database(ledger, nodes).await?;
        let table = db.table::<Record>().await?;
        let (local, strict) = (table.clone().with_freshness(Freshness::Local), table.with_freshness(Freshness::Strict));
        Ok(Bucket { db, local, strict })
    }
}

impl Peer for Bucket {
    const PEER: &'static str = "BucketDB";
    const PACKAGE: &'static str = "bucketdb";
    type Store = Store;

    fn settings() -> serde_json::Value {
        json!({"settings": "its defaults; reads but the strict ones are local"})
    }

    fn new_store() -> Self::Store {
        Store::new(Arc::new(MemoryDriver::new()))
    }

    fn store_in(folder: &Path) -> Result<Self::Store> {
        Ok(Store::new(Arc::new(FileDriver::new(folder)?)))
    }

    async fn open(store: &Self::Store, ledger: &Ledger) -> Result<Self> {
        store.open(ledger, (0, 1)).await
    }

    async fn create(store: &Self::Store, ledger: &Ledger) -> Result<Cost> {
        let (db, used) = cost(ledger, store.database(ledger, (0, 1))).await?;
        db.close().await?;
        Ok(used)
    }

    async fn load(store: &Self::Store, ledger: &Ledger, documents: u64) -> Result<()> {
        let loading = store.open(ledger, (0, 1)).await?;
        let mut load = loading.local.bulk_load(Duplicates::Fail).await?;
        for number in 0..documents {
            load.add(&Record::new(number, 0)).await?;
        }
        load.finish().await?;
        loading.close().await
    }

    async fn put(&self, record: Record) -> Result<()> {
        self.local.put(&record).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Record>> {
        Ok(self.local.get(key).await?)
    }

    async fn strict_get(&self, key: &str) -> Option<Result<Option<Record>>> {
        Some(self.strict.get(key).await.map_err(Into::into))
    }

    async fn scan(&self, from: &str, rows: usize) -> Result<usize> {
        Ok(self.local.query().keys(from.to_owned()..).limit(rows).fetch().await?.len())
    }

    async fn close(self) -> Result<()> {
        Ok(self.db.close().await?)
    }

    async fn copies(&self, ledger: &Ledger) -> Result<Vec<(&'static str, Cost)>> {
        let (_, snapshot) = cost(ledger, async { Ok(self.db.create_snapshot("monday").await?) }).await?;
        let (_, branch) = cost(ledger, async { Ok(self.db.create_branch("staging").await?) }).await?;
        Ok(vec![("create a snapshot", snapshot), ("create a branch", branch)])
    }
}

/// As the peers for Node.js have it: of 300 bytes, one of fifty groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "docs")]
struct Small {
    #[document(key)]
    id: String,
    #[document(index)]
    group: String,
    count: u64,
    text: String,
}

const GROUPS: u64 = 50;

fn group(number: u64) -> String {
    format!("group{:03}", number % GROUPS)
}

impl Small {
    fn new(number: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(number);
        let text = std::iter::repeat_with(|| random.alphanumeric()).take(220).collect();
        Self { id: key(number), group: group(number), count: number, text }
    }
}

/// What a query by an index costs, of whose documents none is in memory.
pub(crate) fn index_query() -> Result<Row> {
    const DOCUMENTS: u64 = 10_000;
    crate::virtual_time::run(async {
        let (store, ledger) = (Bucket::new_store(), Ledger::new(Latency::FIXED));
        let loading = store.database(&ledger, (0, 1)).await?;
        let mut load = loading.table::<Small>().await?.bulk_load(Duplicates::Fail).await?;
        for number in 0..DOCUMENTS {
            load.add(&Small::new(number)).await?;
        }
        load.finish().await?;
        loading.close().await?;
        let db = store.database(&ledger, (0, 1)).await?;
        let table = db.table::<Small>().await?.with_freshness(Freshness::Local);
        let query = table.query().filter(Small::GROUP.eq(group(7)));
        let (found, used) = cost(&ledger, async { Ok(query.fetch().await?) }).await?;
        let expected: Vec<Small> = (0..DOCUMENTS).filter(|number| number % GROUPS == 7).map(Small::new).collect();
        ensure!(found == expected, "a query by an index finds other documents");
        db.close().await?;
        let what = format!("query by an index, {} of {DOCUMENTS} documents", found.len());
        let row = by_kind(row(what, "requests", used.totals.billed()), &used.totals);
        Ok(row.with("ms", used.ms.round()))
    })
}

/// What several processes get done that all write for a minute.
pub(crate) fn writers() -> Result<Vec<Row>> {
    [1, 4, 8, 32].into_iter().map(|writers| crate::virtual_time::run(contend(writers))).collect()
}

async fn contend(writers: u64) -> Result<Row> {
    const MINUTE: Duration = Duration::from_secs(60);
    let (store, ledger) = (Bucket::new_store(), Ledger::new(Latency::FIXED));
    let mut open = Vec::new();
    for node in 0..writers {
        open.push(store.open(&ledger, (node, writers)).await?);
    }
    let (before, started) = (ledger.totals(), Instant::now());
    let counts = try_join_all(open.iter().enumerate().map(async |(node, bucket)| -> Result<u64> {
        let mut commits = 0;
        while started.elapsed() < MINUTE {
            bucket.put(Record::new(node as u64 * 1_000_000 + commits, 0)).await?;
            commits += 1;
        }
        Ok(commits)
    }))
    .await?;
    let (used, commits) = (ledger.totals() - before, counts.iter().sum::<u64>() as f64);
    for (node, commits) in counts.iter().enumerate() {
        let number = node as u64 * 1_000_000 + commits - 1;
        ensure!(open[0].strict.get(key(number)).await?.is_some(), "a commit of writer {node} is lost");
    }
    let rate = commits / started.elapsed().as_secs_f64();
    let bar = if writers == 1 { 0.8 / 0.030 } else { 0.8 / 0.045 };
    let row = row(format!("{writers} writers, one commit after the other each"), "commits/s", rate);
    Ok(by_kind(row, &used.times(1.0 / commits)).with("goal", format!("≥ {bar:.1}")).with("is_met", rate >= bar))
}
