//! What is asked of every engine.

use std::path::PathBuf;

use anyhow::Result;
use bucketdb::S3Driver;

use super::item::Item;

/// What each engine may keep in memory of what it read: enough for everything.
pub(crate) const CACHE_BYTES: u64 = 1 << 30;

/// Where an engine keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    /// A new folder.
    Files(PathBuf),
    S3(Bucket),
}

/// A prefix that nobody has used, of a bucket on an S3 server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) endpoint: String,
    pub(crate) name: String,
    pub(crate) prefix: String,
}

/// What the servers of `cargo xtask servers` accept.
pub(crate) const ACCESS_KEY_ID: &str = "AKIDTEST";
pub(crate) const SECRET_ACCESS_KEY: &str = "SECRETTEST";

impl Bucket {
    /// A new bucket.
    pub(crate) async fn create(endpoint: &str) -> Result<Self> {
        let name = format!("speed-{:016x}", fastrand::u64(..));
        let bucket = Self { endpoint: endpoint.trim_end_matches('/').to_owned(), name, prefix: String::new() };
        bucket.driver()?.create_bucket().await?;
        Ok(bucket)
    }

    pub(crate) fn driver(&self) -> Result<S3Driver> {
        let builder = S3Driver::builder().endpoint(&self.endpoint).bucket(&self.name);
        Ok(builder.access_key_id(ACCESS_KEY_ID).secret_access_key(SECRET_ACCESS_KEY).build()?)
    }
}

impl Place {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Files(_) => "files",
            Self::S3(_) => "s3",
        }
    }

    /// What it is, for whoever reads a table.
    pub(crate) fn told(&self) -> &'static str {
        match self {
            Self::S3(_) => "a Ceph object gateway 16.2 on the same machine",
            other => other.name(),
        }
    }
}

/// A store of documents of one kind. A clone serves another task.
pub(crate) trait Engine<R: Item>: Clone + Send + Sync + 'static {
    /// Opens an empty one, as is best for what comes next: a load.
    fn create(place: &Place) -> impl Future<Output = Result<Self>> + Send;

    /// Brings documents 0 to `documents`, in this order.
    fn load(&self, documents: u64) -> impl Future<Output = Result<()>> + Send;

    /// After the load, as is best for everything else; what is not measured is done here.
    fn ready(self) -> impl Future<Output = Result<Self>> + Send;

    /// Writes documents in one commit, which is in the store when it is answered.
    fn put(&self, items: &[R]) -> impl Future<Output = Result<()>> + Send;

    fn get(&self, key: &str) -> impl Future<Output = Result<Option<R>>> + Send;

    /// So many documents from this key on, fewer at the end.
    fn scan(&self, from: &str, rows: usize) -> impl Future<Output = Result<Vec<R>>> + Send;

    fn close(self) -> impl Future<Output = Result<()>> + Send;
}
