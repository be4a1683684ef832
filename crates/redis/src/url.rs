use std::fmt;
use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo};
use url::Url;

use crate::layout::{namespace_fault, shards_fault};
use crate::{RedisDriver, RedisDriverBuilder};

const DEFAULT_PORT: u16 = 6379;

/// A place in Redis as a URL: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE[/PREFIX]][?SETTING=VALUE&…]`.
///
/// `DATABASE` is the number of the logical database, 0 if left out. `PREFIX` is not the driver's: whoever opens a
/// database puts it before the keys. `redis-cluster://` is short for `redis://` with `cluster=true`. The settings:
///
/// | setting | meaning | default |
/// |---|---|---|
/// | `namespace` | which store of this Redis; letters, digits, `-`, `_`, `.` | `bucketdb` |
/// | `cluster` | `true` if the server belongs to a Redis Cluster | `false` |
/// | `node` | `HOST:PORT` of a further node to find the cluster by; may be given several times | none |
/// | `shards` | shards of a store that does not exist yet, 1 to 256 | 16 |
/// | `timeout_ms` | how long a call may take, in milliseconds | 10000 |
///
/// In the path, `@` is written `%40`, and in a password `/`, `?` and `#` are `%2F`, `%3F` and `%23`: otherwise, a password ends at
/// one of these. `Debug` and `Display` leave the user name and the password out.
///
/// ```
/// use bucketdb_redis::RedisUrl;
///
/// let url = RedisUrl::parse("redis://app:secret@cache.example:7000/0/prod/eu?namespace=orders&cluster=true")?;
/// assert_eq!(url.prefix(), "prod/eu");
/// assert_eq!(url.to_string(), "redis-cluster://cache.example:7000/0");
/// assert!(RedisUrl::parse("redis://cache.example/0?colour=red").is_err());
/// # Ok::<(), bucketdb_redis::InvalidUrl>(())
/// ```
#[derive(Clone)]
pub struct RedisUrl {
    pub(crate) nodes: Vec<Node>,
    pub(crate) database: i64,
    pub(crate) cluster: bool,
    pub(crate) namespace: Option<String>,
    pub(crate) shards: Option<u16>,
    pub(crate) timeout: Option<Duration>,
    prefix: String,
}

/// One server to connect to.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) info: ConnectionInfo,
    /// `HOST:PORT`.
    pub(crate) address: String,
}

/// Why a text is no [`RedisUrl`]. Never shows the text, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid Redis URL: {reason}")]
pub struct InvalidUrl {
    reason: String,
}

impl InvalidUrl {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl RedisUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, an unknown setting included.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let url = Url::parse(text).map_err(|error| InvalidUrl::new(error.to_string()))?;
        let mut parsed = Self {
            nodes: Vec::new(),
            database: 0,
            cluster: is_cluster_scheme(&url)?,
            namespace: None,
            shards: None,
            timeout: None,
            prefix: String::new(),
        };
        parsed.read_path(url.path())?;
        let first = Node::new(&url, parsed.database)?;
        let mut others = Vec::new();
        // A password that holds a `?` makes settings of its end, up to the `@` behind it.
        if text.split_once('?').is_some_and(|(_, rest)| rest.contains('@')) {
            return Err(InvalidUrl::new("a setting with '@' is none; write '%3F' if '?' belongs to the password"));
        }
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "node" => others.push(first.sibling(&value)?),
                name if parsed.read_setting(name, &value)? => {}
                name => return Err(InvalidUrl::new(format!("unknown setting `{name}`"))),
            }
        }
        if url.fragment().is_some() {
            return Err(InvalidUrl::new("it has a part after '#'; write '%23' if that belongs to the password"));
        }
        if !parsed.cluster && !others.is_empty() {
            return Err(InvalidUrl::new("the setting `node` is for clusters: add `cluster=true`"));
        }
        if parsed.cluster && parsed.database != 0 {
            return Err(InvalidUrl::new("a cluster has only database 0"));
        }
        parsed.nodes.push(first);
        parsed.nodes.append(&mut others);
        Ok(parsed)
    }

    /// The text before the keys of the database that the URL means; empty if it names none.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Connects to the place.
    ///
    /// # Errors
    /// As [`RedisDriver::connect`].
    pub async fn connect(&self) -> bucketdb_driver::Result<RedisDriver> {
        RedisDriverBuilder::new().connect_to(self).await
    }

    fn read_path(&mut self, path: &str) -> Result<(), InvalidUrl> {
        // A password that holds a `/` makes a path of its end.
        if path.contains('@') {
            let reason = "in its path, '@' is written '%40'; write '%2F' if '/' belongs to the password";
            return Err(InvalidUrl::new(reason));
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let (database, prefix) = path.split_once('/').unwrap_or((path, ""));
        if !database.is_empty() {
            self.database = database
                .parse()
                .ok()
                .filter(|number| *number >= 0)
                .ok_or_else(|| InvalidUrl::new("its path must begin with a database number, as in /0/prefix"))?;
        } else if !prefix.is_empty() {
            return Err(InvalidUrl::new("its path must begin with a database number, as in /0/prefix"));
        }
        // The decoder at hand is that of queries: what has a meaning only there is made plain first.
        let plain = prefix.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
        let decoded = url::form_urlencoded::parse(plain.as_bytes()).next();
        let decoded = decoded.map(|(name, _)| name.into_owned()).unwrap_or_default();
        self.prefix = decoded.trim_end_matches('/').to_owned();
        Ok(())
    }

    /// Gives whether there is such a setting.
    fn read_setting(&mut self, name: &str, value: &str) -> Result<bool, InvalidUrl> {
        match name {
            "cluster" => {
                self.cluster = match value {
                    "true" => true,
                    "false" if !self.cluster => false,
                    _ => return Err(InvalidUrl::new("the setting `cluster` is `true` or `false`")),
                };
            }
            "namespace" => {
                if let Some(fault) = namespace_fault(value) {
                    return Err(InvalidUrl::new(fault));
                }
                self.namespace = Some(value.to_owned());
            }
            "shards" => {
                let shards = value.parse().ok().filter(|shards| shards_fault(*shards).is_none());
                self.shards = Some(shards.ok_or_else(|| InvalidUrl::new("the number of shards is 1 to 256"))?);
            }
            "timeout_ms" => {
                let milliseconds = value.parse().ok().filter(|milliseconds| *milliseconds > 0);
                let milliseconds =
                    milliseconds.ok_or_else(|| InvalidUrl::new("the setting `timeout_ms` is a positive number"))?;
                self.timeout = Some(Duration::from_millis(milliseconds));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// # Errors
/// If the scheme is not one of those that are offered.
fn is_cluster_scheme(url: &Url) -> Result<bool, InvalidUrl> {
    match url.scheme() {
        "redis" => Ok(false),
        "redis-cluster" => Ok(true),
        "rediss" => Err(InvalidUrl::new(
            "TLS is not built in; make a connection with the redis crate and hand it to RedisDriverBuilder",
        )),
        _ => Err(InvalidUrl::new("it does not begin with redis:// or redis-cluster://")),
    }
}

impl Node {
    fn new(url: &Url, database: i64) -> Result<Self, InvalidUrl> {
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| InvalidUrl::new("it names no host"))?;
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let address = format!("{host}:{port}");
        // The redis crate decodes the credentials. It gets its own URL, without what only this crate understands.
        let credentials = match (url.username(), url.password()) {
            ("", None) => String::new(),
            (user, None) => format!("{user}@"),
            (user, Some(password)) => format!("{user}:{password}@"),
        };
        let plain = format!("redis://{credentials}{address}/{database}");
        // Not chained: what the parser says of a text may quote it.
        let info = plain
            .into_connection_info()
            .map_err(|_| InvalidUrl::new("the host, user name or password cannot be read"))?;
        Ok(Self { info, address })
    }

    /// Another node of the same cluster, with the same credentials.
    fn sibling(&self, address: &str) -> Result<Self, InvalidUrl> {
        let fault = || InvalidUrl::new("the setting `node` is HOST:PORT");
        let url = Url::parse(&format!("redis://{address}")).map_err(|_| fault())?;
        let plain = url.username().is_empty() && url.password().is_none() && url.path().is_empty();
        if !plain || url.query().is_some() || url.fragment().is_some() {
            return Err(fault());
        }
        let other = Self::new(&url, 0)?;
        let info = other.info.set_redis_settings(self.info.redis_settings().clone());
        Ok(Self { info, address: other.address })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut addresses: Vec<_> = self.nodes.iter().map(|node| node.address.as_str()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let scheme = if self.cluster { "redis-cluster" } else { "redis" };
        write!(formatter, "{scheme}://{}/{}", addresses.join(","), self.database)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisUrl")
            .field("place", &self.to_string())
            .field("prefix", &self.prefix)
            .field("namespace", &self.namespace)
            .field("shards", &self.shards)
            .field("timeout", &self.timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_be_said() {
        let url = RedisUrl::parse(
            "redis-cluster://app:p%40ss@a:7000/0/prod/b%20c+d/?node=b:7001&node=c&namespace=n&shards=4&timeout_ms=250",
        )
        .unwrap();
        assert_eq!(url.to_string(), "redis-cluster://a:7000,b:7001,c:6379/0");
        assert_eq!(url.prefix(), "prod/b c+d");
        assert!(url.cluster);
        assert_eq!((url.namespace.as_deref(), url.shards), (Some("n"), Some(4)));
        assert_eq!(url.timeout, Some(Duration::from_millis(250)));
        for node in &url.nodes {
            assert_eq!(node.info.redis_settings().password(), Some("p@ss"));
            assert_eq!(node.info.redis_settings().username(), Some("app"));
        }
    }

    #[test]
    fn the_short_form_is_enough() {
        let url = RedisUrl::parse("redis://localhost").unwrap();
        assert_eq!((url.to_string().as_str(), url.prefix(), url.cluster), ("redis://localhost:6379/0", "", false));
        let url = RedisUrl::parse("redis://[::1]:7/3/a=b&c=").unwrap();
        assert_eq!((url.to_string().as_str(), url.prefix()), ("redis://[::1]:7/3", "a=b&c="));
        assert_eq!(url.nodes[0].info.redis_settings().db(), 3);
    }

    #[test]
    fn what_is_not_understood_is_refused_without_showing_secrets() {
        for bad in [
            "",
            "redis",
            "http://u:secret@a",
            "rediss://u:secret@a",
            "redis://u:secret@",
            "redis://u:secret@a/prod",
            "redis://u:secret@a//prod",
            "redis://u:secret@a/-1",
            "redis://u:secret@a?colour=red",
            "redis://u:secret@a?cluster=maybe",
            "redis-cluster://u:secret@a?cluster=false",
            "redis://u:secret@a/1?cluster=true",
            "redis://u:secret@a?node=b:1",
            "redis://u:secret@a?cluster=true&node=x:y:z",
            "redis://u:secret@a?cluster=true&node=u:secret@b:1",
            "redis://u:secret@a?namespace=a{b",
            "redis://u:secret@a?shards=0",
            "redis://u:secret@a?timeout_ms=0",
            "redis://u:secret@a:99999",
            "redis://u:sec#secret@a",
            "redis://u:7?secret@a",
            "redis://u:7?secret=x@a",
            "redis://u:7?secret&x=@a",
            "redis://u:7?secret#x@a",
            "redis://u:7?namespace=secret@a",
            "redis://u:/9/secret@a",
            "redis://u:7/9/secret@a",
            "redis://u:7/9//secret@a?shards=1",
        ] {
            let error = RedisUrl::parse(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{bad}: {error}");
        }
        let good = RedisUrl::parse("redis://user:secret@a").unwrap();
        assert!(!format!("{good} {good:?}").contains("secret"));
    }
}
