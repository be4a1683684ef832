//! What encryption costs where nothing else does: the store is memory, so every figure is an upper bound of the share.
//!
//! `cargo test -p bucketdb --release --test encryption_cost -- --ignored --nocapture` prints a table for docs/encryption.md.
#![expect(clippy::unwrap_used, reason = "a measurement stops where it fails")]

use std::sync::Arc;
use std::time::Duration;

use bucketdb::{
    Condition, Database, Driver, Duplicates, EncryptedDriver, EncryptionKey, EncryptionKeys, Environment, Freshness,
    Key, MemoryDriver, StoreCheck, TokioEnvironment,
};
use futures::StreamExt;
use serde_json::json;

/// Each figure is the best of so many.
const ROUNDS: u32 = 5;

fn keys() -> EncryptionKeys {
    EncryptionKeys::new(EncryptionKey::from_bytes([1; 32]))
}

/// The shortest time that an action took.
async fn fastest(env: &TokioEnvironment, mut act: impl AsyncFnMut()) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        let begun = env.monotonic();
        act().await;
        fastest = fastest.min(env.monotonic() - begun);
    }
    fastest
}

fn print(what: &str, unit: &str, [clear, sealed]: [f64; 2]) {
    let share = 100.0 * (sealed / clear - 1.0);
    println!("| {what} | {clear:.0} {unit} | {sealed:.0} {unit} | {share:+.0} % |");
}

/// Puts and gets of objects of so many bytes: MB a second.
async fn objects(size_bytes: usize, times: u32) {
    let env = TokioEnvironment::new();
    let key = Key::new("a").unwrap();
    let body: bytes::Bytes = (0..size_bytes).map(|index| (index * 31 % 251) as u8).collect();
    let sealed = EncryptedDriver::new(Arc::new(MemoryDriver::new()), keys(), Arc::new(TokioEnvironment::new()));
    let mut rates = [[0.0; 2]; 2];
    for (column, driver) in [&MemoryDriver::new() as &dyn Driver, &sealed].into_iter().enumerate() {
        let puts = fastest(&env, async || {
            for _ in 0..times {
                // A store that is not this process copies what it is given.
                let copy = bytes::Bytes::copy_from_slice(&body);
                driver.put(&key, copy, Condition::Always).await.unwrap();
            }
        })
        .await;
        let gets = fastest(&env, async || {
            for _ in 0..times {
                let copy = driver.get(&key).await.unwrap().body.to_vec();
                assert_eq!(copy.len(), size_bytes);
            }
        })
        .await;
        for (rate, took) in rates.iter_mut().zip([puts, gets]) {
            let megabytes = f64::from(times) * size_bytes as f64 / 1e6;
            *rate.get_mut(column).unwrap() = megabytes / took.as_secs_f64();
        }
    }
    let [puts, gets] = rates;
    print(&format!("put of {} KiB", size_bytes >> 10), "MB/s", puts);
    print(&format!("get of {} KiB", size_bytes >> 10), "MB/s", gets);
}

async fn database(is_encrypted: bool) -> Database {
    let builder = Database::builder().driver(MemoryDriver::new()).store_check(StoreCheck { rounds: 2, racers: 3 });
    // Too little memory to keep the rows, so that every scan reads them from the store.
    let builder = builder.max_memory(8 << 20);
    if is_encrypted { builder.encryption(keys()).open().await.unwrap() } else { builder.open().await.unwrap() }
}

async fn databases() {
    const COMMITS: u64 = 2_000;
    const ROWS: u64 = 300_000;
    let env = TokioEnvironment::new();
    let (mut commits, mut rows) = ([0.0; 2], [0.0; 2]);
    for (column, is_encrypted) in [false, true].into_iter().enumerate() {
        let db = database(is_encrypted).await;
        let written = db.collection("written");
        let mut next = 0;
        let took = fastest(&env, async || {
            for _ in 0..COMMITS {
                next += 1;
                written
                    .put(&json!({"id": next, "text": "a document of about a hundred bytes, as small ones are"}))
                    .await
                    .unwrap();
            }
        })
        .await;
        *commits.get_mut(column).unwrap() = COMMITS as f64 / took.as_secs_f64();
        let loaded = db.collection("loaded").with_freshness(Freshness::Local);
        loaded.put(&json!({"id": ROWS})).await.unwrap();
        let mut load = loaded.bulk_load(Duplicates::Fail).await.unwrap();
        for id in 0..ROWS {
            let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            load.add_value(
                &json!({"id": id, "text": format!("{mixed:016x}{:016x}", mixed.rotate_left(17)), "n": mixed % 1000}),
            )
            .await
            .unwrap();
        }
        load.finish().await.unwrap();
        db.compact().await.unwrap();
        let took = fastest(&env, async || {
            let mut found = std::pin::pin!(loaded.query().stream().await.unwrap());
            let mut count = 0;
            while let Some(document) = found.next().await {
                document.unwrap();
                count += 1;
            }
            assert_eq!(count, ROWS + 1);
        })
        .await;
        *rows.get_mut(column).unwrap() = ROWS as f64 / took.as_secs_f64();
    }
    print("commits, one after the other", "/s", commits);
    print("rows of a scan", "/s", rows);
}

#[tokio::test]
#[ignore = "measures, and asserts nothing"]
async fn the_cost_of_encryption() {
    println!("| | in the clear | encrypted | |\n|---|--:|--:|--:|");
    objects(64 << 10, 500).await;
    objects(8 << 20, 10).await;
    databases().await;
}
