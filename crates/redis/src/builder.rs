use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{DriverError, ErrorKind, Operation, Result};
use bucketdb_env::{Environment, Random, TokioEnvironment};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, Value};

use crate::connection::{Connection, Link};
use crate::error::driver_error;
use crate::layout::{Layout, StoreRecord, namespace_fault, shards_fault, store_key};
use crate::url::InvalidUrl;
use crate::{Durability, RedisDriver, RedisUrl};

const DEFAULT_NAMESPACE: &str = "bucketdb";

/// Enough that a handful of nodes share the load evenly, few enough that a listing stays cheap.
const DEFAULT_SHARDS: u16 = 16;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach a store in Redis.
///
/// ```no_run
/// # async fn example() -> bucketdb_driver::Result<()> {
/// use std::time::Duration;
///
/// use bucketdb_redis::RedisDriver;
///
/// let store = RedisDriver::builder()
///     .namespace("orders")
///     .timeout(Duration::from_secs(3))
///     .cluster(["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"])
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RedisDriverBuilder {
    namespace: Option<String>,
    shards: Option<u16>,
    timeout: Option<Duration>,
    env: Option<Arc<dyn Environment>>,
}

impl RedisDriverBuilder {
    /// Everything by default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which store of the Redis, so that several can share it: 1 to 64 letters, digits, `-`, `_` and `.`. By default
    /// "bucketdb".
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Into how many shards a store is split that does not exist yet, 1 to 256. By default 16.
    ///
    /// A shard is what a cluster can place on a node of its own; a listing asks each for its part. An existing store
    /// keeps the number that it was created with.
    #[must_use]
    pub fn shards(mut self, shards: u16) -> Self {
        self.shards = Some(shards);
        self
    }

    /// How long a call may take in all, until it fails with its outcome unknown. By default 10 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Where time and chance come from. By default the tokio runtime that the caller runs on.
    #[must_use]
    pub fn environment(mut self, env: impl Environment) -> Self {
        self.env = Some(Arc::new(env));
        self
    }

    /// Connects to the place that a [`RedisUrl`] names. What the URL says wins over this builder.
    ///
    /// # Errors
    /// As [`RedisDriver::connect`].
    pub async fn connect(self, url: &str) -> Result<RedisDriver> {
        let url = RedisUrl::parse(url).map_err(invalid_url)?;
        if !url.prefix().is_empty() {
            let detail = "its URL has a prefix, which a driver does not know; read it with RedisUrl::parse";
            return Err(DriverError::new(ErrorKind::Permanent, Operation::Get, url.to_string(), detail));
        }
        self.connect_to(&url).await
    }

    /// Connects to a Redis Cluster that is found by any of the URLs. Only the first may have settings; credentials
    /// must be the same in all.
    ///
    /// # Errors
    /// As [`RedisDriver::connect`].
    pub async fn cluster(self, urls: impl IntoIterator<Item = impl AsRef<str>>) -> Result<RedisDriver> {
        let mut whole: Option<RedisUrl> = None;
        for url in urls {
            let mut url = RedisUrl::parse(url.as_ref()).map_err(invalid_url)?;
            let place = url.to_string();
            let refused = |detail| Err(DriverError::new(ErrorKind::Permanent, Operation::Get, place.clone(), detail));
            if !url.prefix().is_empty() || url.database != 0 {
                return refused("the URL of a cluster's node has neither a database number nor a prefix");
            }
            match &mut whole {
                None => {
                    url.cluster = true;
                    whole = Some(url);
                }
                Some(_) if url.namespace.is_some() || url.shards.is_some() || url.timeout.is_some() => {
                    return refused("only the first URL of a cluster may have settings");
                }
                Some(whole) => whole.nodes.extend(url.nodes),
            }
        }
        let whole = whole.ok_or_else(|| {
            DriverError::new(ErrorKind::Permanent, Operation::Get, "a Redis Cluster", "no URL was given")
        })?;
        self.connect_to(&whole).await
    }

    pub(crate) async fn connect_to(mut self, url: &RedisUrl) -> Result<RedisDriver> {
        self.namespace = url.namespace.clone().or(self.namespace);
        self.shards = url.shards.or(self.shards);
        self.timeout = url.timeout.or(self.timeout);
        let place = url.to_string();
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let nodes = url.nodes.iter().map(|node| node.info.clone().set_tcp_settings(tcp_settings(timeout)));
        if url.cluster {
            return self
                .cluster_client(ClusterClientBuilder::new(nodes).tcp_settings(tcp_settings(timeout)), place)
                .await;
        }
        let fail = |error| driver_error(Operation::Get, &place, error);
        let mut nodes = nodes;
        let Some(node) = nodes.next() else {
            return Err(DriverError::new(ErrorKind::Permanent, Operation::Get, place, "no host was given"));
        };
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout))
            // A caller that waits for a connection should learn soon that there is none; the next call tries anew.
            .set_number_of_retries(1);
        let client = Client::open(node).map_err(fail)?;
        let manager = ConnectionManager::new_with_config(client, config).await.map_err(fail)?;
        self.connection_manager(manager, place).await
    }

    /// Takes a connection to one server that the caller made, for instance with TLS.
    ///
    /// `place` is how errors and [`fingerprint`](bucketdb_driver::Driver::fingerprint) call the server, such as
    /// `redis://host:port/0`: the same for the same server, and without secrets.
    ///
    /// # Errors
    /// As [`RedisDriver::connect`].
    pub async fn connection_manager(self, manager: ConnectionManager, place: impl Into<String>) -> Result<RedisDriver> {
        self.open(Link::Server(manager), place.into()).await
    }

    /// Connects to a cluster that the caller described, for instance with TLS. A finished connection cannot be taken,
    /// because the driver must switch the client's retries off first.
    ///
    /// `place` is as for [`connection_manager`](Self::connection_manager). Reading from replicas must not have been
    /// switched on: a replica does not have what was just acknowledged.
    ///
    /// # Errors
    /// As [`RedisDriver::connect`].
    pub async fn cluster_client(self, client: ClusterClientBuilder, place: impl Into<String>) -> Result<RedisDriver> {
        let place = place.into();
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let fail = |error| driver_error(Operation::Get, &place, error);
        let client = client
            .retries(0)
            .connection_timeout(timeout)
            .response_timeout(timeout)
            .overall_response_timeout(None)
            .build()
            .map_err(fail)?;
        let connection = client.get_async_connection().await.map_err(fail)?;
        self.open(Link::Cluster(connection), place).await
    }

    async fn open(self, link: Link, place: String) -> Result<RedisDriver> {
        let namespace = self.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let shards = self.shards.unwrap_or(DEFAULT_SHARDS);
        if let Some(fault) = namespace_fault(&namespace).or(shards_fault(shards)) {
            return Err(DriverError::new(ErrorKind::Permanent, Operation::Get, place, fault));
        }
        let env = self.env.unwrap_or_else(|| Arc::new(TokioEnvironment::new()));
        let id = env.random_128().iter().map(|byte| format!("{byte:02x}")).collect();
        let connection = Connection::new(link, env, self.timeout.unwrap_or(DEFAULT_TIMEOUT));
        let record = store_record(&connection, &namespace, &place, StoreRecord { shards, id }).await?;
        let layout = Layout::new(&namespace, record.shards);
        let driver = RedisDriver::new(connection, layout, place, &record.id);
        match driver.durability().await {
            Durability::Synced => {}
            weaker => tracing::warn!(store = %driver.place(), "{weaker}"),
        }
        Ok(driver)
    }
}

/// Reads the store's record, or writes it if there is none.
async fn store_record(connection: &Connection, namespace: &str, place: &str, new: StoreRecord) -> Result<StoreRecord> {
    let key = store_key(namespace);
    let subject = format!("the record of store {namespace} at {place}");
    let query = async |operation, command: &Cmd| {
        connection.query(command).await.map_err(|error| driver_error(operation, &subject, error))
    };
    let get = redis::cmd("GET").arg(&key).to_owned();
    let mut stored = query(Operation::Get, &get).await?;
    if stored == Value::Nil {
        query(Operation::Put, redis::cmd("SET").arg(&key).arg(new.encode()).arg("NX")).await?;
        // Another process may have been first.
        stored = query(Operation::Get, &get).await?;
    }
    let Value::BulkString(text) = stored else {
        let detail = "the server lost it just after it was written";
        return Err(DriverError::new(ErrorKind::Transient, Operation::Get, subject, detail));
    };
    StoreRecord::decode(&text)
        .map_err(|fault| DriverError::new(ErrorKind::Permanent, Operation::Get, subject.clone(), fault))
}

/// Settings that make the system give up a connection whose other end has vanished. Without them a command sent into
/// it would wait, and all after it, for as long as the system repeats its packets: a quarter of an hour.
fn tcp_settings(timeout: Duration) -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(timeout);
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = timeout;
    settings
}

fn invalid_url(error: InvalidUrl) -> DriverError {
    DriverError::new(ErrorKind::Permanent, Operation::Get, "a Redis store", error.to_string())
}
