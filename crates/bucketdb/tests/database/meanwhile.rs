//! A store in which something happens just before a request: what others do meanwhile, in an order that tests can rely on.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bucketdb::{Condition, Driver, DriverError, ETag, Key, Object, Operation, Page};
use bytes::Bytes;
use futures::future::BoxFuture;

/// What happens before a request.
pub(crate) type Deed = BoxFuture<'static, ()>;

type Rule = dyn Fn(Operation, &str) -> Option<Deed> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Meanwhile {
    inner: Arc<dyn Driver>,
    before: Arc<Rule>,
}

impl Meanwhile {
    /// `before` says what happens before a request for a key; the request waits for it.
    pub(crate) fn new(
        inner: impl Driver,
        before: impl Fn(Operation, &str) -> Option<Deed> + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Arc::new(inner), before: Arc::new(before) }
    }

    async fn wait(&self, operation: Operation, key: &str) {
        if let Some(deed) = (self.before)(operation, key) {
            deed.await;
        }
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Meanwhile").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for Meanwhile {
    async fn get(&self, key: &Key) -> Result<Object, DriverError> {
        self.wait(Operation::Get, key.as_str()).await;
        self.inner.get(key).await
    }
    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag, DriverError> {
        self.wait(Operation::Put, key.as_str()).await;
        self.inner.put(key, body, condition).await
    }
    async fn delete(&self, key: &Key) -> Result<(), DriverError> {
        self.wait(Operation::Delete, key.as_str()).await;
        self.inner.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> Result<Page, DriverError> {
        self.wait(Operation::List, prefix).await;
        self.inner.list(prefix, next).await
    }
}
