use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use bucketdb_driver::{
    Capabilities, Condition, DriverError, ETag, ErrorKind, Key, Object, Operation, Page, Result, Support,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use http::{Method, header};
use object_store::azure::{AzureAuthorizer, AzureConfigKey, AzureCredentialProvider, MicrosoftAzureBuilder};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::{ClientConfigKey, Error as ClientError};

use crate::ConfigError;
use crate::config::{endpoint, endpoint_text};
use crate::connector::{Exchange, ObservingConnector, observe};
use crate::error::{Call, Conditional, Place, Protocol, status};
use crate::store::{Bulk, Clients, Listing, Store, drive, once, patient};

mod builder;

pub use builder::AzureBuilder;

pub(crate) const CREDENTIALS: &str = "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY in the environment";

/// How many blobs one batch of Azure deletes at most.
const BULK_KEYS: usize = 256;

/// A container of Azure Blob Storage, in an account without hierarchical namespace.
///
/// Conditions are `If-None-Match: *`, which Azure refuses with 409 `BlobAlreadyExists`, and `If-Match`. The driver is
/// tested against Azurite, Microsoft's emulator; it has not been run against the service itself.
///
/// A listing cannot start in the middle here, so [`list_after`](bucketdb_driver::Driver::list_after) reads from the
/// beginning.
///
/// ```
/// use bucketdb_driver::Driver;
/// use bucketdb_object_store::AzureDriver;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let driver = AzureDriver::builder().emulator("http://127.0.0.1:10000").container("my-container").build()?;
/// assert_eq!(driver.fingerprint(), "az:http://127.0.0.1:10000/devstoreaccount1/my-container");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AzureDriver {
    pub(crate) store: Arc<Store>,
    account: String,
    credentials: AzureCredentialProvider,
    connector: ObservingConnector,
}

impl AzureDriver {
    /// Starts with nothing set.
    pub fn builder() -> AzureBuilder {
        AzureBuilder::default()
    }

    /// From the environment alone: the `AZURE_*` variables and `BUCKETDB_AZURE_CONTAINER`.
    ///
    /// # Errors
    /// [`ConfigError`] says what is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().from_env().build()
    }

    /// From `az://CONTAINER/PREFIX?account=…&endpoint=…` and, for what the URL does not say, from the environment. Also
    /// gives the prefix, without a slash at its end.
    ///
    /// # Errors
    /// [`ConfigError`] if the URL has another form, an unknown parameter, or a secret.
    pub fn from_url(url: &str) -> Result<(Self, String), ConfigError> {
        let (builder, prefix) = AzureBuilder::from_url(url)?;
        Ok((builder.from_env().build()?, prefix))
    }

    /// From the library's own builder, for what [`AzureBuilder`] has no setting for. Retries and the HTTP connector of
    /// `builder` are replaced, for the reason that [`S3Driver::from_builder`](crate::S3Driver::from_builder) gives;
    /// container and account must be given by name, and an emulator as an endpoint.
    ///
    /// # Errors
    /// [`ConfigError`] if something is missing or the library refuses the settings.
    pub fn from_builder(builder: MicrosoftAzureBuilder) -> Result<Self, ConfigError> {
        let text = |key: AzureConfigKey, what, variable| {
            builder.get_config_value(&key).ok_or(ConfigError::Missing { what, variable })
        };
        let container = text(AzureConfigKey::ContainerName, "container", "BUCKETDB_AZURE_CONTAINER")?;
        let account = text(AzureConfigKey::AccountName, "account", "AZURE_STORAGE_ACCOUNT_NAME")?;
        let given = builder.get_config_value(&AzureConfigKey::Endpoint);
        let given = match given {
            Some(given) => endpoint(&given, CREDENTIALS)?,
            None => endpoint(&format!("https://{account}.blob.core.windows.net"), CREDENTIALS)?,
        };
        let place = Place { protocol: Protocol::Azure, endpoint: endpoint_text(&given), bucket: container };
        let mut builder = builder.with_use_emulator(false).with_endpoint(place.endpoint.clone());
        if given.scheme() == "http" {
            builder = builder.with_config(AzureConfigKey::Client(ClientConfigKey::AllowHttp), "true");
        }
        // Credentials first, over connections of their own: what their source answers says nothing of the container.
        let own = builder.clone().with_retry(patient()).build().map_err(ConfigError::Client)?;
        let credentials = own.credentials().clone();
        let connector = ObservingConnector::default();
        let builder = builder.with_credentials(credentials.clone()).with_http_connector(connector.clone());
        let client = |retries| builder.clone().with_retry(retries).build().map(Arc::new).map_err(ConfigError::Client);
        let patient = client(patient())?;
        // The library deletes in batches only, a single blob too.
        let bulk = Some(Bulk { client: patient.clone(), max_keys: BULK_KEYS });
        let clients = Clients { once: client(once())?, patient, bulk };
        let store = Store {
            place,
            clients,
            create_only: Support::Claimed,
            if_match: Support::Claimed,
            quotes_etags: false,
            listing: Listing::FromStart,
            bulk_refused: AtomicBool::new(false),
        };
        Ok(Self { store: Arc::new(store), account, credentials, connector })
    }

    /// Makes the container. Succeeds if it exists.
    ///
    /// # Errors
    /// As a put: [`ErrorKind::Denied`] without the permission, [`ErrorKind::Permanent`] if the name is not allowed.
    pub async fn create_container(&self) -> Result<(), DriverError> {
        let place = &self.store.place;
        let call = Call { operation: Operation::Put, subject: &place.bucket, conditional: Conditional::No };
        let (result, seen) = observe(self.send_create_container()).await;
        if status(&seen).is_some_and(|status| status.is_success()) {
            return Ok(());
        }
        match (&seen.last, result) {
            (Some(Exchange::Answered(answer)), _) if answer.code.as_deref() == Some("ContainerAlreadyExists") => Ok(()),
            (_, Err(error)) => Err(place.error(call, &error, seen)),
            // An answer that is no success is no error to the HTTP client. What the store said is in `seen`.
            (Some(_), Ok(())) => {
                let refused = ClientError::Generic { store: "Azure", source: "refused".into() };
                Err(place.error(call, &refused, seen))
            }
            (None, Ok(())) => Err(call.error(ErrorKind::Transient, place.at("nothing was sent"))),
        }
    }

    async fn send_create_container(&self) -> object_store::Result<()> {
        let generic = |source| ClientError::Generic { store: "Azure", source };
        let credential = self.credentials.get_credential().await?;
        let Place { endpoint, bucket, .. } = &self.store.place;
        let mut request: HttpRequest = http::Request::builder()
            .method(Method::PUT)
            .uri(format!("{endpoint}/{bucket}?restype=container"))
            .header(header::CONTENT_LENGTH, 0)
            .body(HttpRequestBody::empty())
            .map_err(|error| generic(error.into()))?;
        AzureAuthorizer::new(&credential, &self.account).try_authorize(&mut request)?;
        let client = self.connector.client().ok_or_else(|| generic("the client is not connected".into()))?;
        client.execute(request).await.map(drop).map_err(|error| generic(error.into()))
    }
}

impl fmt::Debug for AzureDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { endpoint, bucket, .. } = &self.store.place;
        formatter
            .debug_struct("AzureDriver")
            .field("endpoint", endpoint)
            .field("container", bucket)
            .finish_non_exhaustive()
    }
}

drive!(AzureDriver);
