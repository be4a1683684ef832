use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use bucketdb_driver::{Capabilities, Condition, DriverError, ETag, ErrorKind, Key, Object, Operation, Page, Result};
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::{PutOptions, PutPayload};

use crate::ConfigError;
use crate::config::{endpoint, endpoint_text};
use crate::connector::{Exchange, ObservingConnector, observe};
use crate::error::{Call, Conditional, Place, Protocol, status};
use crate::service::Service;
use crate::store::{Bulk, Clients, Listing, Store, drive, once, patient};

mod builder;

pub use builder::S3Builder;

pub(crate) const CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";

/// How many objects one request of S3 deletes at most.
const BULK_KEYS: usize = 1000;

/// What the names of S3 Express One Zone's buckets end in.
const EXPRESS_SUFFIX: &str = "--x-s3";

/// A bucket of Amazon S3 or of a store that speaks its protocol: Cloudflare R2, Tigris, MinIO, Ceph and others.
///
/// Clones share connections and credentials.
///
/// ```
/// use bucketdb_driver::Driver;
/// use bucketdb_object_store::S3Driver;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = S3Driver::builder()
///     .endpoint("http://127.0.0.1:9000")
///     .bucket("my-bucket")
///     .access_key_id("id")
///     .secret_access_key("secret")
///     .build()?;
/// assert_eq!(driver.fingerprint(), "s3:http://127.0.0.1:9000/my-bucket");
/// # Ok(())
/// # }
/// ```
///
/// # Providers
/// `docs/stores.md` has settings to copy for each, and says which were tried.
///
/// | provider | endpoint | region |
/// |---|---|---|
/// | Amazon S3, Express One Zone | none | the bucket's |
/// | Cloudflare R2 | `https://ACCOUNT.r2.cloudflarestorage.com` | none (`auto`) |
/// | Tigris | `https://t3.storage.dev`, virtual-host style | none (`auto`) |
/// | Backblaze B2 | `https://s3.REGION.backblazeb2.com` | none; has no conditional puts |
/// | MinIO, Ceph, LocalStack | the server's address | none (`us-east-1`) |
///
/// # Conditions
/// Create-only is `If-None-Match: *`, the other one `If-Match`. Both are sent once and never repeated by the driver. A
/// 409 answer is a transient error, because S3 gives it while another operation is in flight, whichever way that ends.
///
/// Buckets of S3 Express One Zone list in no order, so a listing there reads all pages before it returns one.
#[derive(Clone)]
pub struct S3Driver {
    pub(crate) store: Arc<Store>,
    /// Sent when a bucket is made: where it shall be. Only Amazon asks.
    location: Option<String>,
}

impl S3Driver {
    /// Starts with nothing set.
    pub fn builder() -> S3Builder {
        S3Builder::default()
    }

    /// From the environment alone: the `AWS_*` variables and `BUCKETDB_S3_BUCKET`.
    ///
    /// # Errors
    /// [`ConfigError`] says what is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().from_env().build()
    }

    /// From `s3://BUCKET/PREFIX?region=…&endpoint=…&style=path|virtual` and, for what the URL does not say, from the
    /// environment. Also gives the prefix, without a slash at its end.
    ///
    /// # Errors
    /// [`ConfigError`] if the URL has another form, an unknown parameter, or a secret: credentials come from the
    /// environment only.
    pub fn from_url(url: &str) -> Result<(Self, String), ConfigError> {
        let (builder, prefix) = S3Builder::from_url(url)?;
        Ok((builder.from_env().build()?, prefix))
    }

    /// From the library's own builder, for what [`S3Builder`] has no setting for: another source of credentials, a
    /// proxy, own certificates, encryption with own keys.
    ///
    /// It takes the builder and not a finished client, because the driver must set the retries itself: a finished
    /// client would repeat conditional puts, and a repetition whose first attempt had landed reports a conflict that
    /// never was. Retries, conditional puts, bulk deletes and the HTTP connector of `builder` are replaced; the bucket
    /// must be given by name, not by the builder's URL.
    ///
    /// # Errors
    /// [`ConfigError`] if the bucket is missing or the library refuses the settings.
    pub fn from_builder(builder: AmazonS3Builder) -> Result<Self, ConfigError> {
        let text = |key: AmazonS3ConfigKey| builder.get_config_value(&key).filter(|value| !value.is_empty());
        let is_set = |key| text(key).is_some_and(|value| value == "true");
        let bucket = text(AmazonS3ConfigKey::Bucket)
            .ok_or(ConfigError::Missing { what: "bucket", variable: "BUCKETDB_S3_BUCKET" })?;
        let is_express = bucket.ends_with(EXPRESS_SUFFIX) || is_set(AmazonS3ConfigKey::S3Express);
        let given = text(AmazonS3ConfigKey::S3Endpoint).or_else(|| text(AmazonS3ConfigKey::Endpoint));
        let given = given.map(|given| endpoint(&given, CREDENTIALS)).transpose()?;
        let mut service = Service::at(given.as_ref().and_then(url::Url::host_str));
        if is_express {
            service = Service::express();
        }
        let region = text(AmazonS3ConfigKey::Region).unwrap_or_else(|| service.default_region.clone());
        let allow_http = given.as_ref().is_some_and(|given| given.scheme() == "http");
        let has_bulk = !is_set(AmazonS3ConfigKey::DisableBulkDelete);
        let is_virtual = is_set(AmazonS3ConfigKey::VirtualHostedStyleRequest);
        let place = Place {
            protocol: Protocol::S3,
            endpoint: match &given {
                // The bucket's name is in the fingerprint already: both styles lead to the same objects.
                Some(given) if is_virtual => endpoint_text(given).replacen(&format!("://{bucket}."), "://", 1),
                Some(given) => endpoint_text(given),
                None => format!("https://s3.{region}.amazonaws.com"),
            },
            bucket,
        };
        let is_amazon = given.is_none() || place.endpoint.ends_with(".amazonaws.com");
        let location = Some(region.clone()).filter(|region| is_amazon && region != "us-east-1");

        let mut builder =
            builder.with_region(region).with_conditional_put(S3ConditionalPut::ETagMatch).with_s3_express(is_express);
        if allow_http {
            builder = builder.with_allow_http(true);
        }
        // Credentials first, over connections of their own: what their source answers says nothing of the bucket.
        let own = builder.clone().with_retry(patient()).build().map_err(ConfigError::Client)?;
        let builder =
            builder.with_credentials(own.credentials().clone()).with_http_connector(ObservingConnector::default());
        let client = |retries, is_bulk: bool| {
            let builder = builder.clone().with_retry(retries).with_disable_bulk_delete(!is_bulk);
            builder.build().map(Arc::new).map_err(ConfigError::Client)
        };
        let bulk = if has_bulk { Some(Bulk { client: client(patient(), true)?, max_keys: BULK_KEYS }) } else { None };
        let clients = Clients { once: client(once(), false)?, patient: client(patient(), false)?, bulk };
        let store = Store {
            place,
            clients,
            create_only: service.create_only,
            if_match: service.if_match,
            quotes_etags: service.quotes_etags,
            listing: if is_express { Listing::Unordered } else { Listing::Ordered },
            bulk_refused: AtomicBool::new(false),
        };
        Ok(Self { store: Arc::new(store), location })
    }

    /// Makes the bucket. Succeeds if it exists already and is the caller's to use.
    ///
    /// # Errors
    /// As a put: [`ErrorKind::Denied`] without the permission, [`ErrorKind::Permanent`] if the name is taken or not
    /// allowed.
    pub async fn create_bucket(&self) -> Result<(), DriverError> {
        let store = &self.store;
        let body = self.location.as_ref().map_or_else(PutPayload::default, |region| {
            let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
            let constraint = format!("<LocationConstraint>{region}</LocationConstraint>");
            format!("<CreateBucketConfiguration xmlns=\"{namespace}\">{constraint}</CreateBucketConfiguration>").into()
        });
        // A put of the object without a name is the request that makes a bucket. The library then misses the ETag of
        // the object, which is why only the answer on the wire counts.
        let (result, seen) = observe(store.clients.patient.put_opts(&Path::ROOT, body, PutOptions::default())).await;
        if status(&seen).is_some_and(|status| status.is_success()) {
            return Ok(());
        }
        let call = Call { operation: Operation::Put, subject: &store.place.bucket, conditional: Conditional::No };
        if let Some(Exchange::Answered(answer)) = &seen.last {
            match answer.code.as_deref() {
                Some("BucketAlreadyOwnedByYou") => return Ok(()),
                // Some stores do not say whose it is.
                Some("BucketAlreadyExists") if store.list("", None).await.is_ok() => return Ok(()),
                Some("BucketAlreadyExists") => {
                    let detail = store.place.at("the bucket's name is taken by someone else");
                    return Err(call.error(ErrorKind::Permanent, detail).with_source(answer.clone()));
                }
                _ => {}
            }
        }
        result.map(drop).map_err(|error| store.place.error(call, &error, seen))
    }
}

impl fmt::Debug for S3Driver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { endpoint, bucket, .. } = &self.store.place;
        formatter.debug_struct("S3Driver").field("endpoint", endpoint).field("bucket", bucket).finish_non_exhaustive()
    }
}

drive!(S3Driver);
