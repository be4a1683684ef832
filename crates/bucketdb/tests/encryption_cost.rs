//! What encryption costs where nothing else does: the store is memory, so every figure is an upper bound of the share.
//!
//! `cargo test -p bucketdb --release --test encryption_cost -- --ignored --nocapture` prints a table for docs/encryption.md.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement stops where it fails")]

use std::sync::Arc;
use std::time::Duration;

use bucketdb::{
    Condition, Database, DatabaseBuilder, Driver, Duplicates, EncryptedDriver, EncryptionKey, EncryptionKeys,
    Environment, Freshness, Key, MemoryDriver, MeteredDriver, Operation, StoreCheck, TokioEnvironment,
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

fn builder(store: impl Driver, is_encrypted: bool) -> DatabaseBuilder {
    let builder = Database::builder().driver(store).store_check(StoreCheck { rounds: 2, racers: 3 });
    // Too little memory to keep the rows, so that every scan reads them from the store.
    let builder = builder.max_memory(8 << 20);
    if is_encrypted { builder.encryption(keys()) } else { builder }
}

async fn database(is_encrypted: bool) -> Database {
    builder(MemoryDriver::new(), is_encrypted).open().await.unwrap()
}

const ROWS: u64 = 300_000;

/// Rows of which a block in memory holds few, and of which little is compressed away.
async fn load(db: &Database) {
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

/// Reads all rows, and counts them.
async fn scan(db: &Database) {
    let loaded = db.collection("loaded").with_freshness(Freshness::Local);
    let mut found = std::pin::pin!(loaded.query().stream().await.unwrap());
    let mut count = 0;
    while let Some(document) = found.next().await {
        document.unwrap();
        count += 1;
    }
    assert_eq!(count, ROWS + 1);
}

/// Reads from a folder that holds all of it, which the machine keeps in memory as far as it does so with files.
async fn cached() {
    const READS: u64 = 2_000;
    let folder = tempfile::tempdir().unwrap();
    let mut databases = Vec::new();
    for is_encrypted in [false, true] {
        let store = MeteredDriver::new(MemoryDriver::new(), TokioEnvironment::new());
        let kept = || builder(store.clone(), is_encrypted).cache_dir(folder.path(), 1 << 30);
        let db = kept().open().await.unwrap();
        load(&db).await;
        scan(&db).await;
        db.close().await.unwrap();
        let db = kept().open().await.unwrap();
        // A row by itself reads parts that a scan does not, and what memory has from opening is read again once a scan took its place.
        for _ in 0..2 {
            for id in 0..READS {
                read_one(&db, id).await;
            }
            scan(&db).await;
        }
        let before = store.usage();
        databases.push((db, store, before));
    }
    measure("rows of a scan, from `cache_dir`", "/s", ROWS as f64, async |side| scan(&databases[side].0).await).await;
    measure("rows one by one, from `cache_dir`", "/s", READS as f64, async |side| {
        for id in 0..READS {
            read_one(&databases[side].0, id).await;
        }
    })
    .await;
    for (_, store, before) in databases {
        assert_eq!((store.usage() - before).requests(Operation::Get), 0);
    }
}

/// One row, far from the one before.
async fn read_one(db: &Database, number: u64) {
    let id = number * 7_919_993 % ROWS;
    let loaded = db.collection("loaded").with_freshness(Freshness::Local);
    assert_eq!(loaded.get(&json!(id)).await.unwrap().unwrap()["id"], json!(id));
}

async fn databases() {
    const COMMITS: u64 = 2_000;
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
        load(db).await;
    }
    measure("rows of a scan", "/s", ROWS as f64, async |side| scan(&databases[side]).await).await;
}

#[tokio::test]
#[ignore = "measures, and asserts nothing"]
async fn the_cost_of_encryption() {
    println!("| | in the clear | encrypted | |\n|---|--:|--:|--:|");
    objects(64 << 10, 500).await;
    objects(8 << 20, 10).await;
    databases().await;
    cached().await;
}
