use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use bucketdb_driver::{Capabilities, Condition, ETag, Key, Object, Page, Result, Support};
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::ClientConfigKey;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

use crate::ConfigError;
use crate::config::{CONNECT_TIMEOUT, REQUEST_TIMEOUT, StoreUrl, endpoint, endpoint_text, environment, variable};
use crate::connector::ObservingConnector;
use crate::error::{Place, Protocol};
use crate::store::{Clients, Listing, Store, drive, once, patient};

const URL_FORM: &str = "gs://BUCKET/PREFIX?endpoint=…";
const CREDENTIALS: &str = "set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT_KEY in the environment";
const DEFAULT_ENDPOINT: &str = "https://storage.googleapis.com";

/// A bucket of Google Cloud Storage, through its own protocol.
///
/// Its S3 endpoint must not be used: it ignores conditions without a word, so
/// [`S3Driver`](crate::S3Driver) refuses them there.
///
/// Conditions compare the object's generation (`x-goog-if-generation-match`), which is therefore what this driver calls
/// the ETag. One key takes about one write a second; above that the store answers 429, a transient error.
///
/// Requests and errors are tested against a stand-in; the driver has not been run against the service itself.
///
/// ```
/// use bucketdb_driver::Driver;
/// use bucketdb_object_store::GcsDriver;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = GcsDriver::builder().bucket("my-bucket").bearer_token("token").build()?;
/// assert_eq!(driver.fingerprint(), "gs:https://storage.googleapis.com/my-bucket");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GcsDriver {
    pub(crate) store: Arc<Store>,
}

impl GcsDriver {
    /// Starts with nothing set.
    pub fn builder() -> GcsBuilder {
        GcsBuilder::default()
    }

    /// From the environment alone: the `GOOGLE_*` variables and `BUCKETDB_GCS_BUCKET`.
    ///
    /// # Errors
    /// [`ConfigError`] says what is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().from_env().build()
    }

    /// From `gs://BUCKET/PREFIX?endpoint=…` and, for what the URL does not say, from the environment. Also gives the
    /// prefix, without a slash at its end.
    ///
    /// # Errors
    /// [`ConfigError`] if the URL has another form, an unknown parameter, or a secret.
    pub fn from_url(url: &str) -> Result<(Self, String), ConfigError> {
        let url = StoreUrl::parse(url, URL_FORM, &["gs"], &["endpoint"], CREDENTIALS)?;
        let mut builder = Self::builder().bucket(&url.bucket).from_env();
        if let Some(endpoint) = url.parameter("endpoint") {
            builder = builder.endpoint(endpoint);
        }
        Ok((builder.build()?, url.prefix))
    }

    /// From the library's own builder, for what [`GcsBuilder`] has no setting for. Retries and the HTTP connector of
    /// `builder` are replaced, for the reason that [`S3Driver::from_builder`](crate::S3Driver::from_builder) gives; the
    /// bucket must be given by name.
    ///
    /// # Errors
    /// [`ConfigError`] if the bucket is missing or the library refuses the settings.
    pub fn from_builder(builder: GoogleCloudStorageBuilder) -> Result<Self, ConfigError> {
        let bucket = builder
            .get_config_value(&GoogleConfigKey::Bucket)
            .ok_or(ConfigError::Missing { what: "bucket", variable: "BUCKETDB_GCS_BUCKET" })?;
        let given = builder.get_config_value(&GoogleConfigKey::BaseUrl);
        let given = given.map(|given| endpoint(&given, CREDENTIALS)).transpose()?;
        let place = Place {
            protocol: Protocol::Gcs,
            endpoint: given.as_ref().map_or_else(|| DEFAULT_ENDPOINT.to_owned(), endpoint_text),
            bucket,
        };
        let mut builder = builder;
        if given.is_some_and(|given| given.scheme() == "http") {
            builder = builder.with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), "true");
        }
        // Credentials first, over connections of their own: what their source answers says nothing of the bucket.
        let own = builder.clone().with_retry(patient()).build().map_err(ConfigError::Client)?;
        let builder = builder
            .with_credentials(own.credentials().clone())
            .with_signing_credentials(own.signing_credentials().clone())
            .with_http_connector(ObservingConnector::default());
        let client = |retries| builder.clone().with_retry(retries).build().map(Arc::new).map_err(ConfigError::Client);
        let clients = Clients { once: client(once())?, patient: client(patient())?, bulk: None };
        let store = Store {
            place,
            clients,
            create_only: Support::Claimed,
            if_match: Support::Claimed,
            quotes_etags: false,
            listing: Listing::Ordered,
            bulk_refused: AtomicBool::new(false),
        };
        Ok(Self { store: Arc::new(store) })
    }
}

impl fmt::Debug for GcsDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { endpoint, bucket, .. } = &self.store.place;
        formatter.debug_struct("GcsDriver").field("endpoint", endpoint).field("bucket", bucket).finish_non_exhaustive()
    }
}

drive!(GcsDriver);

/// The settings of a [`GcsDriver`]. Only the bucket has no default; without credentials the library looks for those of
/// the machine: the file of `gcloud auth application-default login`, then the instance's.
#[derive(Clone, Default)]
#[must_use]
pub struct GcsBuilder {
    bucket: Option<String>,
    endpoint: Option<String>,
    service_account_path: Option<String>,
    service_account_key: Option<String>,
    bearer_token: Option<String>,
    environment: Vec<(String, String)>,
}

impl GcsBuilder {
    /// The bucket.
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = Some(bucket.into());
        self
    }

    /// The address of the store, for an emulator. Default: `https://storage.googleapis.com`.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The file with a service account's key.
    pub fn service_account_path(mut self, path: impl Into<String>) -> Self {
        self.service_account_path = Some(path.into());
        self
    }

    /// A service account's key itself, as JSON.
    pub fn service_account_key(mut self, json: impl Into<String>) -> Self {
        self.service_account_key = Some(json.into());
        self
    }

    /// An access token, as `gcloud auth print-access-token` gives it. It is not renewed.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.bearer_token = Some(token.into());
        self
    }

    /// Takes from the environment what is not set otherwise: `GOOGLE_APPLICATION_CREDENTIALS`,
    /// `GOOGLE_SERVICE_ACCOUNT` (a file), `GOOGLE_SERVICE_ACCOUNT_KEY` (its JSON) and the other `GOOGLE_*` variables
    /// that the `object_store` library knows, and `BUCKETDB_GCS_BUCKET`.
    pub fn from_env(mut self) -> Self {
        self.environment = environment();
        self
    }

    /// Makes the driver. Sends nothing: whether the bucket is there shows at the first request.
    ///
    /// # Errors
    /// [`ConfigError`] says what is missing or wrong.
    pub fn build(self) -> Result<GcsDriver, ConfigError> {
        use {ClientConfigKey as C, GoogleConfigKey as K};
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_config(K::Client(C::ConnectTimeout), format!("{}ms", CONNECT_TIMEOUT.as_millis()))
            .with_config(K::Client(C::Timeout), format!("{}ms", REQUEST_TIMEOUT.as_millis()));
        let has_credentials =
            self.service_account_path.is_some() || self.service_account_key.is_some() || self.bearer_token.is_some();
        for (name, value) in &self.environment {
            if !name.starts_with("GOOGLE_") || value.is_empty() {
                continue;
            }
            match name.to_ascii_lowercase().parse() {
                // Explicit credentials stand alone: the library takes one kind only.
                Ok(K::ServiceAccount | K::ServiceAccountKey | K::ApplicationCredentials | K::BearerToken)
                    if has_credentials => {}
                Ok(key) => builder = builder.with_config(key, value),
                Err(_) => {}
            }
        }
        let bucket = self.bucket.as_deref().or_else(|| variable(&self.environment, "BUCKETDB_GCS_BUCKET"));
        if let Some(bucket) = bucket {
            builder = builder.with_bucket_name(bucket);
        }
        if let Some(given) = &self.endpoint {
            builder = builder.with_base_url(&endpoint_text(&endpoint(given, CREDENTIALS)?));
        }
        if let Some(path) = self.service_account_path {
            builder = builder.with_service_account_path(path);
        }
        if let Some(json) = self.service_account_key {
            builder = builder.with_service_account_key(json);
        }
        if let Some(token) = self.bearer_token {
            builder = builder.with_bearer_token(token);
        }
        GcsDriver::from_builder(builder)
    }
}

impl fmt::Debug for GcsBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GcsBuilder").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}
