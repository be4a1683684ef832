//! A store in memory that has the same name in every run, and can be copied.

use bucketdb::{Capabilities, Condition, Driver, DriverError, ETag, Key, MemoryDriver, Object, Page};
use bytes::Bytes;

type Result<T> = std::result::Result<T, DriverError>;

/// Objects in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    objects: MemoryDriver,
}

impl Store {
    /// Another store with the same objects.
    pub(crate) async fn copy(&self) -> Self {
        let copy = Self::default();
        let mut after = None;
        loop {
            let page = self.objects.list("", after.as_deref()).await.unwrap();
            for listed in &page.objects {
                let body = self.objects.get(&listed.key).await.unwrap().body;
                copy.objects.put(&listed.key, body, Condition::Always).await.unwrap();
            }
            after = page.next;
            if after.is_none() {
                return copy;
            }
        }
    }
}

#[async_trait::async_trait]
impl Driver for Store {
    async fn get(&self, key: &Key) -> Result<Object> {
        self.objects.get(key).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        self.objects.put(key, body, condition).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.objects.delete(key).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.objects.list(prefix, continuation).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.objects.list_after(prefix, after).await
    }

    fn capabilities(&self) -> Capabilities {
        self.objects.capabilities()
    }

    /// That of a store in memory names the process, so it would have another length in another run.
    fn fingerprint(&self) -> String {
        "memory:costs".to_owned()
    }
}
