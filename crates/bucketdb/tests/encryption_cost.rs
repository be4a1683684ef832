//! What encryption costs where nothing else does: the store is memory, so every figure is an upper bound of the share.
//!
//! `cargo test -p bucketdb --release --test encryption_cost -- --ignored --nocapture` prints a table for docs/encryption.md.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement stops where it fails")]

use std::sync::Arc;
use std::time::Duration;

use bucketdb::{
    Condition, Database, Driver, Duplicates, EncryptedDriver, EncryptionKey, EncryptionKeys, Environment, Freshness,
    Key, MemoryDriver, StoreCheck, TokioEnvironment,
};
use futures::StreamExt;
use serde_json::json;

/// Each figure is the best of so many, taken by turns: a machine that does something else now and then spoils neither side.
const ROUNDS: u32 = 9;

fn keys() -> EncryptionKeys {
    EncryptionKeys::new(EncryptionKey::from_bytes([1; 32]))
}

/// Prints how much is done a second, in the clear and encrypted, by an action that does so much each time.
async fn measure(what: &str, unit: &str, amount: f64, mut act: impl AsyncFnMut(usize)) {
    let env = TokioEnvironment::new();
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (side, fastest) in fastest.iter_mut().enumerate() {
            let begun = env.monotonic();
            act(side).await;
            *fastest = (*fastest).min(env.monotonic() - begun);
        }
    }
    let [clear, sealed] = fastest.map(|took| amount / took.as_secs_f64());
    let share = 100.0 * (sealed / clear - 1.0);
    println!("| {what} | {clear:.0} {unit} | {sealed:.0} {unit} | {share:+.0} % |");
}

/// Puts and gets of objects of so many bytes.
async fn objects(size_bytes: usize, times: u32) {
    let key = Key::new("a").unwrap();
    let body: bytes::Bytes = (0..size_bytes).map(|index| (index * 31 % 251) as u8).collect();
    let sealed = EncryptedDriver::new(Arc::new(MemoryDriver::new()), keys(), Arc::new(TokioEnvironment::new()));
    let drivers: [Arc<dyn Driver>; 2] = [Arc::new(MemoryDriver::new()), Arc::new(sealed)];
    let (kib, megabytes) = (size_bytes >> 10, f64::from(times) * size_bytes as f64 / 1e6);
    measure(&format!("put of {kib} KiB"), "MB/s", megabytes, async |side| {
        for _ in 0..times {
            // A store that is not this process copies what it is given.
            let copy = bytes::Bytes::copy_from_slice(&body);
            drivers[side].put(&key, copy, Condition::Always).await.unwrap();
        }
    })
    .await;
    measure(&format!("get of {kib} KiB"), "MB/s", megabytes, async |side| {
        for _ in 0..times {
            let copy = drivers[side].get(&key).await.unwrap().body.to_vec();
            assert_eq!(copy.len(), size_bytes);
        }
    })
    .await;
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
    let databases = [database(false).await, database(true).await];
    let mut next = 0;
    measure("commits, one after the other", "/s", COMMITS as f64, async |side| {
        let written = databases[side].collection("written");
        for _ in 0..COMMITS {
            next += 1;
            let text = "a document of about a hundred bytes, as small ones are";
            written.put(&json!({"id": next, "text": text})).await.unwrap();
        }
    })
    .await;
    for db in &databases {
        let loaded = db.collection("loaded");
        loaded.put(&json!({"id": ROWS})).await.unwrap();
        let mut load = loaded.bulk_load(Duplicates::Fail).await.unwrap();
        for id in 0..ROWS {
            let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let text = format!("{mixed:016x}{:016x}", mixed.rotate_left(17));
            load.add_value(&json!({"id": id, "text": text, "n": mixed % 1000})).await.unwrap();
        }
        load.finish().await.unwrap();
        db.compact().await.unwrap();
    }
    measure("rows of a scan", "/s", ROWS as f64, async |side| {
        let loaded = databases[side].collection("loaded").with_freshness(Freshness::Local);
        let mut found = std::pin::pin!(loaded.query().stream().await.unwrap());
        let mut count = 0;
        while let Some(document) = found.next().await {
            document.unwrap();
            count += 1;
        }
        assert_eq!(count, ROWS + 1);
    })
    .await;
}

#[tokio::test]
#[ignore = "measures, and asserts nothing"]
async fn the_cost_of_encryption() {
    println!("| | in the clear | encrypted | |\n|---|--:|--:|--:|");
    objects(64 << 10, 500).await;
    objects(8 << 20, 10).await;
    databases().await;
}
