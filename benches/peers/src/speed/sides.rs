//! The engines, of which each is the same to whoever measures them.

use std::time::Instant;

use anyhow::{Result, bail};
use async_trait::async_trait;

use super::bucket::Bucket;
use super::engine::{Engine, Place};
use super::item::Item;
use super::lite::Lite;
use super::map::Map;
use super::redb::Redb;
use super::slate::Slate;
use super::work::{Held, Measured, Work};

/// An engine with documents in it.
#[async_trait]
pub(crate) trait Side<R: Item>: Send + Sync {
    async fn run(&self, work: &Work, round: u64) -> Result<Measured>;
    /// How many documents it holds, and a digest of them.
    async fn everything(&self) -> Result<(u64, u64)>;
    async fn close(self: Box<Self>) -> Result<()>;
}

#[async_trait]
impl<R: Item, E: Engine<R>> Side<R> for Held<E> {
    async fn run(&self, work: &Work, round: u64) -> Result<Measured> {
        Held::run(self, work, round).await
    }

    async fn everything(&self) -> Result<(u64, u64)> {
        Held::everything(self).await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.engine.close().await
    }
}

/// The stores, in the order in which they are measured.
pub(crate) const STORES: [&str; 3] = ["memory", "files", "s3"];

/// Who takes part.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// Where it can keep its data.
    stores: &'static [&'static str],
}

pub(crate) const PEERS: [Peer; 5] = [
    Peer { name: "BucketDB", package: "bucketdb", stores: &STORES },
    Peer { name: "SlateDB", package: "slatedb", stores: &STORES },
    Peer { name: "SQLite", package: "rusqlite", stores: &["memory", "files"] },
    Peer { name: "redb", package: "redb", stores: &["memory", "files"] },
    Peer { name: "BTreeMap", package: "", stores: &["memory"] },
];

impl Peer {
    pub(crate) fn has(&self, store: &str) -> bool {
        self.stores.contains(&store)
    }

    pub(crate) fn settings(&self, store: &str) -> &'static str {
        match (self.name, store) {
            ("BucketDB", _) => "defaults but for the memory; reads with the default staleness of 1 s",
            ("SlateDB", _) => {
                "loaded without a write-ahead log and with trivial moves; then defaults but for a flush interval of 1 ms in the place \
                 of 100 ms; scans keep blocks in the cache; measured after compaction has settled"
            }
            ("SQLite", "files") => {
                "journal_mode wal, a connection for each task, prepared statements, mapped into memory"
            }
            ("SQLite", _) => "one connection in memory, prepared statements",
            ("redb", _) => "defaults but for the memory",
            _ => "behind a lock for reading and writing",
        }
    }

    /// What a commit that was answered survives.
    pub(crate) fn durability(&self, store: &str) -> &'static str {
        match (self.name, store) {
            ("BTreeMap", _) | (_, "memory") => "none: it is gone with the process",
            (_, "s3") => "the server has acknowledged it",
            ("BucketDB", _) => "fsync of file and folder before a commit is answered",
            ("SlateDB", _) => "fsync before a commit is answered (await_durable)",
            ("SQLite", _) => "fsync before a commit is answered (synchronous full)",
            _ => "fsync before a commit is answered (Durability::Immediate)",
        }
    }
}

async fn load<R: Item, E: Engine<R>>(
    place: Place,
    documents: u64,
    goes_on: bool,
) -> Result<(Box<dyn Side<R>>, Measured)> {
    let engine = E::create(&place).await?;
    let (mut measured, started) = (Measured::new()?, Instant::now());
    engine.load(documents).await?;
    (measured.operations, measured.seconds) = (documents, started.elapsed().as_secs_f64());
    let engine = if goes_on { engine.ready().await? } else { engine };
    Ok((Box::new(Held::new(engine, documents)), measured))
}

impl Peer {
    /// Loads it, which is measured, and prepares it for everything else if it is asked for more.
    pub(crate) async fn load<R: Item>(
        &self,
        place: Place,
        documents: u64,
        goes_on: bool,
    ) -> Result<(Box<dyn Side<R>>, Measured)> {
        match self.name {
            "BucketDB" => load::<R, Bucket<R>>(place, documents, goes_on).await,
            "SlateDB" => load::<R, Slate>(place, documents, goes_on).await,
            "SQLite" => load::<R, Lite>(place, documents, goes_on).await,
            "redb" => load::<R, Redb>(place, documents, goes_on).await,
            "BTreeMap" => load::<R, Map>(place, documents, goes_on).await,
            name => bail!("nobody knows {name}"),
        }
    }
}
