//! A change of keys, alone and beside others.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bucketdb_driver::{Condition, Driver, ErrorKind, Key, MemoryDriver};
use bucketdb_encryption::{EncryptedDriver, EncryptionKey, EncryptionKeys, RekeyReport};
use bucketdb_env::TokioEnvironment;
use bytes::Bytes;

fn secret(number: u8) -> EncryptionKey {
    EncryptionKey::from_bytes([number; 32])
}

fn with(inner: impl Driver, keys: EncryptionKeys) -> EncryptedDriver {
    EncryptedDriver::new(Arc::new(inner), keys, Arc::new(TokioEnvironment::new()))
}

fn key(number: usize) -> Key {
    Key::new(format!("db/{number:05}")).unwrap()
}

fn body(number: usize) -> Bytes {
    vec![number as u8; number * 997 % 70_000].into()
}

fn both() -> EncryptionKeys {
    EncryptionKeys::new(secret(2)).with_earlier(secret(1))
}

#[tokio::test]
async fn everything_is_sealed_with_the_current_key_in_the_end() {
    let inner = MemoryDriver::new();
    let (old, new) = (with(inner.clone(), EncryptionKeys::new(secret(1))), with(inner.clone(), both()));
    for number in 0..1100 {
        let store = if number % 10 == 0 { &new } else { &old };
        store.put(&key(number), body(number), Condition::Always).await.unwrap();
    }
    let elsewhere = Key::new("other/1").unwrap();
    old.put(&elsewhere, "left alone".into(), Condition::Always).await.unwrap();
    let only_new = with(inner.clone(), EncryptionKeys::new(secret(2)));
    assert!(only_new.get(&key(1)).await.is_err());
    let mut seen = Vec::new();
    let report = new.rekey("db/").run(|_| true, |_| false, |so_far| seen.push(so_far.objects)).await.unwrap();
    assert_eq!(report, RekeyReport { objects: 1100, rewritten: 990, removed: 0 });
    assert_eq!(seen.last(), Some(&1100));
    for number in 0..1100 {
        assert_eq!(only_new.get(&key(number)).await.unwrap().body, body(number));
    }
    assert!(only_new.get(&elsewhere).await.is_err());
    let again = new.rekey("db/").run(|_| true, |_| false, |_| {}).await.unwrap();
    assert_eq!(again, RekeyReport { objects: 1100, rewritten: 0, removed: 0 });
}

#[tokio::test]
async fn an_unknown_key_and_an_object_in_the_clear_stop_it() {
    let inner = MemoryDriver::new();
    with(inner.clone(), EncryptionKeys::new(secret(3))).put(&key(1), "x".into(), Condition::Always).await.unwrap();
    let error = with(inner.clone(), both()).rekey("db/").run(|_| true, |_| false, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("db/00001 failed: it is encrypted with the key"), "{error}");
    inner.put(&key(1), "plain".into(), Condition::Always).await.unwrap();
    let error = with(inner, both()).rekey("db/").run(|_| true, |_| false, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("db/00001 failed: it is not encrypted"), "{error}");
}

/// What others do at the very moment between reading an object and replacing it.
#[derive(Debug)]
struct Meanwhile {
    inner: MemoryDriver,
    others: EncryptedDriver,
    is_removing: bool,
    is_done: AtomicBool,
}

#[async_trait::async_trait]
impl Driver for Meanwhile {
    async fn get(&self, key: &Key) -> bucketdb_driver::Result<bucketdb_driver::Object> {
        self.inner.get(key).await
    }
    async fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<bucketdb_driver::ETag> {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            if self.is_removing {
                self.others.delete(key).await?;
            } else {
                self.others.put(key, "newer".into(), Condition::Always).await?;
            }
        }
        self.inner.put(key, body, condition).await
    }
    async fn delete(&self, key: &Key) -> bucketdb_driver::Result<()> {
        self.inner.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> bucketdb_driver::Result<bucketdb_driver::Page> {
        self.inner.list(prefix, next).await
    }
}

#[tokio::test]
async fn what_others_do_meanwhile_is_never_undone() {
    for is_removing in [true, false] {
        let inner = MemoryDriver::new();
        let others = with(inner.clone(), EncryptionKeys::new(secret(1)));
        others.put(&key(1), "older".into(), Condition::Always).await.unwrap();
        let meanwhile = Meanwhile { inner: inner.clone(), others, is_removing, is_done: AtomicBool::new(false) };
        let report = with(meanwhile, both()).rekey("").run(|_| true, |_| false, |_| {}).await.unwrap();
        let found = with(inner, EncryptionKeys::new(secret(2))).get(&key(1)).await;
        if is_removing {
            assert_eq!(report, RekeyReport { objects: 1, rewritten: 0, removed: 1 });
            assert!(found.unwrap_err().is_not_found());
        } else {
            assert_eq!(report, RekeyReport { objects: 1, rewritten: 1, removed: 0 });
            assert_eq!(found.unwrap().body, "newer");
        }
    }
}

/// A store without If-Match.
#[derive(Debug)]
struct Unconditional(MemoryDriver);

#[async_trait::async_trait]
impl Driver for Unconditional {
    async fn get(&self, key: &Key) -> bucketdb_driver::Result<bucketdb_driver::Object> {
        self.0.get(key).await
    }
    async fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<bucketdb_driver::ETag> {
        if matches!(condition, Condition::IfMatch(_)) {
            let operation = bucketdb_driver::Operation::Put;
            return Err(bucketdb_driver::DriverError::new(ErrorKind::Unsupported, operation, key.as_str(), "none"));
        }
        self.0.put(key, body, condition).await
    }
    async fn delete(&self, key: &Key) -> bucketdb_driver::Result<()> {
        self.0.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> bucketdb_driver::Result<bucketdb_driver::Page> {
        self.0.list(prefix, next).await
    }
}

#[tokio::test]
async fn without_a_condition_only_what_may_return_is_replaced() {
    let inner = MemoryDriver::new();
    with(inner.clone(), EncryptionKeys::new(secret(1))).put(&key(1), "x".into(), Condition::Always).await.unwrap();
    let store = with(Unconditional(inner.clone()), both());
    assert_eq!(store.rekey("").run(|_| true, |_| false, |_| {}).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(store.rekey("").run(|_| true, |_| true, |_| {}).await.unwrap().rewritten, 1);
    assert_eq!(with(inner, EncryptionKeys::new(secret(2))).get(&key(1)).await.unwrap().body, "x");
}
