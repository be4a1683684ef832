use std::fmt;

use object_store::ClientConfigKey;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::CREDENTIALS;
use crate::config::{CONNECT_TIMEOUT, REQUEST_TIMEOUT, StoreUrl, endpoint, endpoint_text, environment, variable};
use crate::{AzureDriver, ConfigError};

const URL_FORM: &str = "az://CONTAINER/PREFIX?account=…&endpoint=…";

/// Account and key of the emulator. They are the same everywhere and publicly documented.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Where the emulator listens unless told otherwise.
const EMULATOR_URL: &str = "http://127.0.0.1:10000";

/// The settings of an [`AzureDriver`]. Container and account have no default; without a key the library looks for a
/// service principal, a workload identity or a managed identity.
#[derive(Clone, Default)]
#[must_use]
pub struct AzureBuilder {
    container: Option<String>,
    account: Option<String>,
    access_key: Option<String>,
    sas_token: Option<String>,
    endpoint: Option<String>,
    environment: Vec<(String, String)>,
}

impl AzureBuilder {
    /// The container.
    pub fn container(mut self, container: impl Into<String>) -> Self {
        self.container = Some(container.into());
        self
    }

    /// The storage account.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// One of the account's two access keys.
    pub fn access_key(mut self, access_key: impl Into<String>) -> Self {
        self.access_key = Some(access_key.into());
        self
    }

    /// A shared access signature for the container, with read, add, create, write, delete and list.
    pub fn sas_token(mut self, sas_token: impl Into<String>) -> Self {
        self.sas_token = Some(sas_token.into());
        self
    }

    /// The address of the account. Default: `https://ACCOUNT.blob.core.windows.net`.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The emulator (Azurite) at `address`, such as `http://127.0.0.1:10000`, with its well-known account and key.
    pub fn emulator(self, address: impl AsRef<str>) -> Self {
        let address = address.as_ref().trim_end_matches('/');
        self.account(EMULATOR_ACCOUNT).access_key(EMULATOR_KEY).endpoint(format!("{address}/{EMULATOR_ACCOUNT}"))
    }

    /// Takes from the environment what is not set otherwise: `AZURE_STORAGE_ACCOUNT_NAME`,
    /// `AZURE_STORAGE_ACCOUNT_KEY` or `AZURE_STORAGE_SAS_TOKEN` and the other `AZURE_*` variables that the
    /// `object_store` library knows, and `BUCKETDB_AZURE_CONTAINER`. With `AZURE_STORAGE_USE_EMULATOR=true` the
    /// emulator is used, at `AZURITE_BLOB_STORAGE_URL` or where it listens by default.
    pub fn from_env(self) -> Self {
        self.with_variables(environment())
    }

    pub(crate) fn with_variables(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment = variables;
        self
    }

    /// What a URL says, and the prefix in it.
    pub(crate) fn from_url(url: &str) -> Result<(Self, String), ConfigError> {
        let url = StoreUrl::parse(url, URL_FORM, &["az"], &["account", "endpoint"], CREDENTIALS)?;
        let builder = Self {
            account: url.parameter("account").map(str::to_owned),
            endpoint: url.parameter("endpoint").map(str::to_owned),
            container: Some(url.bucket),
            ..Self::default()
        };
        Ok((builder, url.prefix))
    }

    /// Makes the driver. Sends nothing: whether the container is there shows at the first request.
    ///
    /// # Errors
    /// [`ConfigError`] says what is missing or wrong.
    pub fn build(mut self) -> Result<AzureDriver, ConfigError> {
        use {AzureConfigKey as K, ClientConfigKey as C};
        let variables = std::mem::take(&mut self.environment);
        let wants_emulator = variable(&variables, "AZURE_STORAGE_USE_EMULATOR").is_some_and(|value| value == "true");
        if wants_emulator && self.account.is_none() && self.endpoint.is_none() {
            let address = variable(&variables, "AZURITE_BLOB_STORAGE_URL").unwrap_or(EMULATOR_URL).to_owned();
            self = self.emulator(address);
        }
        let mut builder = MicrosoftAzureBuilder::new()
            .with_config(K::Client(C::ConnectTimeout), format!("{}ms", CONNECT_TIMEOUT.as_millis()))
            .with_config(K::Client(C::Timeout), format!("{}ms", REQUEST_TIMEOUT.as_millis()));
        let has_credentials = self.access_key.is_some() || self.sas_token.is_some();
        for (name, value) in &variables {
            if !name.starts_with("AZURE_") || value.is_empty() {
                continue;
            }
            match name.to_ascii_lowercase().parse() {
                // The emulator is an endpoint here. Explicit credentials stand alone.
                Ok(K::UseEmulator) => {}
                Ok(K::AccessKey | K::SasKey | K::Token) if has_credentials => {}
                Ok(key) => builder = builder.with_config(key, value),
                Err(_) => {}
            }
        }
        let container = self.container.as_deref().or_else(|| variable(&variables, "BUCKETDB_AZURE_CONTAINER"));
        if let Some(container) = container {
            builder = builder.with_container_name(container);
        }
        if let Some(account) = self.account {
            builder = builder.with_account(account);
        }
        if let Some(given) = &self.endpoint {
            builder = builder.with_endpoint(endpoint_text(&endpoint(given, CREDENTIALS)?));
        }
        if let Some(key) = self.access_key {
            builder = builder.with_access_key(key);
        }
        if let Some(token) = self.sas_token {
            builder = builder.with_config(K::SasKey, token);
        }
        AzureDriver::from_builder(builder)
    }
}

impl fmt::Debug for AzureBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AzureBuilder")
            .field("container", &self.container)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bucketdb_driver::Driver;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn explicit_settings_win_over_the_environment() {
        let environment = variables(&[
            ("AZURE_STORAGE_ACCOUNT_NAME", "fromenv"),
            ("AZURE_STORAGE_ACCOUNT_KEY", EMULATOR_KEY),
            ("BUCKETDB_AZURE_CONTAINER", "c"),
        ]);
        let from_env = AzureBuilder::default().with_variables(environment.clone()).build().unwrap();
        assert_eq!(from_env.fingerprint(), "az:https://fromenv.blob.core.windows.net/c");
        let (from_url, prefix) = AzureBuilder::from_url("az://mine/p?account=other").unwrap();
        let from_url = from_url.with_variables(environment).build().unwrap();
        assert_eq!(from_url.fingerprint(), "az:https://other.blob.core.windows.net/mine");
        assert_eq!(prefix, "p");
    }

    #[test]
    fn the_emulator_comes_from_the_environment_too() {
        let environment =
            variables(&[("AZURE_STORAGE_USE_EMULATOR", "true"), ("AZURITE_BLOB_STORAGE_URL", "http://127.0.0.1:1234")]);
        let driver = AzureBuilder::default().container("c").with_variables(environment).build().unwrap();
        assert_eq!(driver.fingerprint(), "az:http://127.0.0.1:1234/devstoreaccount1/c");
    }

    #[test]
    fn nothing_prints_a_secret() {
        let builder = AzureBuilder::default().container("c").account("a").access_key(EMULATOR_KEY);
        assert!(!format!("{builder:?} {:?}", builder.clone().build().unwrap()).contains("Eby8"));
        let wrong = AzureBuilder::default().container("c").account("a").access_key("hunter2!").build().unwrap_err();
        assert!(!format!("{wrong:?} {wrong}").contains("hunter2"));
    }
}
