use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;

use crate::{
    Capabilities, Condition, Driver, DriverError, ETag, Key, Listed, Object, Operation, Page, Result, Support,
};

/// How many keys a page of a listing holds, as in Amazon S3.
const PAGE_KEYS: usize = 1000;

/// Tells the memory stores of one process apart.
static NEXT_STORE: AtomicU64 = AtomicU64::new(0);

/// Objects in the memory of this process. Clones share them; they vanish with the last clone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bucketdb_driver::{Condition, Driver, Key, MemoryDriver};
///
/// let store = MemoryDriver::new();
/// let key = Key::new("greeting")?;
/// store.put(&key, "hello".into(), Condition::IfAbsent).await?;
/// assert_eq!(store.get(&key).await?.body, "hello");
/// assert!(store.put(&key, "again".into(), Condition::IfAbsent).await.unwrap_err().is_precondition_failed());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MemoryDriver {
    store: Arc<Store>,
}

#[derive(Debug)]
struct Store {
    number: u64,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Key, Object>,
    writes: u64,
}

impl MemoryDriver {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let number = NEXT_STORE.fetch_add(1, Ordering::Relaxed);
        Self { store: Arc::new(Store { number, state: RwLock::default() }) }
    }
}

impl Default for MemoryDriver {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Driver for MemoryDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        let state = self.store.state.read();
        state.objects.get(key).cloned().ok_or_else(|| DriverError::not_found(Operation::Get, key))
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        let mut state = self.store.state.write();
        let current = state.objects.get(key).map(|object| &object.etag);
        let holds = match &condition {
            Condition::Always => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfMatch(etag) => current == Some(etag),
        };
        if !holds {
            return Err(DriverError::precondition_failed(key));
        }
        state.writes += 1;
        let etag = ETag(format!("{:x}", state.writes));
        state.objects.insert(key.clone(), Object { body, etag: etag.clone() });
        Ok(etag)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.store.state.write().objects.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        Ok(self.page(prefix, continuation.unwrap_or_default()))
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        Ok(self.page(prefix, after.as_str()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create_only: Support::Claimed,
            if_match: Support::Claimed,
            ranged_get: true,
            ..Capabilities::new()
        }
    }

    fn fingerprint(&self) -> String {
        format!("memory:{}:{}", std::process::id(), self.store.number)
    }
}

impl MemoryDriver {
    /// The keys that begin with `prefix` and are greater than `after`.
    fn page(&self, prefix: &str, after: &str) -> Page {
        let state = self.store.state.read();
        // Keys compare as their text does, but the map cannot be asked with a bare text that is no valid key.
        let mut matching = match Key::new(after.max(prefix)) {
            Ok(start) => state.objects.range((Bound::Included(start), Bound::Unbounded)),
            Err(_) => state.objects.range::<Key, _>(..),
        }
        .map(|(key, object)| Listed { key: key.clone(), size_bytes: Some(object.body.len() as u64) })
        .filter(|listed| listed.key.as_str() > after && listed.key.as_str().starts_with(prefix));
        let objects: Vec<_> = matching.by_ref().take(PAGE_KEYS).collect();
        let next = matching.next().and(objects.last()).map(|last| last.key.as_str().to_owned());
        Page { objects, next }
    }
}
