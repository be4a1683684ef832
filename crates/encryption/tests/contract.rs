//! An encrypted store behaves as the one within, whatever is asked of it.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::conformance::Suite;
use bucketdb_driver::{Condition, Driver, ErrorKind, Key, MemoryDriver, MeteredDriver, Operation};
use bucketdb_encryption::{CHUNK_BYTES, EncryptedDriver, EncryptionKey, EncryptionKeys, OVERHEAD_BYTES};
use bucketdb_env::TokioEnvironment;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use proptest::prelude::*;

fn encrypted(inner: impl Driver) -> EncryptedDriver {
    let env = Arc::new(TokioEnvironment::new());
    EncryptedDriver::new(Arc::new(inner), EncryptionKeys::new(EncryptionKey::from_bytes([1; 32])), env)
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

/// Bytes none of which tells where it is, but all together do.
fn body(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8 ^ (index / 251 % 256) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_is_kept() {
    let store = MemoryDriver::new();
    let suite = Suite::new(Arc::new(encrypted(store.clone())), Arc::new(TokioEnvironment::new()));
    let report = suite.rounds(60).patience(Duration::from_secs(300)).run().await;
    report.assert_ok();
    assert!(report.limits().is_empty());
    assert_eq!(store.list("", None).await.unwrap().objects, [], "the suite leaves nothing behind");
}

/// Lengths and offsets near the bounds of chunks, where mistakes are made.
fn near_bounds() -> impl Strategy<Value = usize> {
    (0..5_usize, -3..=3_i64).prop_map(|(chunks, off)| (chunks * CHUNK_BYTES).saturating_add_signed(off as isize))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn ranges_streams_and_sizes_are_those_of_the_plain_object(
        length in near_bounds(),
        ranges in prop::collection::vec((near_bounds(), prop_oneof![near_bounds(), Just(usize::MAX)]), 1..8),
        is_streamed in any::<bool>(),
        piece_bytes in prop_oneof![1..100_usize, near_bounds().prop_map(|bytes| bytes.max(1))],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (key, body) = (key("a/b"), body(length));
            let plain = MemoryDriver::new();
            let sealed = encrypted(MemoryDriver::new());
            for driver in [&plain as &dyn Driver, &sealed] {
                if is_streamed {
                    let pieces = body.chunks(piece_bytes.max(length / 2000)).map(|piece| Ok(Bytes::copy_from_slice(piece)));
                    let pieces = stream::iter(pieces.collect::<Vec<_>>()).boxed();
                    driver.put_stream(&key, pieces, Condition::IfAbsent).await.unwrap();
                } else {
                    driver.put(&key, body.clone(), Condition::IfAbsent).await.unwrap();
                }
            }
            assert_eq!(sealed.get(&key).await.unwrap().body, body);
            for (from, to) in ranges {
                let range = from as u64..to as u64;
                let expected = plain.get_range(&key, range.clone()).await.unwrap().body;
                assert_eq!(sealed.get_range(&key, range.clone()).await.unwrap().body, expected, "{range:?}");
            }
            let pieces: Vec<Bytes> = sealed.get_stream(&key).await.unwrap().try_collect().await.unwrap();
            assert_eq!(pieces.concat(), body);
            let listed = plain.list("", None).await.unwrap();
            assert_eq!(sealed.list("", None).await.unwrap(), listed);
            assert_eq!(sealed.list_after("", &Key::new("a").unwrap()).await.unwrap(), listed);
        });
    }
}

#[tokio::test]
async fn one_request_stays_one_and_a_range_costs_its_chunks() {
    let meter = MeteredDriver::new(MemoryDriver::new(), TokioEnvironment::new());
    let store = encrypted(meter.clone());
    let (key, chunk_bytes) = (key("a"), CHUNK_BYTES as u64);
    store.put(&key, body(10 * CHUNK_BYTES), Condition::Always).await.unwrap();
    assert_eq!((meter.usage().requests(Operation::Put), meter.usage().total_requests()), (1, 1));
    let sealed_chunk = chunk_bytes + OVERHEAD_BYTES as u64;
    for (range, chunks) in [
        (0..1, 1),
        (0..chunk_bytes, 1),
        (chunk_bytes - 1..chunk_bytes + 1, 2),
        (3 * chunk_bytes..5 * chunk_bytes, 2),
        (9 * chunk_bytes..u64::MAX, 1),
    ] {
        let before = meter.usage();
        store.get_range(&key, range.clone()).await.unwrap();
        let used = meter.usage() - before;
        assert_eq!((used.total_requests(), used.total_bytes()), (1, chunks * sealed_chunk), "{range:?}");
    }
}

#[tokio::test]
async fn a_stream_is_never_held_as_a_whole() {
    /// Counts how much was taken from the source before the first piece was given on.
    #[derive(Debug)]
    struct Asking(MemoryDriver);
    #[async_trait::async_trait]
    impl Driver for Asking {
        async fn get(&self, key: &Key) -> bucketdb_driver::Result<bucketdb_driver::Object> {
            self.0.get(key).await
        }
        async fn put(
            &self,
            key: &Key,
            body: Bytes,
            condition: Condition,
        ) -> bucketdb_driver::Result<bucketdb_driver::ETag> {
            self.0.put(key, body, condition).await
        }
        async fn delete(&self, key: &Key) -> bucketdb_driver::Result<()> {
            self.0.delete(key).await
        }
        async fn list(&self, prefix: &str, next: Option<&str>) -> bucketdb_driver::Result<bucketdb_driver::Page> {
            self.0.list(prefix, next).await
        }
        async fn put_stream(
            &self,
            key: &Key,
            mut pieces: stream::BoxStream<'_, bucketdb_driver::Result<Bytes>>,
            condition: Condition,
        ) -> bucketdb_driver::Result<bucketdb_driver::ETag> {
            let mut longest = 0;
            while let Some(piece) = pieces.try_next().await? {
                longest = longest.max(piece.len());
            }
            self.put(key, longest.to_string().into(), condition).await
        }
    }
    let inner = MemoryDriver::new();
    let store = encrypted(Asking(inner.clone()));
    let pieces = stream::iter((0..1000).map(|_| Ok(Bytes::from(vec![7; 10_000])))).boxed();
    store.put_stream(&key("a"), pieces, Condition::Always).await.unwrap();
    let longest = inner.get(&key("a")).await.unwrap().body;
    let longest: usize = std::str::from_utf8(&longest).unwrap().parse().unwrap();
    assert!(longest < 4 * CHUNK_BYTES, "{longest}");
}

#[tokio::test]
async fn a_failing_source_writes_nothing() {
    let store = encrypted(MemoryDriver::new());
    let broken = bucketdb_driver::DriverError::new(ErrorKind::Transient, Operation::Get, "source", "broken");
    let pieces = stream::iter([Ok(body(3 * CHUNK_BYTES)), Err(broken)]).boxed();
    assert!(store.put_stream(&key("a"), pieces, Condition::Always).await.unwrap_err().is_transient());
    assert!(store.get(&key("a")).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_url_for_people_without_a_key_is_refused() {
    let store = encrypted(MemoryDriver::new());
    let error = store.presign_get(&key("a"), Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("encrypted"), "{error}");
}
