//! A driver that keeps objects in Redis or a Redis Cluster.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use bucketdb_driver::{Condition, Driver, Key};
//! use bucketdb_redis::RedisDriver;
//!
//! let store = RedisDriver::connect("redis://127.0.0.1:6379/0").await?;
//! let key = Key::new("greeting")?;
//! store.put(&key, "hello".into(), Condition::IfAbsent).await?;
//! assert_eq!(store.get(&key).await?.body, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! # What it stores
//! Objects belong to a *namespace* ("bucketdb" unless told otherwise); several share one Redis without seeing each
//! other. A namespace is split into shards, 16 by default, and the hash of an object's key chooses its shard. All
//! Redis keys of a shard carry one hash tag, so they lie in one slot of a cluster:
//!
//! | Redis key | type | contents |
//! |---|---|---|
//! | `{NAMESPACE}store` | string | format version, number of shards, random id: written once, never changed |
//! | `{NAMESPACE/SHARD}object/KEY` | string | ETag (49 bytes), then the object's bytes |
//! | `{NAMESPACE/SHARD}index` | sorted set, all scores 0 | the keys of the shard's objects, in byte order |
//! | `{NAMESPACE/SHARD}writes` | integer | how many puts the shard has taken |
//!
//! One server and a cluster use the same layout, so a store can move between them. One script writes the object, its
//! index entry and the count together: a listing can never contradict a get.
//!
//! # ETags
//! The count of the shard's puts, a dash, and 128 bits of the BLAKE3 hash of the bytes. The count makes every put's
//! ETag new, so an ETag that was seen once never matches a later object that happens to hold the same bytes. The hash
//! keeps ETags apart even after a failover that lost acknowledged writes, and with them counts that were given out.
//!
//! # What an error means
//! A command whose answer is lost is never sent again by the driver: it fails as
//! [`Transient`](bucketdb_driver::ErrorKind::Transient), outcome unknown. The cluster client's own retries, which would
//! send it again, are switched off, and the connection to one server has none. What *is* repeated, up to six times
//! inside the time-out, are commands that the server answered without running them: a slot that moved, a cluster or
//! server that is starting or failing over.
//!
//! # How safe it is
//! Redis keeps the promise "durable when acknowledged" only with `appendonly yes`, `appendfsync always`,
//! `no-appendfsync-on-rewrite no`, and if no failover happens to a replica that had not received an acknowledged write.
//! Replication is asynchronous: **a failover can lose acknowledged commits**. [`RedisDriver::durability`] reads the
//! settings; at connecting, weaker or unknown ones are logged as a warning. The server must not evict keys
//! (`maxmemory-policy noeviction` or a `volatile-` policy): an evicted key is a lost object.
//!
//! Every object lives in the server's memory, and none can be larger than [`MAX_OBJECT_BYTES`].

mod builder;
mod connection;
mod driver;
mod durability;
mod error;
mod layout;
mod listing;
mod script;
mod url;

pub use builder::RedisDriverBuilder;
pub use driver::RedisDriver;
pub use durability::Durability;
pub use layout::MAX_OBJECT_BYTES;
pub use url::{InvalidUrl, RedisUrl};
