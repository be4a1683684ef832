//! A bad byte anywhere is an error that names the object, and never a wrong answer.

use bucketdb::{Condition, Driver, Key, MemoryDriver};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{User, on, open, user};

/// A database with records of every kind, and its objects.
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
    db.collection("events").insert(&json!({"id": 1, "text": "x".repeat(600)})).await.unwrap();
    db.set_ring_size(3).await.unwrap();
    users.delete("u_1").await.unwrap();
    db.close().await.unwrap();
    let page = store.list("", None).await.unwrap();
    let keys: Vec<Key> = page.objects.into_iter().map(|object| object.key).collect();
    assert_eq!(keys.len(), 8, "genesis, two schemas, three writes, options, a delete");
    (store, keys)
}

/// What opening says after the object was replaced, if it reads every object.
async fn opened_with(store: &MemoryDriver, key: &Key, body: Vec<u8>) -> Result<(), String> {
    let original = store.get(key).await.unwrap().body;
    store.put(key, body.into(), Condition::Always).await.unwrap();
    let outcome = on(store.clone()).thorough(true).open().await.map(|_| ()).map_err(|error| error.to_string());
    store.put(key, original, Condition::Always).await.unwrap();
    outcome
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

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
                let error = opened_with(&store, key, bytes).await.expect_err(what);
                assert!(error.contains(key.as_str()), "{what} at {at}: {error}");
            }
            assert_eq!(opened_with(&store, key, body).await, Ok(()));
        });
    }
}

#[tokio::test]
async fn a_missing_record_names_itself() {
    let (store, keys) = sample().await;
    for key in &keys[..keys.len() - 1] {
        let original = store.get(key).await.unwrap().body;
        store.delete(key).await.unwrap();
        let error = on(store.clone()).open().await.unwrap_err().to_string();
        assert!(error.contains(key.as_str()) && error.contains("missing"), "{error}");
        store.put(key, original, Condition::Always).await.unwrap();
    }
}
