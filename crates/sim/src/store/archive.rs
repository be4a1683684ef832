use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bucketdb::{Condition, Driver, DriverError, ETag, ErrorKind, Key, Listed, Object, Operation, Page};
use bytes::Bytes;

use crate::cluster::DATABASE_PREFIX;
use crate::store::StoreWorld;

/// What every object was when it was created, whatever became of it; `head`, which changes, is left out.
#[derive(Debug, Default)]
pub(crate) struct Records(BTreeMap<String, Record>);

#[derive(Debug)]
pub(crate) struct Record {
    key: Key,
    /// What was written there, and when: more than once by a store that lies.
    versions: Vec<(Bytes, Duration)>,
}

impl Records {
    /// An object was written.
    pub(crate) fn written(&mut self, key: &Key, body: &Bytes, now: Duration) {
        if !key.as_str().ends_with("head") {
            let version = || vec![(body.clone(), now)];
            self.0.entry(key.as_str().to_owned()).or_insert_with(|| Record { key: key.clone(), versions: version() });
        }
    }

    /// An object was written over one that was there, by a store that says that it was not.
    pub(crate) fn overwritten(&mut self, key: &Key, body: &Bytes, now: Duration) {
        if let Some(record) = self.0.get_mut(key.as_str()) {
            record.versions.push((body.clone(), now));
        }
    }

    /// What an object was when it was created. Of a record that a lying store has written over another one: the one that the
    /// next record continues, or the later one if there is none.
    pub(crate) fn created(&self, key: &Key) -> Option<&Bytes> {
        self.0.get(key.as_str()).and_then(|record| self.version(record)).map(|(body, _)| body)
    }

    fn version<'a>(&'a self, record: &'a Record) -> Option<&'a (Bytes, Duration)> {
        if let [only] = record.versions.as_slice() {
            return Some(only);
        }
        let next = position(&record.key).and_then(|position| self.created(&record_key(position + 1)?));
        let is_continued = |(body, _): &&(Bytes, Duration)| {
            let hash = chain_hash(body);
            next.is_some_and(|next| next.windows(hash.len()).any(|part| part == hash))
        };
        record.versions.iter().find(is_continued).or(record.versions.last())
    }

    /// When the records were created, in the order of their positions.
    pub(crate) fn times(&self) -> Vec<(u64, Duration)> {
        let time = |record: &Record| Some((position(&record.key)?, self.version(record)?.1));
        self.0.values().filter_map(time).collect()
    }
}

/// What the record behind one carries of it: the first half of its BLAKE3 hash.
fn chain_hash(record: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&blake3::hash(record).as_bytes()[..16]);
    half
}

fn record_key(position: u64) -> Option<Key> {
    Key::new(format!("{DATABASE_PREFIX}/log/{position:020}")).ok()
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
        let found = self.0.records(|records| records.created(key).cloned());
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
        let listed = |all: &Records| {
            let is_in = |record: &&Record| record.key.as_str().starts_with(prefix) && position(&record.key).is_some();
            let listed = |record: &Record| {
                let size = all.version(record).map(|(body, _)| body.len() as u64);
                Listed { key: record.key.clone(), size_bytes: size }
            };
            all.0.values().filter(is_in).map(listed).collect()
        };
        Ok(Page { objects: self.0.records(listed), next: None })
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
