//! What goes over the wire, and what the answers mean, against a server that answers as told.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bucketdb_driver::{Condition, Driver, DriverError, ETag, ErrorKind, Key, Support};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;

use crate::fake_server::{FakeServer, Request, Response, refusal, response};
use crate::store::Listing;
use crate::{GcsDriver, S3Driver};

fn s3(server: &FakeServer) -> S3Driver {
    s3_at(&server.endpoint)
}

fn s3_at(endpoint: &str) -> S3Driver {
    let builder = S3Driver::builder().endpoint(endpoint).bucket("demo").access_key_id("id");
    builder.secret_access_key("hunter2").request_timeout(Duration::from_secs(2)).build().unwrap()
}

fn gcs(server: &FakeServer) -> GcsDriver {
    GcsDriver::builder().endpoint(&server.endpoint).bucket("demo").bearer_token("hunter2").build().unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn object(etag: &str, body: &str) -> Response {
    let headers = [("etag", etag), ("last-modified", "Tue, 01 Jul 2025 00:00:00 GMT"), ("x-goog-generation", "17")];
    response(200, &headers, body)
}

async fn put(driver: &impl Driver, condition: Condition) -> Result<ETag, DriverError> {
    driver.put(&key("log/1"), "body".into(), condition).await
}

/// Everything that a person or a log could get to see of an error.
fn printed(error: &DriverError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

/// Backblaze B2 answers so.
#[tokio::test]
async fn a_store_without_conditions_is_unsupported() {
    let server = FakeServer::start(|request, _| match request.is_conditional() {
        true => refusal(501, "NotImplemented"),
        false => object("\"1\"", ""),
    })
    .await;
    let driver = s3(&server);
    for condition in [Condition::IfAbsent, Condition::IfMatch(ETag("1".into()))] {
        assert_eq!(put(&driver, condition).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert_eq!(put(&driver, Condition::Always).await.unwrap(), ETag("1".into()));
}

/// The client would repeat these answers, and the repetition of a put that had landed would find itself in the way.
#[tokio::test]
async fn a_conditional_put_is_sent_exactly_once() {
    for (status, code) in [(503, "SlowDown"), (500, "InternalError"), (429, ""), (409, "ConditionalRequestConflict")] {
        for condition in [Condition::IfAbsent, Condition::IfMatch(ETag("1".into()))] {
            let server = FakeServer::start(move |_, _| refusal(status, code)).await;
            let error = put(&s3(&server), condition.clone()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Transient, "{status} {condition:?}");
            assert_eq!(server.requests().len(), 1, "{status} {condition:?}");
            let error = put(&gcs(&server), condition.clone()).await.unwrap_err();
            // "1" is a generation like any other, so this is sent, once.
            assert_eq!(error.kind(), ErrorKind::Transient, "{status} {condition:?}");
            assert_eq!(server.requests().len(), 2, "{status} {condition:?}");
        }
    }
}

/// A lost answer is the case that matters most: the put may have landed.
#[tokio::test]
async fn a_conditional_put_without_an_answer_is_sent_exactly_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = s3_at(&format!("http://{}", listener.local_addr().unwrap()));
    let accept_and_hang_up = async {
        let mut connections = 0;
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            connections += 1;
            let mut byte = [0];
            tokio::io::AsyncReadExt::read_exact(&mut connection, &mut byte).await.unwrap();
            if connections > 1 {
                return connections;
            }
        }
    };
    let error = tokio::select! {
        result = put(&driver, Condition::IfAbsent) => result.unwrap_err(),
        connections = accept_and_hang_up => panic!("the put was sent {connections} times"),
    };
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn a_read_is_repeated() {
    let server = FakeServer::start(|_, earlier| match earlier {
        0 | 1 => refusal(503, "SlowDown"),
        _ => object("\"1\"", "found"),
    })
    .await;
    let found = s3(&server).get(&key("log/1")).await.unwrap();
    assert_eq!((found.body, found.etag), (Bytes::from("found"), ETag("1".into())));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn each_protocol_has_its_own_words_for_a_condition() {
    let server = FakeServer::start(|_, _| object("\"e\"", "")).await;
    assert_eq!(put(&s3(&server), Condition::IfAbsent).await.unwrap(), ETag("e".into()));
    put(&s3(&server), Condition::IfMatch(ETag("e".into()))).await.unwrap();
    assert_eq!(put(&gcs(&server), Condition::IfAbsent).await.unwrap(), ETag("17".into()));
    put(&gcs(&server), Condition::IfMatch(ETag("17".into()))).await.unwrap();
    let sent: Vec<_> = server.requests();
    let headers = |name: &str| sent.iter().map(|request| request.header(name)).collect::<Vec<_>>();
    assert_eq!(headers("if-none-match"), [Some("*"), None, None, None]);
    assert_eq!(headers("if-match"), [None, Some("e"), None, None], "unquoted: Ceph knows no other form");
    assert_eq!(headers("x-goog-if-generation-match"), [None, None, Some("0"), Some("17")]);
}

#[tokio::test]
async fn a_hosted_service_gets_the_etag_in_quotes() {
    let server = FakeServer::start(|_, _| object("\"e\"", "")).await;
    let mut driver = s3(&server);
    Arc::get_mut(&mut driver.store).unwrap().quotes_etags = true;
    put(&driver, Condition::IfMatch(ETag("e".into()))).await.unwrap();
    assert_eq!(server.requests().first().unwrap().header("if-match"), Some("\"e\""));
}

/// Generation 0 means "no object": sent as it stands, a made-up ETag would turn a replacement into a creation.
#[tokio::test]
async fn what_cannot_be_a_generation_matches_nothing() {
    let server = FakeServer::start(|_, _| object("\"e\"", "")).await;
    for etag in ["0", "", "abc", "-1", "00"] {
        let error = put(&gcs(&server), Condition::IfMatch(ETag(etag.into()))).await.unwrap_err();
        assert!(error.is_precondition_failed(), "{etag}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn services_that_ignore_conditions_are_not_asked() {
    for endpoint in ["https://s3.us-west-004.backblazeb2.com", "https://storage.googleapis.com"] {
        let driver = s3_at(endpoint);
        assert_eq!(driver.capabilities().create_only, Support::Absent);
        assert_eq!(put(&driver, Condition::IfAbsent).await.unwrap_err().kind(), ErrorKind::Unsupported);
        let body = stream::once(async { Ok(Bytes::new()) }).boxed();
        let streamed = driver.put_stream(&key("a"), body, Condition::IfAbsent).await.unwrap_err();
        assert_eq!(streamed.kind(), ErrorKind::Unsupported);
    }
}

#[tokio::test]
async fn missing_objects_and_missing_buckets_are_told_apart() {
    let server = FakeServer::start(|request, _| match request.target.contains("/log/1") {
        true => refusal(404, "NoSuchKey"),
        false => refusal(404, "NoSuchBucket"),
    })
    .await;
    let driver = s3(&server);
    assert!(driver.get(&key("log/1")).await.unwrap_err().is_not_found());
    assert!(driver.get_range(&key("log/1"), 0..0).await.unwrap_err().is_not_found());
    let etag = Condition::IfMatch(ETag("1".into()));
    assert!(put(&driver, etag.clone()).await.unwrap_err().is_precondition_failed());
    driver.delete(&key("log/1")).await.unwrap();
    let elsewhere = key("x");
    let missing = r#"the bucket "demo" does not exist at http://"#;
    for error in [
        driver.get(&elsewhere).await.unwrap_err(),
        driver.put(&elsewhere, Bytes::new(), etag).await.unwrap_err(),
        driver.delete(&elsewhere).await.unwrap_err(),
        driver.list("x", None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
        assert!(error.to_string().contains(missing), "{error}");
    }
}

/// Amazon answers a wrong signature with the signed request, session token and all.
#[tokio::test]
async fn a_refusal_does_not_give_secrets_away() {
    let server = FakeServer::start(|_, _| {
        let echo = "<CanonicalRequest>x-amz-security-token:hunter2</CanonicalRequest>";
        response(403, &[], format!("<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message>{echo}</Error>"))
    })
    .await;
    let driver = s3(&server);
    for error in [
        put(&driver, Condition::IfAbsent).await.unwrap_err(),
        driver.get(&key("log/1")).await.unwrap_err(),
        driver.delete(&key("log/1")).await.unwrap_err(),
        driver.list("log/1", None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Denied);
        let text = printed(&error);
        assert!(text.contains("log/1") && text.contains("demo"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn an_unreachable_store_is_a_passing_fault_that_names_the_endpoint() {
    // A port that was free a moment ago: nothing listens.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = put(&s3_at(&endpoint), Condition::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.to_string(), format!(r#"put of log/1 failed: no connection (bucket "demo" at {endpoint})"#));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("refused"));
}

#[derive(Debug)]
struct NoCredentials;

#[async_trait::async_trait]
impl object_store::CredentialProvider for NoCredentials {
    type Credential = object_store::aws::AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<Self::Credential>> {
        Err(object_store::Error::Generic { store: "S3", source: "hunter2".into() })
    }
}

/// The commonest mistake of all: nothing was set.
#[tokio::test]
async fn missing_credentials_are_called_so() {
    let builder =
        object_store::aws::AmazonS3Builder::new().with_bucket_name("demo").with_endpoint("http://127.0.0.1:9");
    let driver = S3Driver::from_builder(builder.with_credentials(Arc::new(NoCredentials))).unwrap();
    let error = put(&driver, Condition::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("no credentials could be had"), "{error}");
    assert!(!printed(&error).contains("hunter2"));
}

#[tokio::test]
async fn a_store_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let builder = S3Driver::builder().endpoint(format!("http://{}", listener.local_addr().unwrap())).bucket("demo");
    let builder = builder.access_key_id("id").secret_access_key("secret");
    let driver = builder.request_timeout(Duration::from_millis(100)).build().unwrap();
    let error = put(&driver, Condition::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_object() {
    let server = FakeServer::start(|_, _| {
        let headers = [("content-length", "100"), ("connection", "close")];
        response(200, &headers, "too short")
    })
    .await;
    // Two lengths in one answer: the client may refuse that at once or miss the rest. Both are passing faults.
    assert_eq!(s3(&server).get(&key("a")).await.unwrap_err().kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn ranges_hold_their_contract_whatever_the_server_does() {
    const BODY: &str = "0123456789";
    let honours = |request: &Request| {
        let Some(range) = request.header("range") else { return object("\"e\"", BODY) };
        let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let start: usize = start.parse().unwrap();
        let end = end.parse::<usize>().map_or(BODY.len(), |end| (end + 1).min(BODY.len()));
        if start >= BODY.len() {
            return refusal(416, "InvalidRange");
        }
        let covered = format!("bytes {start}-{}/{}", end - 1, BODY.len());
        response(206, &[("etag", "\"e\""), ("content-range", &covered)], &BODY[start..end])
    };
    let honest = FakeServer::start(move |request, _| honours(request)).await;
    let ignorant = FakeServer::start(|_, _| object("\"e\"", BODY)).await;
    for server in [honest, ignorant] {
        let driver = s3(&server);
        for (range, expected) in
            [(2..5, "234"), (8..20, "89"), (10..12, ""), (50..60, ""), (3..3, ""), (0..u64::MAX, BODY)]
        {
            let found = driver.get_range(&key("a"), range.clone()).await.unwrap();
            assert_eq!((found.body, found.etag), (Bytes::from(expected), ETag("e".into())), "{range:?}");
        }
    }
}

#[tokio::test]
async fn names_go_over_the_wire_as_they_are() {
    let server = FakeServer::start(|_, _| object("\"e\"", "")).await;
    let driver = s3(&server);
    for name in ["a b+c", "100%", "%41", "q?x#y", "back\\slash*", "ünï/日本", "~a/.b"] {
        driver.put(&key(name), Bytes::new(), Condition::Always).await.unwrap();
        let target = server.requests().last().unwrap().target.clone();
        let sent = target.strip_prefix("/demo/").unwrap().replace('+', "%2B");
        let decoded: String = url::form_urlencoded::parse(format!("k={sent}").as_bytes()).next().unwrap().1.into();
        assert_eq!(decoded, name, "{target}");
    }
}

#[tokio::test]
async fn a_listing_starts_where_it_is_told_and_checks_it() {
    let page = |keys: &[&str], next: &str| {
        let contents: String =
            keys.iter().map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")).collect();
        let more = !next.is_empty();
        let token = format!("<IsTruncated>{more}</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>");
        response(200, &[], format!("<ListBucketResult>{token}{contents}</ListBucketResult>"))
    };
    let server = FakeServer::start(move |request, _| match request.target.contains("continuation-token") {
        // It ignores `start-after`, as some servers do.
        false => page(&["p/1", "p/2", "p/"], "t"),
        true => page(&["p/3", "p//4", "p/5"], ""),
    })
    .await;
    let driver = s3(&server);
    let keys = |page: bucketdb_driver::Page| {
        page.objects.into_iter().map(|listed| listed.key.as_str().to_owned()).collect::<Vec<_>>()
    };
    let first = driver.list("p/", None).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("t"));
    assert_eq!(keys(first), ["p/1", "p/2"]);
    assert_eq!(keys(driver.list("p/", Some("t")).await.unwrap()), ["p/3", "p/5"]);
    assert_eq!(keys(driver.list_after("p/", &key("p/3")).await.unwrap()), ["p/5"]);
    let asked = server.requests().into_iter().find(|request| request.target.contains("start-after"));
    assert!(asked.unwrap().target.contains("start-after=p%2F3"));
}

/// S3 Express One Zone lists in no order and only whole folders.
#[tokio::test]
async fn a_store_that_lists_in_no_order_is_put_in_order() {
    let server = FakeServer::start(|request, _| {
        assert!(request.target.contains("prefix=p%2F&") || request.target.ends_with("prefix=p%2F"));
        let (cut, keys) = match request.target.contains("continuation-token") {
            false => ("true", ["p/log-3", "p/x"]),
            true => ("false", ["p/log-2", "p/log-1"]),
        };
        let contents: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        let token = format!("<IsTruncated>{cut}</IsTruncated><NextContinuationToken>t</NextContinuationToken>");
        response(200, &[], format!("<ListBucketResult>{token}{contents}</ListBucketResult>"))
    })
    .await;
    let mut driver = s3(&server);
    Arc::get_mut(&mut driver.store).unwrap().listing = Listing::Unordered;
    let page = driver.list("p/log", None).await.unwrap();
    let keys: Vec<_> = page.objects.iter().map(|listed| listed.key.as_str()).collect();
    assert_eq!((keys, page.next), (vec!["p/log-1", "p/log-2", "p/log-3"], None));
    let after = driver.list_after("p/log", &key("p/log-1")).await.unwrap();
    assert_eq!(after.objects.len(), 2);
}

#[tokio::test]
async fn a_store_without_bulk_deletes_is_asked_once() {
    let server = FakeServer::start(|request, _| match request.method.as_str() {
        "POST" => refusal(405, "MethodNotAllowed"),
        _ => response(204, &[], ""),
    })
    .await;
    let driver = s3(&server);
    for _ in 0..2 {
        driver.delete_many(&[key("a"), key("b")]).await.unwrap();
    }
    let methods: Vec<_> = server.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["POST", "DELETE", "DELETE", "DELETE", "DELETE"]);
}

/// One object of a batch may not be deleted. The error must be about that one, and of the right kind.
#[tokio::test]
async fn an_object_that_fails_in_a_batch_is_asked_about_on_its_own() {
    let server = FakeServer::start(|request, _| match (request.method.as_str(), request.target.contains("/b")) {
        ("POST", _) => {
            assert!(String::from_utf8_lossy(&request.body).contains("<Key>b</Key>"));
            let error = "<Error><Key>b</Key><Code>AccessDenied</Code><Message>No.</Message></Error>";
            response(200, &[], format!("<DeleteResult><Deleted><Key>a</Key></Deleted>{error}</DeleteResult>"))
        }
        (_, true) => refusal(403, "AccessDenied"),
        (_, false) => response(204, &[], ""),
    })
    .await;
    let error = s3(&server).delete_many(&[key("a"), key("b")]).await.unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::Denied, "b"));
}

/// The answer to a completion was lost and the repetition finds the upload gone: nobody knows.
#[tokio::test]
async fn an_upload_that_is_gone_at_its_completion_is_unclear() {
    let server = FakeServer::start(|request, _| match (request.method.as_str(), request.target.contains("uploads")) {
        ("POST", true) => {
            let id = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
            response(200, &[], id)
        }
        ("POST", false) => refusal(404, "NoSuchUpload"),
        _ => object("\"part\"", ""),
    })
    .await;
    let pieces = stream::iter((0..9).map(|_| Ok(Bytes::from(vec![7; 1 << 20])))).boxed();
    let error = s3(&server).put_stream(&key("a"), pieces, Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    // Two parts are under way at once, so either may arrive first.
    let mut parts: Vec<_> = server.requests().into_iter().filter(|request| request.method == "PUT").collect();
    parts.sort_by_key(|part| part.target.clone());
    assert_eq!(parts.iter().map(|part| part.body.len()).collect::<Vec<_>>(), [8 << 20, 1 << 20]);
    assert!(parts.iter().zip(["partNumber=1&", "partNumber=2&"]).all(|(part, number)| part.target.contains(number)));
}

#[tokio::test]
async fn a_failed_upload_is_taken_back() {
    let server = FakeServer::start(|request, _| match (request.method.as_str(), request.target.contains("uploads")) {
        ("POST", true) => {
            let id = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
            response(200, &[], id)
        }
        ("PUT", _) => refusal(403, "AccessDenied"),
        _ => response(204, &[], ""),
    })
    .await;
    let pieces = stream::iter((0..9).map(|_| Ok(Bytes::from(vec![7; 1 << 20])))).boxed();
    let error = s3(&server).put_stream(&key("a"), pieces, Condition::Always).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let last = server.requests().pop().unwrap();
    assert_eq!((last.method.as_str(), last.target.contains("uploadId=u")), ("DELETE", true));
}

#[tokio::test]
async fn a_condition_on_a_long_stream_is_refused_and_on_a_short_one_kept() {
    let server = FakeServer::start(|_, _| object("\"e\"", "")).await;
    let pieces = |count: usize| stream::iter((0..count).map(|_| Ok(Bytes::from(vec![7; 1 << 20])))).boxed();
    let driver = s3(&server);
    driver.put_stream(&key("a"), pieces(20), Condition::IfAbsent).await.unwrap();
    let sent = server.requests();
    let only = sent.first().unwrap();
    assert_eq!((sent.len(), only.header("if-none-match"), only.body.len()), (1, Some("*"), 20 << 20));
    let error = driver.put_stream(&key("a"), pieces(65), Condition::IfAbsent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_store_s_clock_is_on_every_answer() {
    let server = FakeServer::start(|_, _| response(403, &[("date", "Tue, 01 Jul 2025 00:00:00 GMT")], "")).await;
    let time = s3(&server).server_time().await.unwrap().unwrap();
    assert_eq!(time.duration_since(UNIX_EPOCH).unwrap().as_secs(), 1_751_328_000);
    let silent = FakeServer::start(|_, _| response(404, &[], "")).await;
    assert_eq!(s3(&silent).server_time().await.unwrap(), None);
}

#[tokio::test]
async fn a_bucket_is_made_once() {
    let server = FakeServer::start(|request, earlier| match (request.method.as_str(), earlier) {
        (_, 0) => response(200, &[], ""),
        (_, 1) => refusal(409, "BucketAlreadyOwnedByYou"),
        ("PUT", _) => refusal(409, "BucketAlreadyExists"),
        // Ours after all, but without saying so; then not ours.
        (_, 3) => response(200, &[], "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"),
        _ => refusal(403, "AccessDenied"),
    })
    .await;
    let driver = s3(&server);
    for _ in 0..3 {
        driver.create_bucket().await.unwrap();
    }
    assert_eq!(driver.create_bucket().await.unwrap_err().kind(), ErrorKind::Permanent);
    let first = server.requests().into_iter().next().unwrap();
    assert_eq!((first.method.as_str(), first.target.as_str(), first.body.len()), ("PUT", "/demo/", 0));
}

#[tokio::test]
async fn a_signed_url_has_no_secret_and_an_end() {
    let driver = s3_at("http://127.0.0.1:9");
    let url = driver.presign_get(&key("a b"), Duration::from_secs(60)).await.unwrap();
    assert!(url.starts_with("http://127.0.0.1:9/demo/a%20b?") && url.contains("X-Amz-Expires=60"), "{url}");
    assert!(!url.contains("hunter2"));
    let week = Duration::from_secs(7 * 24 * 3600);
    assert!(driver.presign_get(&key("a"), week).await.is_ok());
    assert!(driver.presign_get(&key("a"), week + Duration::from_secs(1)).await.is_err());
}
