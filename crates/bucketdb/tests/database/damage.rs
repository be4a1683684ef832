//! A bad byte anywhere is an error that names the object, and never a wrong answer.

use bucketdb::{Condition, Driver, Duplicates, Key, MemoryDriver};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{User, on, open, user};

/// A database with records of every kind, checkpoints, runs and a bulk load, and its objects.
async fn sample() -> (MemoryDriver, Vec<Key>) {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let users = db.table::<User>().await.unwrap();
    users.insert(&user(1)).await.unwrap();
    let mut batch = db.batch();
    for number in 2..40 {
        batch.put(&user(number)).unwrap();
    }
    batch.commit().await.unwrap();
    db.checkpoint().await.unwrap();
    db.collection("events").insert(&json!({"id": 1, "text": "x".repeat(600)})).await.unwrap();
    db.set_ring_size(3).await.unwrap();
    users.delete("u_1").await.unwrap();
    let mut load = users.bulk_load(Duplicates::Replace).await.unwrap();
    for number in 30..60 {
        load.add(&user(number)).await.unwrap();
    }
    load.finish().await.unwrap();
    db.checkpoint().await.unwrap();
    users.put(&user(1)).await.unwrap();
    db.close().await.unwrap();
    let page = store.list("", None).await.unwrap();
    let keys: Vec<Key> = page.objects.into_iter().map(|object| object.key).collect();
    let count = |folder: &str| keys.iter().filter(|key| key.as_str().starts_with(folder)).count();
    assert_eq!((count("db/log/"), count("db/manifest/"), count("db/head")), (13, 2, 1), "{keys:?}");
    assert!(count("db/run/") >= 3, "{keys:?}");
    (store, keys)
}

/// What opening and verification say after the object was replaced.
async fn checked_with(store: &MemoryDriver, key: &Key, body: Vec<u8>) -> Result<(), String> {
    let original = store.get(key).await.unwrap().body;
    store.put(key, body.into(), Condition::Always).await.unwrap();
    let outcome = check(store).await;
    store.put(key, original, Condition::Always).await.unwrap();
    outcome
}

async fn check(store: &MemoryDriver) -> Result<(), String> {
    let db = on(store.clone()).read_only(true).open().await.map_err(|error| error.to_string())?;
    let verification = db.verify(|_| ()).await.map_err(|error| error.to_string())?;
    match verification.findings.first() {
        None => Ok(()),
        Some(_) => Err(verification.findings.iter().map(|finding| finding.what.clone() + "; ").collect()),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(crate::support::cases(256))]

    #[test]
    fn every_flipped_byte_and_every_cut_names_its_object(
        object: prop::sample::Index, place: prop::sample::Index, flip in 1u8..,
    ) {
        block_on(async {
            let (store, keys) = sample().await;
            let key = object.get(&keys);
            let body = store.get(key).await.unwrap().body.to_vec();
            let at = place.index(body.len());
            let mut flipped = body.clone();
            flipped[at] ^= flip;
            for (what, bytes) in [("flipped", flipped), ("cut", body[..at].to_vec())] {
                let error = checked_with(&store, key, bytes).await.expect_err(what);
                assert!(error.contains(key.as_str()), "{what} at {at}: {error}");
            }
            assert_eq!(checked_with(&store, key, body).await, Ok(()));
        });
    }
}

#[tokio::test]
async fn a_missing_object_names_itself() {
    let (store, keys) = sample().await;
    for key in keys.iter().filter(|key| !key.as_str().ends_with("head")) {
        // The newest record is the one that nobody can miss.
        if key.as_str().ends_with("log/00000000000000000013") {
            continue;
        }
        let original = store.get(key).await.unwrap().body;
        store.delete(key).await.unwrap();
        let error = check(&store).await.expect_err(key.as_str());
        assert!(error.contains(key.as_str()) && error.contains("missing"), "{error}");
        store.put(key, original, Condition::Always).await.unwrap();
    }
}
