use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::{ClientConfigKey, StaticCredentialProvider};

use super::{CREDENTIALS, EXPRESS_SUFFIX};
use crate::config::{CONNECT_TIMEOUT, REQUEST_TIMEOUT, StoreUrl, endpoint, endpoint_text, environment, variable};
use crate::{ConfigError, S3Driver};

const URL_FORM: &str = "s3://BUCKET/PREFIX?region=…&endpoint=…&style=path|virtual";

/// The settings of an [`S3Driver`]. Only the bucket has no default.
#[derive(Clone, Default)]
#[must_use]
pub struct S3Builder {
    endpoint: Option<String>,
    bucket: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    region: Option<String>,
    virtual_host_style: Option<bool>,
    connect_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    environment: Vec<(String, String)>,
}

impl S3Builder {
    /// The address of the store, `http://` or `https://`, without the bucket. Default: Amazon's for the region.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// The bucket.
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = Some(bucket.into());
        self
    }

    /// The public half of the credentials. Without credentials the library looks for those of the machine: web
    /// identity, container, instance.
    pub fn access_key_id(mut self, access_key_id: impl Into<String>) -> Self {
        self.access_key_id = Some(access_key_id.into());
        self
    }

    /// The secret half of the credentials.
    pub fn secret_access_key(mut self, secret_access_key: impl Into<String>) -> Self {
        self.secret_access_key = Some(secret_access_key.into());
        self
    }

    /// The session token that belongs to temporary credentials.
    pub fn session_token(mut self, session_token: impl Into<String>) -> Self {
        self.session_token = Some(session_token.into());
        self
    }

    /// The region to sign for. Default: `auto` on R2 and Tigris, the one in the endpoint on Backblaze, else
    /// `us-east-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Whether the bucket goes into the host name (`https://bucket.host/key`) or into the path
    /// (`https://host/bucket/key`). Default: into the path, and on Amazon itself into the host name unless the bucket
    /// has a dot, which no certificate covers.
    pub fn virtual_host_style(mut self, virtual_host_style: bool) -> Self {
        self.virtual_host_style = Some(virtual_host_style);
        self
    }

    /// How long a connection may take. Default: 3 s.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = Some(connect_timeout);
        self
    }

    /// How long one request may take, its body included. Default: 60 s.
    pub fn request_timeout(mut self, request_timeout: Duration) -> Self {
        self.request_timeout = Some(request_timeout);
        self
    }

    /// Takes from the environment what is not set otherwise, whether before or after: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL_S3`,
    /// `AWS_ENDPOINT_URL` and the other `AWS_*` variables that the `object_store` library knows, and
    /// `BUCKETDB_S3_BUCKET`. Files below `~/.aws` are not read.
    pub fn from_env(self) -> Self {
        self.with_variables(environment())
    }

    pub(crate) fn with_variables(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment = variables;
        self
    }

    /// What a URL says, and the prefix in it.
    pub(crate) fn from_url(url: &str) -> Result<(Self, String), ConfigError> {
        let known = ["region", "endpoint", "style"];
        let url = StoreUrl::parse(url, URL_FORM, &["s3"], &known, CREDENTIALS)?;
        let virtual_host_style = match url.parameter("style") {
            None => None,
            Some("path") => Some(false),
            Some("virtual") => Some(true),
            Some(_) => return Err(ConfigError::InvalidParameter { name: "style", allowed: "path or virtual" }),
        };
        let builder = Self {
            endpoint: url.parameter("endpoint").map(str::to_owned),
            region: url.parameter("region").map(str::to_owned),
            virtual_host_style,
            bucket: Some(url.bucket),
            ..Self::default()
        };
        Ok((builder, url.prefix))
    }

    /// Makes the driver. Sends nothing: whether the bucket is there shows at the first request.
    ///
    /// # Errors
    /// [`ConfigError`] says what is missing or wrong.
    pub fn build(self) -> Result<S3Driver, ConfigError> {
        S3Driver::from_builder(self.into_client_builder()?)
    }

    pub(crate) fn into_client_builder(self) -> Result<AmazonS3Builder, ConfigError> {
        use {AmazonS3ConfigKey as K, ClientConfigKey as C};
        let seconds = |timeout: Duration| format!("{}ms", timeout.as_millis());
        let mut builder = AmazonS3Builder::new()
            .with_config(K::Client(C::ConnectTimeout), seconds(CONNECT_TIMEOUT))
            .with_config(K::Client(C::Timeout), seconds(REQUEST_TIMEOUT));
        for (name, value) in &self.environment {
            if name.starts_with("AWS_")
                && !value.is_empty()
                && let Ok(key) = name.to_ascii_lowercase().parse()
            {
                builder = builder.with_config(key, value);
            }
        }
        let bucket = self.bucket.as_deref().or_else(|| variable(&self.environment, "BUCKETDB_S3_BUCKET"));
        if let Some(bucket) = bucket {
            builder = builder.with_bucket_name(bucket);
        }
        let bucket = builder
            .get_config_value(&K::Bucket)
            .ok_or(ConfigError::Missing { what: "bucket", variable: "BUCKETDB_S3_BUCKET" })?;
        let given = self
            .endpoint
            .or_else(|| builder.get_config_value(&K::S3Endpoint))
            .or_else(|| builder.get_config_value(&K::Endpoint));
        let is_express = bucket.ends_with(EXPRESS_SUFFIX);
        let is_virtual = self.virtual_host_style.unwrap_or_else(|| {
            let from_env = builder.get_config_value(&K::VirtualHostedStyleRequest);
            from_env.is_some_and(|value| value == "true") || given.is_none() && !is_express && !bucket.contains('.')
        });
        builder = builder.with_virtual_hosted_style_request(is_virtual);
        if let Some(given) = given {
            let mut text = endpoint_text(&endpoint(&given, CREDENTIALS)?);
            if is_virtual {
                text = text.replacen("://", &format!("://{bucket}."), 1);
            }
            // The library prefers this setting to the other one, whichever was set last.
            builder = builder.with_config(K::S3Endpoint, text);
        }
        if let Some(region) = self.region {
            builder = builder.with_region(region);
        }
        if let Some(timeout) = self.connect_timeout {
            builder = builder.with_config(K::Client(C::ConnectTimeout), seconds(timeout));
        }
        if let Some(timeout) = self.request_timeout {
            builder = builder.with_config(K::Client(C::Timeout), seconds(timeout));
        }
        match (self.access_key_id, self.secret_access_key) {
            (Some(key_id), Some(secret_key)) => {
                // As a whole, so that a session token of other credentials cannot come in from the environment.
                let credential = AwsCredential { key_id, secret_key, token: self.session_token };
                Ok(builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential))))
            }
            (None, None) => Ok(builder),
            _ => Err(ConfigError::HalfOfCredentials),
        }
    }
}

impl fmt::Debug for S3Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Builder")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("virtual_host_style", &self.virtual_host_style)
            .field("has_credentials", &self.secret_access_key.is_some())
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

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];

    fn value(builder: S3Builder, key: AmazonS3ConfigKey) -> Option<String> {
        builder.into_client_builder().unwrap().get_config_value(&key)
    }

    #[test]
    fn explicit_settings_win_over_the_environment() {
        let environment = variables(&[
            ("AWS_ENDPOINT_URL", "http://general:1"),
            ("AWS_ENDPOINT_URL_S3", "http://special:2"),
            ("AWS_DEFAULT_REGION", "default"),
            ("BUCKETDB_S3_BUCKET", "from-env"),
        ]);
        let from_env = S3Builder::default().with_variables(environment.clone());
        assert_eq!(from_env.clone().build().unwrap().fingerprint(), "s3:http://special:2/from-env");
        assert_eq!(value(from_env.clone(), AmazonS3ConfigKey::Region).as_deref(), Some("default"));
        let explicit = from_env.endpoint("http://mine:3").bucket("b").region("r");
        assert_eq!(explicit.clone().build().unwrap().fingerprint(), "s3:http://mine:3/b");
        assert_eq!(value(explicit, AmazonS3ConfigKey::Region).as_deref(), Some("r"));
        let (from_url, prefix) = S3Builder::from_url("s3://u/p/q?endpoint=http://url:4&region=x").unwrap();
        assert_eq!(from_url.with_variables(environment).build().unwrap().fingerprint(), "s3:http://url:4/u");
        assert_eq!(prefix, "p/q");
    }

    #[tokio::test]
    async fn a_session_token_of_other_credentials_is_left_out() {
        let mut environment = variables(&KEYS);
        environment.extend(variables(&[("AWS_SESSION_TOKEN", "other")]));
        let from_env = S3Builder::default().bucket("b").with_variables(environment);
        let token = async |builder: S3Builder| {
            let client = builder.into_client_builder().unwrap().build().unwrap();
            client.credentials().get_credential().await.unwrap().token.clone()
        };
        assert_eq!(token(from_env.clone()).await.as_deref(), Some("other"));
        assert_eq!(token(from_env.access_key_id("mine").secret_access_key("mine")).await, None);
    }

    #[test]
    fn both_styles_have_one_fingerprint() {
        let on = |is_virtual| {
            let builder = S3Builder::default().endpoint("https://t3.storage.dev").bucket("b");
            builder.virtual_host_style(is_virtual)
        };
        assert_eq!(on(true).build().unwrap().fingerprint(), on(false).build().unwrap().fingerprint());
        let endpoint = value(on(true), AmazonS3ConfigKey::S3Endpoint);
        assert_eq!(endpoint.as_deref(), Some("https://b.t3.storage.dev"));
    }

    #[test]
    fn amazon_needs_no_endpoint_and_takes_the_style_that_certificates_cover() {
        let style = |bucket: &str| {
            value(S3Builder::default().bucket(bucket), AmazonS3ConfigKey::VirtualHostedStyleRequest).unwrap()
        };
        assert_eq!((style("plain").as_str(), style("with.dot").as_str()), ("true", "false"));
        let driver = S3Builder::default().bucket("b").region("eu-west-1").build().unwrap();
        assert_eq!(driver.fingerprint(), "s3:https://s3.eu-west-1.amazonaws.com/b");
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        let missing = S3Builder::default().build().unwrap_err();
        let expected = "no bucket was given: name it in the URL, in the builder or in BUCKETDB_S3_BUCKET";
        assert_eq!(missing.to_string(), expected);
        let half = S3Builder::default().bucket("b").access_key_id("id").build().unwrap_err();
        assert!(matches!(half, ConfigError::HalfOfCredentials));
        let style = S3Builder::from_url("s3://b?style=hosted").unwrap_err();
        assert_eq!(style.to_string(), "the URL's parameter style must be path or virtual");
    }

    #[test]
    fn nothing_prints_a_secret() {
        let builder = S3Builder::default().bucket("b").access_key_id("id").secret_access_key("hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("hunter2"));
        let from_env = S3Builder::default().bucket("b").with_variables(variables(&KEYS));
        assert!(!format!("{from_env:?} {:?}", from_env.clone().build().unwrap()).contains("hunter2"));
    }
}
