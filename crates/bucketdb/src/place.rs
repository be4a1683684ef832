use std::fmt;
use std::sync::Arc;

use bucketdb_driver::{Driver, MemoryDriver};

use crate::{Error, LogError, Result};

/// A store, and a prefix in it: what a database URL names.
///
/// | URL | store |
/// |---|---|
/// | `memory:` | the memory of this process; gone when it ends |
/// | `file:PATH`, or a plain path | a folder, which is made if need be |
/// | `s3://BUCKET/PREFIX` | Amazon S3 or a compatible store; `?region=`, `?endpoint=`, `?style=path` or `virtual` |
/// | `gs://BUCKET/PREFIX` | Google Cloud Storage |
/// | `az://CONTAINER/PREFIX` | Azure Blob Storage |
/// | `redis://HOST:PORT/…` | a Redis server or cluster |
///
/// Credentials come from the environment, as each provider's own tools read it, and never from a URL (Redis excepted,
/// where the password is part of the address by convention).
#[derive(Clone)]
pub struct Place {
    driver: Arc<dyn Driver>,
    prefix: String,
}

/// Where a store is, for people: its fingerprint without what tells two stores at one place apart.
pub(crate) fn address_of(driver: &dyn Driver) -> String {
    let store = driver.fingerprint();
    store.split_once('#').map_or(store.as_str(), |(address, _)| address).to_owned()
}

impl Place {
    /// A prefix in a store; empty is all of it.
    pub fn new(driver: Arc<dyn Driver>, prefix: impl Into<String>) -> Self {
        Self { driver, prefix: prefix.into() }
    }

    /// The store and the prefix, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let store = address_of(&*self.driver);
        if self.prefix.is_empty() { store } else { format!("{store} prefix {:?}", self.prefix) }
    }

    /// The place that a URL names.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] if it is not understood; the store's error if it cannot be reached at all.
    pub async fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = split_scheme(url).unwrap_or(("file", url));
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "memory" if rest.is_empty() => Ok(Self { driver: Arc::new(MemoryDriver::new()), prefix: String::new() }),
            "memory" => Err(invalid(url, "nothing may follow `memory:`")),
            "file" => Self::file(url, rest),
            "s3" => Self::s3(url),
            "gs" => Self::gcs(url),
            "az" => Self::azure(url),
            "redis" | "rediss" | "redis-cluster" | "rediss-cluster" => Self::redis(url).await,
            _ => Err(invalid(url, &format!("`{scheme}:` is none of {SCHEMES}"))),
        }
    }

    /// As [`parse`](Self::parse), for a database that is there already: a folder is not made.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); [`LogError::NoDatabase`] if the URL names a folder that does not exist.
    pub async fn parse_existing(url: &str) -> Result<Self> {
        let folder = match split_scheme(url) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
                Some(rest.strip_prefix("//").unwrap_or(rest))
            }
            Some(_) => None,
            None => Some(url),
        };
        match folder {
            Some(path) if !path.is_empty() && matches!(std::fs::exists(path), Ok(false)) => {
                Err(LogError::NoDatabase { place: format!("file:{path}") }.into())
            }
            _ => Self::parse(url).await,
        }
    }

    /// The place that the environment names: `BUCKETDB_URL`, or the S3 bucket in `BUCKETDB_S3_BUCKET`.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] if neither is set.
    pub async fn from_env() -> Result<Self> {
        if let Some(url) = variable("BUCKETDB_URL") {
            return Self::parse(&url).await;
        }
        match variable("BUCKETDB_S3_BUCKET") {
            Some(bucket) => Self::s3(&format!("s3://{bucket}")),
            None => Err(invalid("", "no store was given, and neither BUCKETDB_URL nor BUCKETDB_S3_BUCKET is set")),
        }
    }

    /// The store.
    #[must_use]
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// The prefix.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The store, and the prefix that was given either here or in the URL.
    pub(crate) fn with_prefix(self, prefix: Option<&str>) -> Result<(Arc<dyn Driver>, String)> {
        match prefix {
            None => Ok((self.driver, self.prefix)),
            Some(prefix) if self.prefix.is_empty() => Ok((self.driver, prefix.to_owned())),
            Some(prefix) => {
                let reason = format!("it names the prefix {:?}, and {prefix:?} was given as well", self.prefix);
                Err(invalid(&self.driver.fingerprint(), &reason))
            }
        }
    }

    #[cfg(unix)]
    fn file(url: &str, path: &str) -> Result<Self> {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(invalid(url, "the path is empty"));
        }
        let driver = crate::FileDriver::new(path).map_err(|error| {
            let cause = error.get_ref().and_then(|inner| inner.source()).map(ToString::to_string);
            let reason = match cause {
                _ if std::path::Path::new(path).is_file() => "it is a file and not a folder".to_owned(),
                Some(cause) => cause,
                None => error.to_string(),
            };
            Error::StoreUnavailable { place: format!("file:{path}"), reason }
        })?;
        Ok(Self { driver: Arc::new(driver), prefix: String::new() })
    }

    #[cfg(not(unix))]
    fn file(url: &str, _path: &str) -> Result<Self> {
        Err(invalid(url, "files are not supported on this platform"))
    }

    #[cfg(feature = "s3")]
    fn s3(url: &str) -> Result<Self> {
        let (driver, prefix) = crate::S3Driver::from_url(url).map_err(|error| invalid(url, &with_cause(&error)))?;
        Ok(Self { driver: Arc::new(driver), prefix })
    }

    #[cfg(not(feature = "s3"))]
    fn s3(url: &str) -> Result<Self> {
        Err(invalid(url, "this program was built without the feature `s3`"))
    }

    #[cfg(feature = "gcs")]
    fn gcs(url: &str) -> Result<Self> {
        let (driver, prefix) = crate::GcsDriver::from_url(url).map_err(|error| invalid(url, &with_cause(&error)))?;
        Ok(Self { driver: Arc::new(driver), prefix })
    }

    #[cfg(not(feature = "gcs"))]
    fn gcs(url: &str) -> Result<Self> {
        Err(invalid(url, "this program was built without the feature `gcs`"))
    }

    #[cfg(feature = "azure")]
    fn azure(url: &str) -> Result<Self> {
        let (driver, prefix) = crate::AzureDriver::from_url(url).map_err(|error| invalid(url, &with_cause(&error)))?;
        Ok(Self { driver: Arc::new(driver), prefix })
    }

    #[cfg(not(feature = "azure"))]
    fn azure(url: &str) -> Result<Self> {
        Err(invalid(url, "this program was built without the feature `azure`"))
    }

    #[cfg(feature = "redis")]
    async fn redis(url: &str) -> Result<Self> {
        let parsed = bucketdb_redis::RedisUrl::parse(url).map_err(|error| invalid(url, &error.to_string()))?;
        let driver = parsed.connect().await?;
        Ok(Self { driver: Arc::new(driver), prefix: parsed.prefix().to_owned() })
    }

    #[cfg(not(feature = "redis"))]
    async fn redis(url: &str) -> Result<Self> {
        Err(invalid(url, "this program was built without the feature `redis`"))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Place").field("driver", &self.driver).field("prefix", &self.prefix).finish()
    }
}

/// The schemes that there are, for messages.
const SCHEMES: &str = "memory, file, s3, gs, az, redis and redis-cluster";

/// What stands before the first colon, if it is a scheme and not part of a path, and what follows. On Windows a single letter is a
/// drive. What `://` follows is meant as a scheme, whether or not one can have such a name.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let can_be_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = match scheme.len() {
        1 => false,
        _ if rest.starts_with("//") => !scheme.contains(['/', '\\', '@', '?']),
        length => length > 1 && scheme.bytes().all(can_be_scheme),
    };
    is_scheme.then_some((scheme, rest))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn invalid(url: &str, reason: &str) -> Error {
    Error::InvalidUrl { url: without_secrets(url), reason: reason.to_owned() }
}

/// The sentence of an error, and of what caused it.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The URL without what must not show in an error: user and password, and what its parameters say.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) => match rest.strip_prefix("//") {
            Some(rest) => (format!("{scheme}://"), rest),
            None => (format!("{scheme}:"), rest),
        },
        None => (String::new(), url),
    };
    // A password may hold a `/`, so everything up to the last `@` counts as one, at the cost of hiding a path with `@`. It may
    // hold a `?` too, and what a parameter says may hold an `@`: then nothing tells which of them ends where.
    let (hidden, shown) = match rest.rsplit_once('@') {
        Some((before, _)) if before.contains('?') => ("***", ""),
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    match shown.split_once('?') {
        Some((place, _)) => format!("{scheme}{hidden}{place}?***"),
        None => format!("{scheme}{hidden}{shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls_name_places_or_say_why_not() {
        assert_eq!(Place::parse("memory:").await.unwrap().prefix(), "");
        for (bad, reason) in [
            ("memory:x", "nothing may follow"),
            ("ftp://x", "`ftp:` is none of memory, file, s3, gs, az, redis and redis-cluster"),
            ("ftp:x", "`ftp:` is none of memory,"),
            ("my_store://bucket/prefix", "`my_store:` is none of memory,"),
            ("My Store://bucket", "`my store:` is none of memory,"),
            ("://bucket", "`:` is none of memory,"),
            ("MEMORY:x", "nothing may follow"),
            ("FILE:", "the path is empty"),
            ("file:", "the path is empty"),
            ("file://", "the path is empty"),
        ] {
            for parsed in [Place::parse(bad).await, Place::parse_existing(bad).await] {
                let error = parsed.unwrap_err().to_string();
                assert!(error.contains(reason), "{bad}: {error}");
            }
        }
    }

    #[test]
    fn a_scheme_is_told_from_a_path() {
        for (url, expected) in [
            ("s3://bucket", Some(("s3", "//bucket"))),
            ("My_Store://bucket", Some(("My_Store", "//bucket"))),
            ("file:a/b://c", Some(("file", "a/b://c"))),
            ("C:/data", None),
            ("C://data", None),
            ("./a://b", None),
            ("a/b://c", None),
            ("a\\b://c", None),
            ("my_data:x", None),
            (":x", None),
            ("data", None),
        ] {
            assert_eq!(split_scheme(url), expected, "{url}");
        }
    }

    #[cfg(feature = "s3")]
    #[tokio::test]
    async fn schemes_are_the_same_in_upper_case() {
        assert_eq!(Place::parse("Memory:").await.unwrap().prefix(), "");
        let (upper, lower) = (Place::parse("S3://bucket/Prefix").await, Place::parse("s3://bucket/Prefix").await);
        let (upper, lower) = (upper.unwrap(), lower.unwrap());
        assert_eq!((upper.prefix(), upper.describe()), ("Prefix", lower.describe()));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_folder_that_must_exist_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        for form in ["", "file:", "file://"] {
            let url = format!("{form}{}/missing", folder.path().display());
            let error = Place::parse_existing(&url).await.unwrap_err();
            assert!(matches!(&error, Error::Log(LogError::NoDatabase { .. })), "{error}");
            assert!(!folder.path().join("missing").exists());
        }
        std::fs::write(folder.path().join("text"), "no folder").unwrap();
        let error = Place::parse(&format!("file:{}/text", folder.path().display())).await.unwrap_err().to_string();
        assert!(error.contains("cannot use the store") && error.contains("it is a file"), "{error}");
    }

    #[test]
    fn secrets_do_not_show() {
        for (url, shown) in [
            ("redis://u:p@host:1/0", "redis://***@host:1/0"),
            ("redis://u:p/s@s@host", "redis://***@host"),
            ("redis:u:p@host", "redis:***@host"),
            ("u:p@host", "u:***@host"),
            ("redis://host/0?password=p", "redis://host/0?***"),
            ("redis://u:p@host/0?password=p", "redis://***@host/0?***"),
            ("s3://bucket/a?endpoint=http://u:p@host", "s3://***"),
            ("redis://u:p@p?p@host", "redis://***"),
            ("s3://bucket/a", "s3://bucket/a"),
            ("text", "text"),
        ] {
            assert_eq!(without_secrets(url), shown, "{url}");
        }
    }

    #[tokio::test]
    async fn no_error_shows_a_password() {
        for url in ["redis:u:hunter2@host", "ftp:u:hunter2@host", "s3://bucket?secret_access_key=hunter2"] {
            let error = Place::parse(url).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error}");
            let both = crate::Database::builder().driver(MemoryDriver::new()).url(url);
            let error = both.open().await.unwrap_err();
            assert!(matches!(error, Error::InvalidUrl { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error}");
        }
    }
}
