use std::ops::Range;

use async_trait::async_trait;
use bucketdb::{Capabilities, Condition, Driver, ETag, Key, MemoryDriver, Object, Page};
use bucketdb_driver::Result;
use bytes::Bytes;

/// A store in memory that a database takes for the one that it was made on, so that it is not tried with hundreds of requests
/// for each input. No two of them share their objects: what an input has left running cannot touch those of the next.
#[derive(Clone, Debug, Default)]
pub struct KnownStore(MemoryDriver);

#[async_trait]
impl Driver for KnownStore {
    async fn get(&self, key: &Key) -> Result<Object> {
        self.0.get(key).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        self.0.put(key, body, condition).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.0.delete(key).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.0.list(prefix, continuation).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.0.list_after(prefix, after).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        self.0.get_range(key, range).await
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn fingerprint(&self) -> String {
        "memory:known".to_owned()
    }
}
