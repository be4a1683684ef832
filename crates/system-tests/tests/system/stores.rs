//! The stores that the tests run on, each test on a bucket, folder or namespace of its own.
//!
//! `BUCKETDB_TEST_LOCALSTACK`, `BUCKETDB_TEST_CEPH`, `BUCKETDB_TEST_RCLONE` and `BUCKETDB_TEST_AZURITE` are addresses
//! like `http://127.0.0.1:9000`; `BUCKETDB_TEST_REDIS` is a URL, `BUCKETDB_TEST_REDIS_CLUSTER` the URLs of the nodes
//! of a cluster, separated by commas.

use std::sync::Arc;

use bucketdb::{AzureDriver, Database, DatabaseBuilder, Driver, FileDriver, Place, S3Driver, StoreCheck};
use bucketdb_system_tests::Counter;

use crate::support::random_below;

/// The key that the S3 servers of the tests know.
pub(crate) const ACCESS_KEY_ID: &str = "AKIDTEST";
pub(crate) const SECRET_ACCESS_KEY: &str = "SECRETTEST";

/// Where every test has its database in its store.
pub(crate) const PREFIX: &str = "db";

/// A trial of the store that is short: the thorough one has tests of its own.
const SHORT_CHECK: StoreCheck = StoreCheck { rounds: 2, racers: 3 };

/// A store that is empty at first.
pub(crate) struct Store {
    pub(crate) name: &'static str,
    /// As another process names it, together with `variables`.
    pub(crate) url: String,
    pub(crate) variables: Vec<(&'static str, String)>,
    /// The same place for this process.
    pub(crate) driver: Arc<dyn Driver>,
    /// Removed with the store.
    _folder: Option<tempfile::TempDir>,
}

impl Store {
    pub(crate) fn builder(&self) -> DatabaseBuilder {
        Database::builder().shared_driver(self.driver.clone()).prefix(PREFIX).store_check(SHORT_CHECK)
    }

    pub(crate) async fn open(&self) -> Database {
        self.builder().open().await.unwrap()
    }

    /// A new database with a counter in it.
    pub(crate) async fn open_with_counter(&self) -> Database {
        let db = self.open().await;
        db.table::<Counter>().await.unwrap().insert(&Counter::new()).await.unwrap();
        db
    }

    #[expect(clippy::unused_async, reason = "all stores are made in one way")]
    pub(crate) async fn file() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let driver = FileDriver::new(folder.path()).unwrap();
        let url = format!("file:{}", folder.path().display());
        Some(Self { name: "file", url, variables: Vec::new(), driver: Arc::new(driver), _folder: Some(folder) })
    }

    pub(crate) async fn localstack() -> Option<Self> {
        Some(Self::s3("localstack", &server("BUCKETDB_TEST_LOCALSTACK")?).await)
    }

    pub(crate) async fn ceph() -> Option<Self> {
        Some(Self::s3("ceph", &server("BUCKETDB_TEST_CEPH")?).await)
    }

    /// A store that ignores conditions.
    pub(crate) async fn rclone() -> Option<Self> {
        Some(Self::s3("rclone", &server("BUCKETDB_TEST_RCLONE")?).await)
    }

    async fn s3(name: &'static str, endpoint: &str) -> Self {
        let bucket = unique_name();
        s3_driver(endpoint, &bucket).create_bucket().await.unwrap();
        Self::of_bucket(name, endpoint, &bucket)
    }

    fn of_bucket(name: &'static str, endpoint: &str, bucket: &str) -> Self {
        let url = format!("s3://{bucket}?endpoint={endpoint}&style=path");
        let variables = vec![
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ];
        Self { name, url, variables, driver: Arc::new(s3_driver(endpoint, bucket)), _folder: None }
    }

    pub(crate) async fn azurite() -> Option<Self> {
        let endpoint = server("BUCKETDB_TEST_AZURITE")?;
        let container = unique_name();
        let driver = AzureDriver::builder().emulator(&endpoint).container(&container).build().unwrap();
        driver.create_container().await.unwrap();
        let variables = vec![("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()), ("AZURITE_BLOB_STORAGE_URL", endpoint)];
        let url = format!("az://{container}");
        Some(Self { name: "azurite", url, variables, driver: Arc::new(driver), _folder: None })
    }

    pub(crate) async fn redis() -> Option<Self> {
        let url = server("BUCKETDB_TEST_REDIS")?;
        Some(Self::redis_at("redis", format!("{url}/0?namespace={}", unique_name())).await)
    }

    pub(crate) async fn redis_cluster() -> Option<Self> {
        let urls = server("BUCKETDB_TEST_REDIS_CLUSTER")?;
        let mut nodes = urls.split(',').map(|url| url.strip_prefix("redis://").unwrap());
        let mut url = format!("redis-cluster://{}/0?namespace={}", nodes.next().unwrap(), unique_name());
        nodes.for_each(|node| url.push_str(&format!("&node={node}")));
        Some(Self::redis_at("redis-cluster", url).await)
    }

    pub(crate) async fn redis_at(name: &'static str, url: String) -> Self {
        let driver = Place::parse(&url).await.unwrap().driver().clone();
        Self { name, url, variables: Vec::new(), driver, _folder: None }
    }

    /// The same bucket by way of another port of this machine.
    pub(crate) fn by_way_of(&self, port: u16) -> Self {
        let fingerprint = self.driver.fingerprint();
        let (_, bucket) = fingerprint.rsplit_once('/').unwrap();
        Self::of_bucket(self.name, &format!("http://127.0.0.1:{port}"), bucket)
    }

    /// The port of its server.
    pub(crate) fn port(&self) -> u16 {
        let (_, address) = self.url.split_once("127.0.0.1:").unwrap();
        let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }
}

pub(crate) fn s3_driver(endpoint: &str, bucket: &str) -> S3Driver {
    let builder = S3Driver::builder().endpoint(endpoint).bucket(bucket);
    builder.access_key_id(ACCESS_KEY_ID).secret_access_key(SECRET_ACCESS_KEY).build().unwrap()
}

/// The address of a server, or nothing and a word on it.
pub(crate) fn server(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(address) if !address.is_empty() => Some(address.trim_end_matches('/').to_owned()),
        _ => skip(&format!("{variable} is not set")),
    }
}

/// Says that something is not there, which is a failure if everything is required to be.
pub(crate) fn skip<T>(reason: &str) -> Option<T> {
    assert!(std::env::var("BUCKETDB_TEST_REQUIRED").as_deref() != Ok("1"), "{reason}, but everything is required");
    println!("skipped: {reason}");
    None
}

/// Fit for a bucket and for a namespace; never used before, also on a server that is still up from another run.
pub(crate) fn unique_name() -> String {
    format!("bucketdb-system-{:016x}", random_below(u64::MAX))
}

/// One test for each of the named stores, which may have to be asked for.
macro_rules! on_stores {
    ($(#[ignore = $reason:literal])? $test:path: $($store:ident),+ $(,)?) => {
        $crate::stores::on_stores!(@each ($(#[ignore = $reason])?) $test, $($store)+);
    };
    (@each $ignored:tt $test:path, $($store:ident)+) => {
        $($crate::stores::on_stores!(@one $ignored $test, $store);)+
    };
    (@one ($($ignored:tt)*) $test:path, $store:ident) => {
        #[test]
        $($ignored)*
        fn $store() {
            let _alone = crate::support::alone();
            let runtime = crate::support::runtime();
            if let Some(store) = runtime.block_on(crate::stores::Store::$store()) {
                let begun = crate::support::now(&runtime);
                let result = $test(&runtime, &store);
                let took = crate::support::now(&runtime) - begun;
                crate::support::report(format_args!(
                    "{} on {}: passed in {:.1} s{result}",
                    module_path!().rsplit("::").next().unwrap(),
                    store.name,
                    took.as_secs_f64(),
                ));
            }
        }
    };
}

pub(crate) use on_stores;
