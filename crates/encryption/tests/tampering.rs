//! Whatever is done to sealed objects is found out, and named.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use bucketdb_driver::{Condition, Driver, ErrorKind, Key, MemoryDriver};
use bucketdb_encryption::{
    CHUNK_BYTES, EncryptedDriver, EncryptionKey, EncryptionKeys, OVERHEAD_BYTES, is_sealed, sealed_bytes, sealed_range,
};
use bucketdb_env::TokioEnvironment;
use bytes::Bytes;
use futures::stream::TryStreamExt;

const SEALED_CHUNK: usize = CHUNK_BYTES + OVERHEAD_BYTES;

fn with_key(inner: &MemoryDriver, number: u8) -> EncryptedDriver {
    let env = Arc::new(TokioEnvironment::new());
    let keys = EncryptionKeys::new(EncryptionKey::from_bytes([number; 32]));
    EncryptedDriver::new(Arc::new(inner.clone()), keys, env)
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

/// A store with one object, and its sealed bytes.
async fn with_object(body: Bytes) -> (MemoryDriver, EncryptedDriver, Vec<u8>) {
    let inner = MemoryDriver::new();
    let store = with_key(&inner, 1);
    store.put(&key("a"), body, Condition::Always).await.unwrap();
    let sealed = inner.get(&key("a")).await.unwrap().body.to_vec();
    (inner, store, sealed)
}

/// All ways of reading, none of which may succeed.
async fn assert_unreadable(inner: &MemoryDriver, store: &EncryptedDriver, sealed: Vec<u8>, what: &str) -> String {
    inner.put(&key("a"), sealed.into(), Condition::Always).await.unwrap();
    let whole = store.get(&key("a")).await.expect_err(what);
    let ranged = store.get_range(&key("a"), 0..u64::MAX).await.expect_err(what);
    let streamed = store.get_stream(&key("a")).await.unwrap();
    let streamed = streamed.try_collect::<Vec<_>>().await.expect_err(what);
    for error in [&whole, &ranged, &streamed] {
        // A changed magic, version, cipher or key id is no proof of damage.
        assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Permanent), "{what}: {error}");
        assert_eq!(error.subject(), "a", "{what}: {error}");
    }
    assert_eq!(whole.kind(), ranged.kind(), "{what}");
    whole.to_string()
}

#[tokio::test]
async fn every_bit_of_a_small_object_counts() {
    let (inner, store, sealed) = with_object("a small object".into()).await;
    for index in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[index] ^= 1 << bit;
            assert_unreadable(&inner, &store, changed, &format!("bit {bit} of byte {index}")).await;
        }
    }
    for length in 0..sealed.len() {
        assert_unreadable(&inner, &store, sealed[..length].to_vec(), &format!("cut to {length}")).await;
    }
    let longer = [&sealed[..], b"x"].concat();
    assert_unreadable(&inner, &store, longer, "a byte more").await;
    let twice = [&sealed[..], &sealed[..]].concat();
    assert_unreadable(&inner, &store, twice, "twice").await;
}

#[tokio::test]
async fn chunks_stay_where_they_are() {
    let body: Bytes = (0..4 * CHUNK_BYTES).map(|index| (index / CHUNK_BYTES) as u8).collect();
    let (inner, store, sealed) = with_object(body.clone()).await;
    let chunks: Vec<&[u8]> = sealed.chunks(SEALED_CHUNK).collect();
    let order = |indices: &[usize]| indices.iter().flat_map(|index| chunks[*index].to_vec()).collect::<Vec<u8>>();
    for indices in [&[0, 2, 1, 3][..], &[1, 0, 2, 3], &[0, 0, 2, 3], &[0, 1, 3], &[3], &[1, 2, 3], &[0, 1, 2, 3, 3]] {
        assert_unreadable(&inner, &store, order(indices), &format!("{indices:?}")).await;
    }
    for kept in 1..4 {
        let message = assert_unreadable(&inner, &store, order(&[0, 1, 2][..kept]), "cut at a chunk").await;
        assert!(message.contains(&format!("cut off after {kept} chunks")), "{message}");
        // Neither does a range find that the object ends there, nor that there is nothing behind.
        for start in [kept * CHUNK_BYTES, (kept + 1) * CHUNK_BYTES] {
            let error = store.get_range(&key("a"), start as u64..start as u64 + 1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        }
    }
    // A version that was there before, with the same bytes, cannot lend its chunks.
    store.put(&key("a"), body, Condition::Always).await.unwrap();
    let other = inner.get(&key("a")).await.unwrap().body.to_vec();
    let mixed = [&other[..SEALED_CHUNK], &sealed[SEALED_CHUNK..]].concat();
    let message = assert_unreadable(&inner, &store, mixed, "two versions").await;
    assert!(message.contains("chunk 1 is of another version"), "{message}");
}

#[tokio::test]
async fn an_object_belongs_to_its_name() {
    let (inner, store, sealed) = with_object("mine".into()).await;
    inner.put(&key("b"), sealed.clone().into(), Condition::Always).await.unwrap();
    let error = store.get(&key("b")).await.unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::Damaged, "b"));

    // Relative to a prefix, everything below it can be copied together.
    let here = with_key(&inner, 1).relative_to("here/");
    let there = with_key(&inner, 1).relative_to("there/");
    here.put(&key("here/x"), "moved".into(), Condition::Always).await.unwrap();
    let moved = inner.get(&key("here/x")).await.unwrap().body;
    inner.put(&key("there/x"), moved.clone(), Condition::Always).await.unwrap();
    inner.put(&key("there/y"), moved, Condition::Always).await.unwrap();
    assert_eq!(there.get(&key("there/x")).await.unwrap().body, "moved");
    assert!(there.get(&key("there/y")).await.is_err());
}

#[tokio::test]
async fn a_wrong_key_and_no_encryption_are_told_apart() {
    let (inner, store, _) = with_object("sealed".into()).await;
    let other = with_key(&inner, 2);
    let id = EncryptionKey::from_bytes([1; 32]).id().to_string();
    let wrong = other.get(&key("a")).await.unwrap_err().to_string();
    assert!(wrong.contains(&format!("get of a failed: it is encrypted with the key {id}")), "{wrong}");
    inner.put(&key("plain"), "BKDB not sealed".into(), Condition::Always).await.unwrap();
    let plain = store.get(&key("plain")).await.unwrap_err().to_string();
    assert!(plain.contains("get of plain failed: it is not encrypted"), "{plain}");
}

#[tokio::test]
async fn the_same_bytes_never_look_the_same() {
    let inner = MemoryDriver::new();
    let store = with_key(&inner, 1);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        store.put(&key("a"), "the same".into(), Condition::Always).await.unwrap();
        let sealed = inner.get(&key("a")).await.unwrap().body;
        assert!(is_sealed(&sealed) && sealed.len() as u64 == sealed_bytes(8));
        assert!(seen.insert(sealed.slice(16..48)), "a salt came twice");
    }
}

/// A machine that was copied while it ran draws the numbers that its copy draws.
#[tokio::test]
async fn the_same_chance_gives_other_keys_for_other_bytes() {
    #[derive(Debug)]
    struct Repeating(TokioEnvironment);
    impl bucketdb_env::Environment for Repeating {
        fn monotonic(&self) -> std::time::Duration {
            self.0.monotonic()
        }
        fn wall_clock(&self) -> bucketdb_env::WallTime {
            self.0.wall_clock()
        }
        fn sleep(&self, duration: std::time::Duration) -> futures::future::BoxFuture<'static, ()> {
            self.0.sleep(duration)
        }
        fn fill_random(&self, buffer: &mut [u8]) {
            buffer.fill(4);
        }
        fn spawn(&self, task: futures::future::BoxFuture<'static, ()>) {
            self.0.spawn(task);
        }
    }
    let inner = MemoryDriver::new();
    let keys = EncryptionKeys::new(EncryptionKey::from_bytes([1; 32]));
    let store = EncryptedDriver::new(Arc::new(inner.clone()), keys, Arc::new(Repeating(TokioEnvironment::new())));
    let mut salts = Vec::new();
    for body in ["one", "two"] {
        store.put(&key("a"), body.into(), Condition::Always).await.unwrap();
        salts.push(inner.get(&key("a")).await.unwrap().body.slice(16..48));
        let pieces = futures::stream::iter([Ok(Bytes::from(format!("streamed {body}")))]);
        store.put_stream(&key("a"), Box::pin(pieces), Condition::Always).await.unwrap();
        salts.push(inner.get(&key("a")).await.unwrap().body.slice(16..48));
    }
    salts.sort();
    salts.dedup();
    assert_eq!(salts.len(), 4);
}

#[tokio::test]
async fn what_is_kept_elsewhere_is_bound_to_its_name_as_well() {
    let driver = |number: u8| {
        let keys = EncryptionKeys::new(EncryptionKey::from_bytes([number; 32]));
        EncryptedDriver::new(Arc::new(MemoryDriver::new()), keys, Arc::new(TokioEnvironment::new()))
    };
    let (sealer, other) = (driver(1).sealer(), driver(2).sealer());
    let body: Vec<u8> = (0..3 * CHUNK_BYTES + 5).map(|index| (index % 251) as u8).collect();
    let sealed = sealer.seal("a", &body);
    assert_eq!(sealed.len() as u64, sealed_bytes(body.len() as u64));
    assert_ne!(sealed, sealer.seal("a", &body), "no two are alike");
    let end = body.len() as u64;
    for range in [0..end, 0..1, 16_383..16_385, 16_384..32_768, 40_000..end, end - 1..end, 10..end + 10] {
        let of = sealed_range(&range);
        let part = &sealed[of.start as usize..sealed.len().min(of.end as usize)];
        let expected = &body[range.start as usize..range.end.min(end) as usize];
        assert_eq!(sealer.open_range("a", part, range.clone()).as_deref(), Some(expected), "{range:?}");
        assert_eq!(sealer.open_range("b", part, range.clone()), None, "another name");
        assert_eq!(other.open_range("a", part, range.clone()), None, "another key");
        assert_eq!(sealer.open_range("a", &part[..part.len() - 1], range.clone()), None, "cut off");
        let mut flipped = part.to_vec();
        flipped[part.len() / 2] ^= 1;
        assert_eq!(sealer.open_range("a", &flipped, range), None, "flipped");
    }
    assert_eq!(sealer.open_range("a", &sealed[..2 * sealed.len() / 4], 0..end), None, "a part of it");
}
