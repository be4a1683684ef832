use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Capabilities, Condition, Driver, DriverError, ETag, ErrorKind, Key, Object, Operation, Page, Result};

/// What a [`FaultDriver`] does to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Passes it on.
    None,
    /// Fails it with this kind of error; the store never sees it.
    Before(ErrorKind),
    /// Passes it on, then loses the answer: the caller gets this kind of error although the call took effect.
    After(ErrorKind),
    /// Never answers; the store never sees it.
    Hang,
    /// Passes it on, then never answers.
    HangAfter,
}

/// Decides what happens to a call of the operation with the key or prefix.
type Rule = dyn Fn(Operation, &str) -> Fault + Send + Sync;

/// A driver that makes another one fail as a test wants it.
///
/// The rule is asked before each call with the operation and the key (for a listing, the prefix). Streams and batched
/// deletes are made of single calls, and the rule sees each of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bucketdb_driver::{Condition, Driver, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, Operation};
///
/// let store = MemoryDriver::new();
/// let lossy = FaultDriver::new(store.clone(), |operation, _key| match operation {
///     Operation::Put => Fault::After(ErrorKind::Transient),
///     _ => Fault::None,
/// });
/// let key = Key::new("a")?;
/// assert!(lossy.put(&key, "1".into(), Condition::IfAbsent).await.unwrap_err().is_transient());
/// assert_eq!(store.get(&key).await?.body, "1", "the answer was lost, not the write");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FaultDriver {
    inner: Arc<dyn Driver>,
    rule: Arc<Rule>,
}

impl FaultDriver {
    /// Makes `inner` fail by `rule`.
    pub fn new(inner: impl Driver, rule: impl Fn(Operation, &str) -> Fault + Send + Sync + 'static) -> Self {
        Self { inner: Arc::new(inner), rule: Arc::new(rule) }
    }

    async fn call<T>(&self, operation: Operation, subject: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let injected = |kind| Err(DriverError::new(kind, operation, subject, "a fault that a test injected"));
        match (self.rule)(operation, subject) {
            Fault::None => call.await,
            Fault::Before(kind) => injected(kind),
            Fault::After(kind) => {
                call.await?;
                injected(kind)
            }
            Fault::Hang => std::future::pending().await,
            Fault::HangAfter => {
                call.await?;
                std::future::pending().await
            }
        }
    }
}

impl fmt::Debug for FaultDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FaultDriver").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for FaultDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        self.call(Operation::Get, key.as_str(), self.inner.get(key)).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        self.call(Operation::Put, key.as_str(), self.inner.put(key, body, condition)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.call(Operation::Delete, key.as_str(), self.inner.delete(key)).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.call(Operation::List, prefix, self.inner.list(prefix, continuation)).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.call(Operation::List, prefix, self.inner.list_after(prefix, after)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        self.call(Operation::Get, key.as_str(), self.inner.get_range(key, range)).await
    }

    async fn presign_get(&self, key: &Key, expires_in: Duration) -> Result<String> {
        self.call(Operation::Presign, key.as_str(), self.inner.presign_get(key, expires_in)).await
    }

    async fn server_time(&self) -> Result<Option<SystemTime>> {
        self.call(Operation::ServerTime, "the store", self.inner.server_time()).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}
