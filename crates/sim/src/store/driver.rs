use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb::{Capabilities, Condition, Driver, DriverError, ETag, ErrorKind, Key, Object, Operation, Page, Support};
use bytes::Bytes;

use crate::store::bucket::{Answer, Request};
use crate::store::{ProcessId, StoreWorld};

/// The store as one process sees it.
#[derive(Clone)]
pub struct SimStore {
    world: StoreWorld,
    process: ProcessId,
}

impl SimStore {
    pub(super) fn new(world: StoreWorld, process: ProcessId) -> Self {
        Self { world, process }
    }

    async fn ask(&self, request: Request) -> Result<Answer, DriverError> {
        match self.world.send(self.process, request).await {
            Ok(answer) => answer,
            // Nobody will ever answer: whoever asked has time-outs of its own.
            Err(_) => futures::future::pending().await,
        }
    }

    async fn ask_page(&self, prefix: &str, after: &str) -> Result<Page, DriverError> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        let page_keys = self.world.page_keys();
        match self.ask(Request::List { prefix, after, page_keys, lag: Duration::ZERO }).await? {
            Answer::Page(page) => Ok(page),
            _ => Err(unexpected(Operation::List)),
        }
    }
}

fn unexpected(operation: Operation) -> DriverError {
    DriverError::new(ErrorKind::Permanent, operation, "", "the simulated store answered something else")
}

#[async_trait]
impl Driver for SimStore {
    async fn get(&self, key: &Key) -> Result<Object, DriverError> {
        match self.ask(Request::Get { key: key.clone() }).await? {
            Answer::Object(object) => Ok(object),
            _ => Err(unexpected(Operation::Get)),
        }
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag, DriverError> {
        match self.ask(Request::Put { key: key.clone(), body, condition }).await? {
            Answer::Written(etag) => Ok(etag),
            _ => Err(unexpected(Operation::Put)),
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), DriverError> {
        self.ask(Request::Delete { key: key.clone() }).await.map(|_| ())
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page, DriverError> {
        self.ask_page(prefix, continuation.unwrap_or_default()).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page, DriverError> {
        self.ask_page(prefix, after.as_str()).await
    }

    async fn server_time(&self) -> Result<Option<SystemTime>, DriverError> {
        Ok(None)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new();
        capabilities.create_only = Support::Claimed;
        capabilities.if_match = Support::Claimed;
        capabilities.ranged_get = true;
        capabilities
    }

    fn fingerprint(&self) -> String {
        "simulated".to_owned()
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SimStore").field(&self.process).finish()
    }
}
