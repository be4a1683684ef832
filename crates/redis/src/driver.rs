use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb_driver::{
    Capabilities, Condition, Driver, DriverError, ETag, ErrorKind, Key, Object, Operation, Page, Result, Support,
};
use bytes::Bytes;
use futures::stream::{self, TryStreamExt};
use redis::Value;

use crate::connection::Connection;
use crate::error::driver_error;
use crate::layout::{self, ETAG_BYTES, Layout, MAX_OBJECT_BYTES};
use crate::script::Scripts;
use crate::{Durability, RedisDriverBuilder, durability, listing};

/// How many objects one script removes: below what Lua can take as arguments, and short enough not to hold the server
/// up.
const DELETES_PER_SCRIPT: usize = 500;

/// How many scripts that remove objects are in flight.
const PARALLEL_DELETES: usize = 8;

/// Objects in Redis or a Redis Cluster. Clones share their connections.
///
/// See the [crate's documentation](crate) for what it stores, what its errors mean, and what a server must be set to
/// so that acknowledged writes are safe.
#[derive(Clone)]
pub struct RedisDriver {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    layout: Layout,
    scripts: Scripts,
    place: String,
    fingerprint: String,
}

impl RedisDriver {
    /// Connects to the place that a [`RedisUrl`](crate::RedisUrl) without prefix names, and creates the store's record
    /// if there is none. Settings of the server that can lose acknowledged writes are logged as a warning.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] if the server refuses the credentials, [`ErrorKind::Permanent`] if the URL is wrong or
    /// the namespace holds something else, [`ErrorKind::Transient`] if the server does not answer.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder().connect(url).await
    }

    /// Connects to a Redis Cluster that is found by any of the URLs.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn cluster(urls: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        Self::builder().cluster(urls).await
    }

    /// Connects with settings, or through a connection that the caller made.
    #[must_use]
    pub fn builder() -> RedisDriverBuilder {
        RedisDriverBuilder::new()
    }

    pub(crate) fn new(connection: Connection, layout: Layout, place: String, id: &str) -> Self {
        let fingerprint = format!("{place} {} {id}", layout.namespace());
        Self { inner: Arc::new(Inner { connection, layout, scripts: Scripts::new(), place, fingerprint }) }
    }

    /// Whether the server's settings keep what it acknowledges. One `CONFIG GET` for each of four settings.
    pub async fn durability(&self) -> Durability {
        durability::read(&self.inner.connection).await
    }

    pub(crate) fn place(&self) -> &str {
        &self.inner.place
    }

    async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let Inner { connection, layout, .. } = &*self.inner;
        let (minimum, maximum) = listing::lexical_bounds(prefix, after);
        let limit = listing::keys_per_shard(layout.shards());
        let ask = |shard| {
            let mut command = redis::cmd("ZRANGEBYLEX");
            command.arg(layout.index(shard)).arg(&minimum[..]).arg(&maximum[..]).arg("LIMIT").arg(0).arg(limit);
            command
        };
        let answers = connection
            .query_all((0..layout.shards()).map(ask).collect())
            .await
            .map_err(|error| driver_error(Operation::List, prefix, error))?;
        let shards = answers
            .into_iter()
            .map(redis::from_redis_value::<Vec<Vec<u8>>>)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| unreadable(Operation::List, prefix))?;
        listing::merge(shards, limit).map_err(|error| unreadable(Operation::List, prefix).with_source(error))
    }

    async fn delete_from_shard(&self, shard: u16, keys: &[&Key]) -> Result<()> {
        let Inner { connection, layout, scripts, .. } = &*self.inner;
        let mut redis_keys = vec![layout.index(shard)];
        redis_keys.extend(keys.iter().map(|key| layout.object(shard, key.as_str())));
        let names: Vec<[&[u8]; 1]> = keys.iter().map(|key| [key.as_str().as_bytes()]).collect();
        let names: Vec<&[&[u8]]> = names.iter().map(|name| &name[..]).collect();
        let subject = keys.first().map_or("no object", |key| key.as_str());
        let removed = connection.run(&scripts.delete, &redis_keys, &names).await;
        removed.map(drop).map_err(|error| driver_error(Operation::Delete, subject, error))
    }
}

fn unreadable(operation: Operation, subject: &str) -> DriverError {
    let detail = "what Redis holds there was not written by this driver";
    DriverError::new(ErrorKind::Permanent, operation, subject, detail)
}

impl fmt::Debug for RedisDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { connection, layout, place, .. } = &*self.inner;
        formatter
            .debug_struct("RedisDriver")
            .field("place", place)
            .field("namespace", &layout.namespace())
            .field("shards", &layout.shards())
            .field("connection", connection)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for RedisDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        let Inner { connection, layout, .. } = &*self.inner;
        let object = layout.object(layout.shard_of(key.as_str()), key.as_str());
        let answer = connection.query(redis::cmd("GET").arg(object)).await;
        match answer.map_err(|error| driver_error(Operation::Get, key.as_str(), error))? {
            Value::Nil => Err(DriverError::not_found(Operation::Get, key)),
            Value::BulkString(stored) => {
                let mut body = Bytes::from(stored);
                if body.len() < ETAG_BYTES {
                    return Err(unreadable(Operation::Get, key.as_str()));
                }
                let etag = layout::etag(&body.split_to(ETAG_BYTES));
                Ok(Object { body, etag: etag.ok_or_else(|| unreadable(Operation::Get, key.as_str()))? })
            }
            _ => Err(unreadable(Operation::Get, key.as_str())),
        }
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        let Inner { connection, layout, scripts, .. } = &*self.inner;
        if body.len() as u64 > MAX_OBJECT_BYTES {
            let detail = format!("it has {} bytes, and Redis holds at most {MAX_OBJECT_BYTES}", body.len());
            return Err(DriverError::new(ErrorKind::Permanent, Operation::Put, key.as_str(), detail));
        }
        let shard = layout.shard_of(key.as_str());
        let keys = [layout.object(shard, key.as_str()), layout.index(shard), layout.writes(shard)];
        let etag = layout::etag_without_count(&body);
        let (condition, expected) = match &condition {
            Condition::Always => ("always", ""),
            Condition::IfAbsent => ("absent", ""),
            Condition::IfMatch(etag) => ("match", etag.0.as_str()),
        };
        let name: &[&[u8]] = &[key.as_str().as_bytes()];
        let stored: &[&[u8]] = &[etag.as_bytes(), &body];
        let arguments = [name, stored, &[condition.as_bytes()], &[expected.as_bytes()]];
        let answer = connection.run(&scripts.put, &keys, &arguments).await;
        match answer.map_err(|error| driver_error(Operation::Put, key.as_str(), error))? {
            Value::Nil => Err(DriverError::precondition_failed(key)),
            Value::BulkString(count) => {
                // It was written, but with which ETag is unknown: nothing else than a passing fault is true.
                layout::with_count(&etag, &count).ok_or_else(|| strange_answer(key))
            }
            _ => Err(strange_answer(key)),
        }
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.delete_from_shard(self.inner.layout.shard_of(key.as_str()), &[key]).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.page(prefix, continuation).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.page(prefix, Some(after.as_str())).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        let Inner { connection, layout, scripts, .. } = &*self.inner;
        let object = layout.object(layout.shard_of(key.as_str()), key.as_str());
        // The script takes an end before the start for an empty range.
        let at = |position: u64| position.min(MAX_OBJECT_BYTES) + ETAG_BYTES as u64;
        let (first, last) = (at(range.start).to_string(), (at(range.end) - 1).to_string());
        let arguments: [&[&[u8]]; 2] = [&[first.as_bytes()], &[last.as_bytes()]];
        let answer = connection.run(&scripts.range, &[object], &arguments).await;
        let answer = answer.map_err(|error| driver_error(Operation::Get, key.as_str(), error))?;
        if answer == Value::Nil {
            return Err(DriverError::not_found(Operation::Get, key));
        }
        let parts: std::result::Result<(Vec<u8>, Vec<u8>), _> = redis::from_redis_value(answer);
        let (etag, body) = parts.map_err(|_| unreadable(Operation::Get, key.as_str()))?;
        let etag = layout::etag(&etag).ok_or_else(|| unreadable(Operation::Get, key.as_str()))?;
        Ok(Object { body: body.into(), etag })
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        let mut shards = BTreeMap::<u16, Vec<&Key>>::new();
        for key in keys {
            shards.entry(self.inner.layout.shard_of(key.as_str())).or_default().push(key);
        }
        let parts = shards.iter().flat_map(|(shard, keys)| keys.chunks(DELETES_PER_SCRIPT).map(|keys| (*shard, keys)));
        let parts: Vec<_> = parts.collect();
        stream::iter(parts.into_iter().map(Ok))
            .try_for_each_concurrent(PARALLEL_DELETES, |(shard, keys)| self.delete_from_shard(shard, keys))
            .await
    }

    /// The clock of the server that holds the store's record, always the same one in a cluster until it fails over.
    async fn server_time(&self) -> Result<Option<SystemTime>> {
        let Inner { connection, layout, scripts, place, .. } = &*self.inner;
        let answer = connection.run(&scripts.time, &[layout::store_key(layout.namespace())], &[]).await;
        let answer = answer.map_err(|error| driver_error(Operation::ServerTime, place, error))?;
        let time: std::result::Result<(u64, u32), _> = redis::from_redis_value(answer);
        let (seconds, microseconds) = time.map_err(|error| {
            let detail = "the answer is not a time";
            DriverError::new(ErrorKind::Permanent, Operation::ServerTime, place.as_str(), detail).with_source(error)
        })?;
        Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(microseconds.into())))
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new();
        capabilities.create_only = Support::Claimed;
        capabilities.if_match = Support::Claimed;
        capabilities.ranged_get = true;
        capabilities.server_time = true;
        capabilities
    }

    /// Address, database and namespace, and the random id that the store got when it was created. So neither a copy
    /// of the data on another server nor another server of the same name is taken for this store. Processes that find
    /// one cluster by different nodes have different fingerprints.
    fn fingerprint(&self) -> String {
        self.inner.fingerprint.clone()
    }
}

fn strange_answer(key: &Key) -> DriverError {
    let detail = "the server's answer cannot be understood, so its outcome is unknown";
    DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), detail)
}
