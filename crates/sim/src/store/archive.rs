use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bucketdb::{Condition, Driver, DriverError, ETag, ErrorKind, Key, Listed, Object, Operation, Page};
use bytes::Bytes;

use crate::cluster::DATABASE_PREFIX;
use crate::store::StoreWorld;

/// What every object was when it was created, whatever became of it; `head`, which changes, is left out. Of one that nobody
/// knew of when a lying store wrote another one over it, that other one is kept.
#[derive(Debug, Default)]
pub(crate) struct Records(BTreeMap<String, Record>);

#[derive(Debug)]
pub(crate) struct Record {
    key: Key,
    body: Bytes,
    created: Duration,
    /// Whether somebody was answered that it is there.
    is_known: bool,
}

impl Records {
    /// An object was written.
    pub(crate) fn written(&mut self, key: &Key, body: &Bytes, now: Duration) {
        if !key.as_str().ends_with("head") {
            let record = Record { key: key.clone(), body: body.clone(), created: now, is_known: false };
            self.0.entry(key.as_str().to_owned()).or_insert(record);
        }
    }

    /// Somebody was answered that an object is there.
    pub(crate) fn known(&mut self, key: &str) {
        if let Some(record) = self.0.get_mut(key) {
            record.is_known = true;
        }
    }

    /// An object was written over one that was there, by a store that says that it was not. If nobody knew of that, this one is
    /// as good as if it had come first.
    pub(crate) fn overwritten(&mut self, key: &Key, body: &Bytes, now: Duration) {
        if self.0.get(key.as_str()).is_some_and(|record| !record.is_known) {
            self.0.remove(key.as_str());
            self.written(key, body, now);
        }
    }

    /// What an object was when it was created.
    pub(crate) fn first(&self, key: &Key) -> Option<&Bytes> {
        self.0.get(key.as_str()).map(|record| &record.body)
    }

    /// When the records were created, in the order of their positions.
    pub(crate) fn times(&self) -> Vec<(u64, Duration)> {
        self.0.values().filter_map(|record| Some((position(&record.key)?, record.created))).collect()
    }
}

/// The position of a record of the database's log by its key.
pub(crate) fn position(key: &Key) -> Option<u64> {
    let digits = key.as_str().strip_prefix(DATABASE_PREFIX)?.strip_prefix("/log/")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// The store as if nothing had ever been removed, and without anything that spares reading the log: whoever opens a
/// database here replays it from its first record. Nothing can be written.
#[derive(Clone)]
pub(crate) struct Archive(StoreWorld);

impl Archive {
    pub(crate) fn new(world: StoreWorld) -> Self {
        Self(world)
    }
}

fn refused(operation: Operation) -> DriverError {
    DriverError::new(ErrorKind::Permanent, operation, "", "nothing is written into an archive")
}

#[async_trait]
impl Driver for Archive {
    async fn get(&self, key: &Key) -> Result<Object, DriverError> {
        let found = self.0.records(|records| records.first(key).cloned());
        let body = found.ok_or_else(|| DriverError::not_found(Operation::Get, key))?;
        Ok(Object { body, etag: ETag("archive".to_owned()) })
    }

    async fn put(&self, _: &Key, _: Bytes, _: Condition) -> Result<ETag, DriverError> {
        Err(refused(Operation::Put))
    }

    async fn delete(&self, _: &Key) -> Result<(), DriverError> {
        Err(refused(Operation::Delete))
    }

    async fn list(&self, prefix: &str, _: Option<&str>) -> Result<Page, DriverError> {
        let listed = |record: &Record| Listed { key: record.key.clone(), size_bytes: Some(record.body.len() as u64) };
        let is_in = |record: &&Record| record.key.as_str().starts_with(prefix) && position(&record.key).is_some();
        Ok(Page { objects: self.0.records(|all| all.0.values().filter(is_in).map(listed).collect()), next: None })
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page, DriverError> {
        let mut page = self.list(prefix, None).await?;
        page.objects.retain(|listed| listed.key.as_str() > after.as_str());
        Ok(page)
    }

    fn fingerprint(&self) -> String {
        "archive".to_owned()
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Archive")
    }
}
