use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

/// How long a connection may take. A store in reach answers in milliseconds; a commit should not wait longer to learn
/// that it is not.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one request may take, its body included: 64 MiB at 9 Mbit/s.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a driver could not be made from its settings. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Something that every store needs is missing.
    #[error("no {what} was given: name it in the URL, in the builder or in {variable}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The environment variable that can hold it.
        variable: &'static str,
    },
    /// The endpoint is not one.
    #[error("the endpoint {endpoint:?} must be an address such as https://s3.example.com, without query and fragment")]
    InvalidEndpoint {
        /// What was given.
        endpoint: String,
    },
    /// The URL of a database does not have the form that its scheme asks for.
    #[error("the URL must have the form {form}")]
    InvalidUrl {
        /// The form.
        form: &'static str,
    },
    /// A parameter of the URL has a value that is not one of those it can have.
    #[error("the URL's parameter {name} must be {allowed}")]
    InvalidParameter {
        /// The parameter.
        name: &'static str,
        /// What it can be.
        allowed: &'static str,
    },
    /// A parameter of the URL that means nothing here.
    #[error("unknown parameter {name:?} in the URL; known are: {known}")]
    UnknownParameter {
        /// The parameter.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A URL or an endpoint holds a user name, a password or a key.
    #[error("credentials do not belong in a URL, where logs and process lists show them: {instead}")]
    SecretInUrl {
        /// Where they belong.
        instead: &'static str,
    },
    /// Half of a pair of credentials.
    #[error("access key id and secret access key go together, but only one of them was given")]
    HalfOfCredentials,
    /// The client library refuses the settings.
    #[error("the store's client cannot be made from these settings")]
    Client(#[source] object_store::Error),
}

/// The environment variables of this process that are text.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The value of a variable, unless it is empty.
pub(crate) fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment.iter().find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

/// Checks an endpoint and takes the slash off its end.
pub(crate) fn endpoint(text: &str, instead: &'static str) -> Result<Url, ConfigError> {
    let invalid = || ConfigError::InvalidEndpoint { endpoint: text.to_owned() };
    if text.contains('@') {
        return Err(ConfigError::SecretInUrl { instead });
    }
    if text.contains('?') {
        // Azure's signatures are queries. What was given is not repeated.
        return Err(ConfigError::SecretInUrl { instead });
    }
    let url = Url::parse(text).map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || url.fragment().is_some() {
        return Err(invalid());
    }
    Ok(url)
}

/// An endpoint as it stands in messages, fingerprints and the library's settings.
pub(crate) fn endpoint_text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// The parts of a database's URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    parameters: BTreeMap<String, String>,
}

impl StoreUrl {
    /// Takes a URL apart. Bucket and prefix are taken as they stand, without percent-decoding: they are names, and a
    /// name may have a percent sign.
    pub(crate) fn parse(
        url: &str,
        form: &'static str,
        schemes: &[&str],
        known: &[&'static str],
        instead: &'static str,
    ) -> Result<Self, ConfigError> {
        let (scheme, rest) = url.split_once("://").ok_or(ConfigError::InvalidUrl { form })?;
        if !schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(ConfigError::InvalidUrl { form });
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.contains('@') || bucket.contains(':') {
            return Err(ConfigError::SecretInUrl { instead });
        }
        if bucket.is_empty() {
            return Err(ConfigError::InvalidUrl { form });
        }
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if known.contains(&name.as_ref()) {
                parameters.insert(name.into_owned(), value.into_owned());
            } else if looks_secret(&name) {
                return Err(ConfigError::SecretInUrl { instead });
            } else {
                return Err(ConfigError::UnknownParameter { name: name.into_owned(), known: known.join(", ") });
            }
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.trim_end_matches('/').to_owned(), parameters })
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// Whether a parameter is named as a secret is; or whether it is what comes behind a `?` in one in front of a host.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains('@')
        || ["key", "secret", "token", "password", "credential", "sas", "sig"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<StoreUrl, ConfigError> {
        StoreUrl::parse(url, "s3://BUCKET/PREFIX", &["s3"], &["region", "endpoint"], "use the environment")
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = parse("s3://my.bucket/a b/%41?endpoint=http%3A%2F%2Fx%3A1&region=r").unwrap();
        assert_eq!((url.bucket.as_str(), url.prefix.as_str()), ("my.bucket", "a b/%41"));
        assert_eq!((url.parameter("endpoint"), url.parameter("region")), (Some("http://x:1"), Some("r")));
        assert_eq!(parse("s3://b").unwrap().prefix, "");
        assert_eq!(parse("S3://B/P").unwrap(), parse("s3://B/P").unwrap(), "schemes have no case");
        assert_eq!(parse("s3://b/p/?endpoint=http://x:1/").unwrap().prefix, "p");
    }

    #[test]
    fn wrong_urls_are_refused_without_repeating_secrets() {
        for url in ["s3:/b", "gs://b", "s3://", "s3:///p"] {
            assert!(matches!(parse(url), Err(ConfigError::InvalidUrl { .. })), "{url}");
        }
        for url in [
            "s3://id:hunter2@b/p",
            "s3://b?secret_access_key=hunter2",
            "s3://b?X-Amz-Security-Token=hunter2",
            "s3://id?x:hunter2@b",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, ConfigError::SecretInUrl { .. }), "{url}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let error = parse("s3://b?regoin=x").unwrap_err();
        assert_eq!(error.to_string(), r#"unknown parameter "regoin" in the URL; known are: region, endpoint"#);
    }

    #[test]
    fn endpoints_are_checked() {
        assert_eq!(endpoint_text(&endpoint("http://h:9000/", "").unwrap()), "http://h:9000");
        for bad in ["h:9000", "ftp://h", "", "localhost"] {
            assert!(matches!(endpoint(bad, ""), Err(ConfigError::InvalidEndpoint { .. })), "{bad}");
        }
        for bad in ["http://u:hunter2@h", "https://h?sig=hunter2"] {
            let error = endpoint(bad, "").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{bad}");
        }
    }
}
