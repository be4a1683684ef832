use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use bucketdb_driver::{Capabilities, Condition, DriverError, ETag, ErrorKind, Key, Operation, Result, Support};
use bytes::Bytes;
use http::Method;
use object_store::list::PaginatedListStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{GetOptions, ObjectStore, PutMode, PutOptions, RetryConfig, UpdateVersion};

use crate::connector::{Exchange, Observation, observe};
use crate::error::{Call, Conditional, Place, Protocol};

/// Signed URLs of S3 and Google Cloud Storage live for a week at most.
const MAX_SIGNED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The key that is asked for when only the answer's `Date` matters. It need not exist.
const CLOCK_KEY: &str = "bucketdb-server-time";

/// What every client of the library offers.
pub(crate) trait Client: ObjectStore + PaginatedListStore + Signer {}

impl<T: ObjectStore + PaginatedListStore + Signer> Client for T {}

/// The retries for what may be repeated: about ten seconds in all, then the caller decides.
pub(crate) fn patient() -> RetryConfig {
    RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(10), ..RetryConfig::default() }
}

/// No retry at all: for puts with a condition.
pub(crate) fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() }
}

/// The clients of one store. They share a connection pool and the credentials.
pub(crate) struct Clients {
    /// Sends every request exactly once.
    pub(crate) once: Arc<dyn Client>,
    /// Repeats what may be repeated. Deletes one object per request where the protocol can.
    pub(crate) patient: Arc<dyn Client>,
    /// As `patient`, deleting many objects per request; `None` where the protocol cannot.
    pub(crate) bulk: Option<Bulk>,
}

/// Deletes of many objects in one request.
pub(crate) struct Bulk {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) max_keys: usize,
}

/// How a store lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// In byte order; can start after a key.
    Ordered,
    /// In byte order, from the beginning only.
    FromStart,
    /// In no order, for prefixes that end in `/` only: S3 Express One Zone.
    Unordered,
}

/// What the three drivers have in common: the contract on top of the library's clients.
pub(crate) struct Store {
    pub(crate) place: Place,
    pub(crate) clients: Clients,
    pub(crate) create_only: Support,
    pub(crate) if_match: Support,
    pub(crate) quotes_etags: bool,
    pub(crate) listing: Listing,
    /// Set once the store has refused a bulk delete as such.
    pub(crate) bulk_refused: AtomicBool,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { endpoint, bucket, .. } = &self.place;
        formatter.debug_struct("Store").field("endpoint", endpoint).field("bucket", bucket).finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        let conditional = self.admit(key, &condition)?;
        let client = match conditional {
            Conditional::No => &self.clients.patient,
            Conditional::IfAbsent | Conditional::IfMatch => &self.clients.once,
        };
        let mode = match condition {
            Condition::Always => PutMode::Overwrite,
            Condition::IfAbsent => PutMode::Create,
            Condition::IfMatch(etag) => PutMode::Update(self.version(key, etag)?),
        };
        let (result, seen) =
            observe(async { client.put_opts(&self.path(key)?, body.into(), PutOptions::from(mode)).await }).await;
        let written = result.map_err(|error| self.failed(Operation::Put, key, conditional, &error, seen))?;
        self.etag(written.e_tag, written.version).ok_or_else(|| {
            // The object is there. To say that nothing was written would be the one wrong answer.
            let detail = self.place.at("the store wrote the object but did not tell its ETag");
            DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), detail)
        })
    }

    /// The key exactly as it is: the library's other ways to make a path escape some characters.
    pub(crate) fn path(&self, key: &Key) -> object_store::Result<Path> {
        if self.place.protocol == Protocol::Azure && key.as_str().contains('\\') {
            // Azure's servers take it for a slash: `a\b` and `a/b` would be one object.
            let path = key.as_str().into();
            return Err(object_store::path::Error::InvalidPath { path }.into());
        }
        Ok(Path::parse(key.as_str())?)
    }

    /// Refuses a condition that the store is known to ignore or to refuse.
    pub(crate) fn admit(&self, key: &Key, condition: &Condition) -> Result<Conditional> {
        let (conditional, support) = match condition {
            Condition::Always => (Conditional::No, Support::Claimed),
            Condition::IfAbsent => (Conditional::IfAbsent, self.create_only),
            Condition::IfMatch(_) => (Conditional::IfMatch, self.if_match),
        };
        if support == Support::Absent {
            let detail = self.place.at("this service is known not to honour conditions on a put");
            return Err(DriverError::new(ErrorKind::Unsupported, Operation::Put, key.as_str(), detail));
        }
        Ok(conditional)
    }

    /// What the driver calls the ETag: on Google Cloud Storage the generation, which is what conditions compare there.
    pub(crate) fn etag(&self, etag: Option<String>, version: Option<String>) -> Option<ETag> {
        match self.place.protocol {
            Protocol::Gcs => version.map(ETag),
            Protocol::Azure => etag.map(ETag),
            Protocol::S3 => etag.map(|etag| ETag(unquoted(&etag).to_owned())),
        }
    }

    fn version(&self, key: &Key, ETag(etag): ETag) -> Result<UpdateVersion> {
        match self.place.protocol {
            Protocol::Gcs => {
                // Generation 0 means "no object", and anything but a number cannot be a generation at all: no object
                // has such an ETag.
                if etag.parse::<u64>().unwrap_or(0) == 0 {
                    return Err(DriverError::precondition_failed(key));
                }
                Ok(UpdateVersion { e_tag: None, version: Some(etag) })
            }
            Protocol::S3 if self.quotes_etags => {
                Ok(UpdateVersion { e_tag: Some(format!("\"{}\"", unquoted(&etag))), version: None })
            }
            Protocol::S3 | Protocol::Azure => Ok(UpdateVersion { e_tag: Some(etag), version: None }),
        }
    }

    pub(crate) async fn presign_get(&self, key: &Key, expires_in: Duration) -> Result<String> {
        let call = Call { operation: Operation::Presign, subject: key.as_str(), conditional: Conditional::No };
        if self.place.protocol != Protocol::Azure && expires_in > MAX_SIGNED {
            return Err(call.error(ErrorKind::Permanent, "a signed URL lives for 7 days at most"));
        }
        // The library writes the key into a URL of Google's as it stands, and signs the escaped form for Azure, which
        // checks the plain one.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        if self.place.protocol != Protocol::S3 && !key.as_str().bytes().all(is_plain) {
            return Err(call.error(ErrorKind::Unsupported, "the key has a character that cannot be signed for here"));
        }
        let (result, seen) =
            observe(async { self.clients.patient.signed_url(Method::GET, &self.path(key)?, expires_in).await }).await;
        result.map(String::from).map_err(|error| self.place.error(call, &error, seen))
    }

    pub(crate) async fn server_time(&self) -> Result<Option<SystemTime>> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let (result, seen) = observe(self.clients.patient.get_opts(&Path::from(CLOCK_KEY), options)).await;
        match (&seen.last, result) {
            // Any answer will do, "not found" and "access denied" too: each has the time on it.
            (Some(Exchange::Answered(_)), _) | (_, Ok(_)) => Ok(seen.date),
            (_, Err(error)) => {
                let call =
                    Call { operation: Operation::ServerTime, subject: "the store", conditional: Conditional::No };
                Err(self.place.error(call, &error, seen))
            }
        }
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new();
        capabilities.create_only = self.create_only;
        capabilities.if_match = self.if_match;
        capabilities.ranged_get = true;
        capabilities.presigned_get = true;
        capabilities.server_time = true;
        capabilities
    }

    pub(crate) fn fingerprint(&self) -> String {
        let Place { protocol, endpoint, bucket } = &self.place;
        let kind = match protocol {
            Protocol::S3 => "s3",
            Protocol::Gcs => "gs",
            Protocol::Azure => "az",
        };
        format!("{kind}:{endpoint}/{bucket}")
    }

    pub(crate) fn failed(
        &self,
        operation: Operation,
        key: &Key,
        conditional: Conditional,
        error: &object_store::Error,
        seen: Observation,
    ) -> DriverError {
        self.place.error(Call { operation, subject: key.as_str(), conditional }, error, seen)
    }
}

fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}

/// Forwards the contract to the [`Store`] inside a driver.
macro_rules! drive {
    ($driver:ty) => {
        #[async_trait::async_trait]
        impl bucketdb_driver::Driver for $driver {
            async fn get(&self, key: &Key) -> Result<Object> {
                self.store.get(key).await
            }

            async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
                self.store.put(key, body, condition).await
            }

            async fn delete(&self, key: &Key) -> Result<()> {
                self.store.delete(key).await
            }

            async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
                self.store.list(prefix, continuation).await
            }

            async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
                self.store.list_after(prefix, after).await
            }

            async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
                self.store.get_range(key, range).await
            }

            async fn put_stream(
                &self,
                key: &Key,
                pieces: BoxStream<'_, Result<Bytes>>,
                condition: Condition,
            ) -> Result<ETag> {
                self.store.put_stream(key, pieces, condition).await
            }

            async fn delete_many(&self, keys: &[Key]) -> Result<()> {
                self.store.delete_many(keys).await
            }

            async fn presign_get(&self, key: &Key, expires_in: Duration) -> Result<String> {
                self.store.presign_get(key, expires_in).await
            }

            async fn server_time(&self) -> Result<Option<SystemTime>> {
                self.store.server_time().await
            }

            fn capabilities(&self) -> Capabilities {
                self.store.capabilities()
            }

            fn fingerprint(&self) -> String {
                self.store.fingerprint()
            }
        }
    };
}

pub(crate) use drive;
