//! The conformance suite and what goes beyond it, against real servers.
//!
//! The addresses come from the environment, as `cargo xtask test` sets them: `BUCKETDB_TEST_LOCALSTACK`,
//! `BUCKETDB_TEST_CEPH`, `BUCKETDB_TEST_AZURITE`, `BUCKETDB_TEST_RCLONE`, each like `http://127.0.0.1:9000`. A test whose
//! server is not there says so and passes, unless `BUCKETDB_TEST_REQUIRED=1` is set.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use bucketdb_driver::conformance::{Report, Suite};
use bucketdb_driver::{Condition, Driver, DriverError, ErrorKind, Key};
use bucketdb_env::{Random, TokioEnvironment};
use bucketdb_object_store::{AzureDriver, S3Builder, S3Driver};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The address of a server, or nothing and a word on it.
fn server(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(address) if !address.is_empty() => Some(address.trim_end_matches('/').to_owned()),
        _ if std::env::var("BUCKETDB_TEST_REQUIRED").is_ok_and(|required| required == "1") => {
            panic!("{variable} is not set, but BUCKETDB_TEST_REQUIRED=1 asks for every server")
        }
        _ => {
            println!("skipped: the server is not there ({variable} is not set)");
            None
        }
    }
}

/// Each test has a bucket of its own, also when it is run again on a server that is still up.
fn bucket_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = u128::from_le_bytes(TokioEnvironment::new().random_128()) >> 64;
    format!("bucketdb-{number}-{id:016x}")
}

fn s3(endpoint: &str, bucket: &str) -> S3Builder {
    let builder = S3Driver::builder().endpoint(endpoint).bucket(bucket);
    builder.access_key_id("AKIDTEST").secret_access_key("SECRETTEST")
}

async fn s3_bucket(endpoint: &str) -> S3Driver {
    let driver = s3(endpoint, &bucket_name()).build().unwrap();
    driver.create_bucket().await.unwrap();
    driver.create_bucket().await.expect("making a bucket twice is no error");
    driver
}

async fn azure_container(endpoint: &str) -> AzureDriver {
    let driver = AzureDriver::builder().emulator(endpoint).container(bucket_name()).build().unwrap();
    driver.create_container().await.unwrap();
    driver.create_container().await.expect("making a container twice is no error");
    driver
}

fn suite(driver: impl Driver) -> Suite {
    Suite::new(Arc::new(driver), Arc::new(TokioEnvironment::new()))
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Checks that nothing failed but what is known of the server: the name of a check and a part of its sentence.
async fn conforms(suite: Suite, known: &[(&str, &str)]) {
    let report = suite.run().await;
    println!("{report}");
    let is_known = |name: &str, sentence: &str| known.iter().any(|(of, part)| *of == name && sentence.contains(part));
    let surprises: Vec<_> = report.failures().filter(|(name, sentence)| !is_known(name, sentence)).collect();
    assert!(surprises.is_empty(), "{surprises:#?}");
}

/// LocalStack drops keys with other characters than ASCII's from its listings.
#[tokio::test(flavor = "multi_thread")]
async fn localstack_conforms() {
    let Some(endpoint) = server("BUCKETDB_TEST_LOCALSTACK") else { return };
    conforms(suite(s3_bucket(&endpoint).await).rounds(60).ascii_keys_only(), &[]).await;
}

/// Ceph's If-Match is atomic among conditional puts, which is all that BucketDB does with an object that it replaces.
/// It is not atomic against deletions and unconditional puts of the same key.
#[tokio::test(flavor = "multi_thread")]
async fn ceph_conforms() {
    let Some(endpoint) = server("BUCKETDB_TEST_CEPH") else { return };
    let known = [
        ("a deletion is not undone by if-match", "can be read after a deletion that raced with if-match puts"),
        ("a put is not undone by if-match", "after an unconditional put that raced with if-match puts"),
    ];
    conforms(suite(s3_bucket(&endpoint).await), &known).await;
}

/// Azurite lists in the order of UTF-16, which is another one for the rarest characters, and takes a backslash for a
/// slash, which is why the driver refuses it.
#[tokio::test(flavor = "multi_thread")]
async fn azurite_conforms() {
    let Some(endpoint) = server("BUCKETDB_TEST_AZURITE") else { return };
    let known = [("keys are kept apart", "an object of this name cannot be kept there")];
    conforms(suite(azure_container(&endpoint).await).rounds(60).ascii_keys_only(), &known).await;
}

/// What the suite's check of keys does not come to there, because one of its keys has a backslash.
#[tokio::test]
async fn azurite_keeps_keys_apart() {
    let Some(endpoint) = server("BUCKETDB_TEST_AZURITE") else { return };
    let driver = azure_container(&endpoint).await;
    let names =
        ["a", "a.", "a/b", "A", "a b", " a", "a+b", "a%b", "a%20b", "a%2Fb", "a&b=c?d#e", "a:b*c~d", "<t>", "ünï/日本"];
    for name in names {
        driver.put(&key(name), name.into(), Condition::IfAbsent).await.unwrap();
    }
    let mut expected = names;
    expected.sort_unstable();
    let page = driver.list("", None).await.unwrap();
    let listed: Vec<_> = page.objects.iter().map(|listed| listed.key.as_str()).collect();
    assert_eq!(listed, expected);
    for name in names {
        assert_eq!(driver.get(&key(name)).await.unwrap().body, name);
    }
    let refused = driver.put(&key("a\\b"), Bytes::new(), Condition::Always).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Permanent);
}

/// rclone serves S3 and ignores conditions. A suite that passed it would be worth nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rclone_is_found_out() {
    let Some(endpoint) = server("BUCKETDB_TEST_RCLONE") else { return };
    let driver = s3_bucket(&endpoint).await;
    let report: Report = suite(driver).rounds(5).listed_keys(50).run().await;
    println!("{report}");
    let failed: Vec<_> = report.failures().map(|(name, _)| name).collect();
    for promise in ["create-only", "if-match", "of many creators one wins", "of many replacers one wins"] {
        assert!(failed.contains(&promise), "{promise} must fail on a store that ignores conditions");
    }
    let says = |name: &str| report.failures().find(|(failed, _)| *failed == name).unwrap().1.to_owned();
    assert!(says("of many creators one wins").contains("the condition is not atomic"));
}

/// What the suite does not try: a body in several parts, streamed both ways, and a URL that a stranger reads.
async fn streams_and_signs(driver: &impl Driver, name: &str) {
    let name = key(name);
    let piece = |number: u8| Bytes::from(vec![number; 3 << 20]);
    let pieces = stream::iter((0..7).map(move |number| Ok(piece(number)))).boxed();
    let etag = driver.put_stream(&name, pieces, Condition::Always).await.unwrap();
    let read: Vec<Bytes> = driver.get_stream(&name).await.unwrap().try_collect().await.unwrap();
    let whole = read.concat();
    assert_eq!(whole.len(), 21 << 20);
    assert!(whole.chunks(3 << 20).enumerate().all(|(number, piece)| piece.iter().all(|byte| *byte as usize == number)));
    let found = driver.get_range(&name, (3 << 20) - 1..(3 << 20) + 1).await.unwrap();
    assert_eq!((found.body.as_ref(), found.etag), (&[0, 1][..], etag.clone()), "one ETag from upload and read");
    driver.put(&name, "short".into(), Condition::IfMatch(etag)).await.expect("the upload's ETag can be replaced");

    let url = driver.presign_get(&name, Duration::from_secs(60)).await.unwrap();
    let answer = fetch(&url).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("short"), "{answer}");
}

/// A GET with nothing but what the URL says.
async fn fetch(url: &str) -> String {
    let (host, target) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn localstack_streams_and_signs() {
    let Some(endpoint) = server("BUCKETDB_TEST_LOCALSTACK") else { return };
    streams_and_signs(&s3_bucket(&endpoint).await, "a folder/100% + ünï #1?").await;
}

#[tokio::test]
async fn ceph_streams_and_signs() {
    let Some(endpoint) = server("BUCKETDB_TEST_CEPH") else { return };
    streams_and_signs(&s3_bucket(&endpoint).await, "a folder/100% + ünï #1?").await;
}

#[tokio::test]
async fn azurite_streams_and_signs() {
    let Some(endpoint) = server("BUCKETDB_TEST_AZURITE") else { return };
    let driver = azure_container(&endpoint).await;
    streams_and_signs(&driver, "a-folder/blob_1.bin").await;
    let refused = driver.presign_get(&key("a b"), Duration::from_secs(60)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "better none than one that does not work");
}

/// What people see first when something is set up wrong.
async fn says_what_is_wrong(wrong_secret: Option<&dyn Driver>, no_bucket: &dyn Driver) {
    let name = key("log/1");
    if let Some(driver) = wrong_secret {
        for error in [
            driver.get(&name).await.unwrap_err(),
            driver.put(&name, Bytes::new(), Condition::IfAbsent).await.unwrap_err(),
            driver.delete(&name).await.unwrap_err(),
            driver.list("log/1", None).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
            let text = with_sources(&error);
            assert!(text.contains("log/1") && text.contains("credentials") | text.contains("access denied"), "{text}");
            assert!(!text.contains("V1JPTkc=") && !text.contains("WRONG"), "{text}");
        }
    }
    for error in [
        no_bucket.get(&name).await.unwrap_err(),
        no_bucket.put(&name, Bytes::new(), Condition::IfAbsent).await.unwrap_err(),
        no_bucket.list("log/1", None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Permanent, "{error:?}");
        assert!(error.to_string().contains("does not exist at http://"), "{error}");
    }
}

fn with_sources(error: &DriverError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

#[tokio::test]
async fn ceph_says_what_is_wrong() {
    let Some(endpoint) = server("BUCKETDB_TEST_CEPH") else { return };
    let driver = s3_bucket(&endpoint).await;
    let bucket = driver.fingerprint().rsplit('/').next().unwrap().to_owned();
    let wrong = s3(&endpoint, &bucket).secret_access_key("WRONG").build().unwrap();
    says_what_is_wrong(Some(&wrong), &s3(&endpoint, &bucket_name()).build().unwrap()).await;
}

#[tokio::test]
async fn localstack_says_what_is_wrong() {
    let Some(endpoint) = server("BUCKETDB_TEST_LOCALSTACK") else { return };
    says_what_is_wrong(None, &s3(&endpoint, &bucket_name()).build().unwrap()).await;
}

#[tokio::test]
async fn azurite_says_what_is_wrong() {
    let Some(endpoint) = server("BUCKETDB_TEST_AZURITE") else { return };
    let driver = azure_container(&endpoint).await;
    let container = driver.fingerprint().rsplit('/').next().unwrap().to_owned();
    let emulator = |container: String| AzureDriver::builder().emulator(&endpoint).container(container);
    let wrong = emulator(container).access_key("V1JPTkc=").build().unwrap();
    says_what_is_wrong(Some(&wrong), &emulator(bucket_name()).build().unwrap()).await;
}

#[tokio::test]
async fn a_server_tells_its_time() {
    for variable in ["BUCKETDB_TEST_LOCALSTACK", "BUCKETDB_TEST_CEPH"] {
        let Some(endpoint) = server(variable) else { continue };
        let told = s3_bucket(&endpoint).await.server_time().await.unwrap().unwrap();
        #[expect(clippy::disallowed_methods, reason = "compared with the machine's own clock")]
        let here = SystemTime::now();
        let skew = here.duration_since(told).unwrap_or_else(|earlier| earlier.duration());
        assert!(skew < Duration::from_secs(60), "{variable}: {skew:?}");
    }
}

/// Folder markers and doubled slashes come from other programs. A listing must neither fail nor make up keys.
#[tokio::test]
async fn objects_that_are_not_bucketdb_s_are_passed_over() {
    use object_store::aws::AmazonS3Builder;
    use object_store::path::Path;
    let Some(endpoint) = server("BUCKETDB_TEST_CEPH") else { return };
    let driver = s3_bucket(&endpoint).await;
    driver.put(&key("p/log/1"), "1".into(), Condition::Always).await.unwrap();
    // The library gives no object a name with a slash at its end, but it takes a bucket's address for what it is told:
    // with `/p/log` behind the bucket, making that "bucket" puts the object `p/log/`.
    let bucket = driver.fingerprint().rsplit('/').next().unwrap().to_owned();
    for marker in ["p/log", "p/"] {
        let foreign = AmazonS3Builder::new()
            .with_endpoint(format!("{endpoint}/{bucket}"))
            .with_bucket_name(marker)
            .with_access_key_id("AKIDTEST")
            .with_secret_access_key("SECRETTEST")
            .with_allow_http(true)
            .build()
            .unwrap();
        object_store::ObjectStoreExt::put(&foreign, &Path::ROOT, "marker".into()).await.unwrap();
    }
    let page = driver.list("p/", None).await.unwrap();
    let keys: Vec<_> = page.objects.iter().map(|listed| listed.key.as_str()).collect();
    assert_eq!((keys, page.next), (vec!["p/log/1"], None));
    driver.delete(&key("p/log/1")).await.unwrap();
    assert_eq!(driver.list("p/", None).await.unwrap().objects, []);
}
