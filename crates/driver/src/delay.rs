use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_env::Environment;
use bytes::Bytes;

use crate::{Capabilities, Condition, Driver, ETag, Key, Object, Page, Result};

/// A driver that makes another one as slow as a distant store. Streams and batched deletes are made of single calls,
/// each of which takes its time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::time::Duration;
/// use bucketdb_driver::{DelayDriver, Driver, MemoryDriver};
/// use bucketdb_env::{Environment, TokioEnvironment};
///
/// let env = TokioEnvironment::new();
/// let store = DelayDriver::new(MemoryDriver::new(), env.clone())
///     .reads(Duration::from_millis(15))
///     .writes(Duration::from_millis(30));
/// let before = env.monotonic();
/// store.list("", None).await.unwrap();
/// assert!(env.monotonic() - before >= Duration::from_millis(15));
/// # }
/// ```
#[derive(Clone)]
pub struct DelayDriver {
    inner: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    reads: Duration,
    writes: Duration,
}

impl DelayDriver {
    /// Delays nothing yet.
    pub fn new(inner: impl Driver, env: impl Environment) -> Self {
        Self { inner: Arc::new(inner), env: Arc::new(env), reads: Duration::ZERO, writes: Duration::ZERO }
    }

    /// How long a get or a list takes: half on the way there, half on the way back.
    #[must_use]
    pub fn reads(mut self, latency: Duration) -> Self {
        self.reads = latency;
        self
    }

    /// How long a put or a delete takes: half on the way there, half on the way back.
    #[must_use]
    pub fn writes(mut self, latency: Duration) -> Self {
        self.writes = latency;
        self
    }

    async fn delayed<T>(&self, latency: Duration, call: impl Future<Output = T>) -> T {
        self.env.sleep(latency / 2).await;
        let answer = call.await;
        self.env.sleep(latency / 2).await;
        answer
    }
}

impl fmt::Debug for DelayDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DelayDriver").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for DelayDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        self.delayed(self.reads, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        self.delayed(self.reads, self.inner.get_range(key, range)).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        self.delayed(self.writes, self.inner.delete_many(keys)).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        self.delayed(self.writes, self.inner.put(key, body, condition)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.delayed(self.writes, self.inner.delete(key)).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.delayed(self.reads, self.inner.list(prefix, continuation)).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.delayed(self.reads, self.inner.list_after(prefix, after)).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}
