//! BucketDB's store, with a ledger in front of it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb::{Capabilities, Condition, Driver, DriverError, ETag, Environment, Key, Object, Page};
use bytes::Bytes;
use engine_bench::watched::Kind;
use futures::stream::{BoxStream, StreamExt};

use crate::ledger::{Count, Ledger};

/// What the driver for S3 sends as one part of a long object, in bytes.
const PART_BYTES: u64 = 8 << 20;

/// Keys in one request that deletes many.
const KEYS_PER_DELETE: usize = 1000;

type Result<T> = std::result::Result<T, DriverError>;

/// Books what S3 would bill for what is asked of the inner driver, and tells the time as S3 does.
#[derive(Clone, Debug)]
pub struct LedgerDriver {
    inner: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    ledger: Ledger,
}

impl LedgerDriver {
    pub fn new(inner: Arc<dyn Driver>, env: Arc<dyn Environment>, ledger: Ledger) -> Self {
        Self { inner, env, ledger }
    }

    async fn call<T>(
        &self,
        kind: Kind,
        key: &str,
        call: impl Future<Output = Result<T>>,
        bytes: impl FnOnce(&T) -> u64,
    ) -> Result<T> {
        self.ledger.wait(kind).await;
        let result = call.await;
        let moved = result.as_ref().map_or(0, bytes);
        self.ledger.book(kind, key, result.is_ok(), Count { requests: 1, bytes: moved });
        result
    }
}

#[async_trait]
impl Driver for LedgerDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        self.call(Kind::Get, key.as_str(), self.inner.get(key), |object| object.body.len() as u64).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        let bytes = body.len() as u64;
        self.call(Kind::Put, key.as_str(), self.inner.put(key, body, condition), |_| bytes).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.call(Kind::Delete, key.as_str(), self.inner.delete(key), |()| 0).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.call(Kind::List, prefix, self.inner.list(prefix, continuation), |_| 0).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.call(Kind::List, prefix, self.inner.list_after(prefix, after), |_| 0).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        self.call(Kind::Get, key.as_str(), self.inner.get_range(key, range), |object| object.body.len() as u64).await
    }

    async fn get_stream(&self, key: &Key) -> Result<BoxStream<'_, Result<Bytes>>> {
        let pieces = self.call(Kind::Get, key.as_str(), self.inner.get_stream(key), |_| 0).await?;
        let key = key.clone();
        let counted = pieces.inspect(move |piece| {
            if let Ok(bytes) = piece {
                let count = Count { requests: 0, bytes: bytes.len() as u64 };
                self.ledger.book(Kind::Get, key.as_str(), true, count);
            }
        });
        Ok(counted.boxed())
    }

    async fn put_stream(&self, key: &Key, pieces: BoxStream<'_, Result<Bytes>>, condition: Condition) -> Result<ETag> {
        let bytes = AtomicU64::new(0);
        let counted = pieces.inspect(|piece| {
            if let Ok(piece) = piece {
                bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        });
        let result = self
            .call(Kind::Put, key.as_str(), self.inner.put_stream(key, counted.boxed(), condition), |_| {
                bytes.load(Ordering::Relaxed)
            })
            .await;
        let bytes = bytes.load(Ordering::Relaxed);
        if bytes > PART_BYTES {
            // One that begins it is counted; the parts, and one that says that there are no more.
            let count = Count { requests: bytes.div_ceil(PART_BYTES) + 1, bytes: 0 };
            self.ledger.book(Kind::Part, key.as_str(), result.is_ok(), count);
        }
        result
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        for keys in keys.chunks(KEYS_PER_DELETE) {
            let first = keys.first().map_or("", Key::as_str);
            self.call(Kind::Delete, first, self.inner.delete_many(keys), |()| 0).await?;
        }
        Ok(())
    }

    async fn presign_get(&self, key: &Key, expires_in: Duration) -> Result<String> {
        self.inner.presign_get(key, expires_in).await
    }

    /// A request for an object that there is not, as the driver for S3 has it.
    async fn server_time(&self) -> Result<Option<SystemTime>> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(self.env.wall_clock().0);
        self.call(Kind::Get, "clock", async { Ok(Some(time)) }, |_| 0).await
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.server_time = true;
        capabilities
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}
