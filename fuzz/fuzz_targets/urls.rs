//! URLs of stores: no text makes a reader panic; what is read prints without a password; and no error shows one, wherever in
//! the URL it stands.
#![no_main]

use arbitrary::Arbitrary;
use bucketdb::{Database, MemoryDriver, Place};
use bucketdb_object_store::{AzureDriver, GcsDriver, S3Driver};
use bucketdb_redis::RedisUrl;
use futures::FutureExt;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    scheme: Scheme,
    form: Form,
    user: String,
    /// What there is of the password around that by which it is known again.
    around: (String, String),
    host: String,
    rest: String,
}

/// None that stands for a file: folders are made for these.
#[derive(Arbitrary, Debug)]
enum Scheme {
    S3,
    Gcs,
    Azure,
    Redis,
    RedisTls,
    RedisCluster,
    RedisClusterTls,
    Memory,
    Unknown,
    Upper,
}

impl Scheme {
    fn text(&self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
            Self::Redis => "redis",
            Self::RedisTls => "rediss",
            Self::RedisCluster => "redis-cluster",
            Self::RedisClusterTls => "rediss-cluster",
            Self::Memory => "memory",
            Self::Unknown => "ftp",
            Self::Upper => "REDIS",
        }
    }
}

/// Where the password is.
#[derive(Arbitrary, Debug)]
enum Form {
    /// In front of the host.
    User,
    /// In front of the host, after somebody forgot the slashes.
    UserWithoutSlashes,
    /// The value of a parameter that is there for it in the URLs of others.
    Parameter(Parameter),
    /// In front of the host of another address.
    OfAddress(Parameter),
    /// Nowhere.
    None,
}

#[derive(Arbitrary, Debug)]
enum Parameter {
    Password,
    SecretAccessKey,
    Signature,
    Endpoint,
    Node,
}

impl Parameter {
    fn name(&self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SecretAccessKey => "secret_access_key",
            Self::Signature => "sig",
            Self::Endpoint => "endpoint",
            Self::Node => "node",
        }
    }
}

const MARK: &str = "hunter2";

fuzz_target!(|input: Input| {
    let Input { scheme, form, user, around: (before, behind), host, rest } = input;
    // What ends the part in front of the host is not in a name.
    let user: String = user.chars().filter(|letter| !"/?#\\".contains(*letter)).collect();
    let scheme = scheme.text();
    let url = match &form {
        Form::User => format!("{scheme}://{user}:{before}{MARK}{behind}@{host}{rest}"),
        Form::UserWithoutSlashes => format!("{scheme}:{user}:{before}{MARK}{behind}@{host}{rest}"),
        Form::Parameter(parameter) => {
            // What comes behind a `#` or a `&` is not its value any more.
            let behind: String = behind.chars().filter(|letter| !"#&".contains(*letter)).collect();
            format!("{scheme}://{host}/{rest}?{}={MARK}{behind}", parameter.name())
        }
        Form::OfAddress(parameter) => {
            let name = parameter.name();
            format!("{scheme}://{host}?{name}=http://{user}:{MARK}@{rest}")
        }
        Form::None => format!("{scheme}:{user}{before}{host}{behind}{rest}"),
    };
    // Where a server is, is no secret, and where there is no password, none is shown.
    let is_secret = !matches!(form, Form::Parameter(Parameter::Endpoint | Parameter::Node) | Form::None);
    let is_clean = |shown: String| {
        assert!(!is_secret || !shown.contains(MARK) || user.contains(MARK) || host.contains(MARK), "{shown} shows what {url} holds");
    };
    match RedisUrl::parse(&url) {
        Ok(read) => is_clean(format!("{read} {read:?}")),
        Err(error) => is_clean(format!("{error} {error:?}")),
    }
    // No password belongs into these, so all that matters of one that is fine is that it was read.
    let errors = [S3Driver::from_url(&url).err(), GcsDriver::from_url(&url).err(), AzureDriver::from_url(&url).err()];
    for error in errors.into_iter().flatten() {
        is_clean(format!("{error} {error:?}"));
    }
    // Without drivers, all that this does is to take the URL apart, and to say what is not built in.
    for parsed in [Place::parse(&url).now_or_never(), Place::parse_existing(&url).now_or_never()] {
        match parsed.expect("nothing is waited for") {
            Ok(place) => is_clean(format!("{place:?} {}", place.describe())),
            Err(error) => is_clean(format!("{error} {error:?}")),
        }
    }
    let both = Database::builder().driver(MemoryDriver::new()).url(&url).open().now_or_never();
    let error = both.and_then(Result::err).expect("one of the two is too much");
    is_clean(format!("{error} {error:?}"));
});
