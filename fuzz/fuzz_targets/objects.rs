//! Whole databases of which bytes were changed, with checksums that fit: opening, reading, verifying, writing and merging end
//! with an answer or an error, never with a panic, and never take memory that what is stored does not account for.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use bucketdb::{Cache, Condition, Database, Document, Driver, Duplicates, Key};
use bucketdb_fuzz::{Edit, KnownStore, edited};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

#[derive(Arbitrary, Debug)]
struct Input {
    object: u8,
    edits: Vec<Edit>,
    /// Whether the process that meets it only reads.
    is_reader: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "users", version = 1)]
struct User {
    #[document(key)]
    id: u32,
    #[document(unique)]
    email: String,
    #[document(index)]
    age: Option<u8>,
    #[document(ttl)]
    ends: Option<u64>,
    tags: Vec<String>,
}

struct Base {
    runtime: Runtime,
    objects: Vec<(Key, Bytes)>,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let objects = runtime.block_on(base());
    Base { runtime, objects }
});

fn user(id: u32) -> User {
    let age = (!id.is_multiple_of(7)).then_some(id as u8);
    let ends = id.is_multiple_of(5).then(|| 4_000_000_000_000 + u64::from(id));
    User { id, email: format!("{id}@example.org"), age, ends, tags: (0..id % 4).map(|tag| format!("t{tag}")).collect() }
}

async fn open(store: &KnownStore, is_reader: bool) -> bucketdb::Result<Database> {
    let timeout = Duration::from_millis(200);
    let builder =
        Database::builder().driver(store.clone()).prefix("db").commit_timeout(timeout).request_timeout(timeout);
    // Caches tell runs apart by their checksums, which are zero here.
    builder.cache(Cache::new(0)).read_only(is_reader).open().await
}

/// Records of many kinds, checkpoints, runs, loads, indexes, and a tail.
async fn base() -> Vec<(Key, Bytes)> {
    let store = KnownStore::default();
    let db = open(&store, false).await.unwrap();
    let users = db.table::<User>().await.unwrap();
    users.create_index("tags[*], age desc").await.unwrap();
    for id in 0..20 {
        users.insert(&user(id)).await.unwrap();
    }
    db.checkpoint().await.unwrap();
    db.build_indexes().await.unwrap();
    let mut load = users.bulk_load(Duplicates::Replace).await.unwrap();
    for id in 15..60 {
        load.add(&user(id)).await.unwrap();
    }
    load.finish().await.unwrap();
    db.collection("events")
        .insert(&json!({"id": 1, "text": "x".repeat(300), "at": {"place": [1, 2.5, null]}}))
        .await
        .unwrap();
    db.checkpoint().await.unwrap();
    for id in 3..9 {
        users.delete(id).await.unwrap();
    }
    users.put(&user(70)).await.unwrap();
    db.close().await.unwrap();
    let mut objects = Vec::new();
    for info in store.list("", None).await.unwrap().objects {
        let body = store.get(&info.key).await.unwrap().body;
        objects.push((info.key, body));
    }
    objects
}

async fn use_it(store: &KnownStore, is_reader: bool) -> bucketdb::Result<()> {
    let db = open(store, is_reader).await?;
    let users = db.table::<User>().await?;
    // Each of them may fail, and the others go on.
    let _ = users.get(3).await;
    let _ = users.query().fetch().await;
    let _ = users.query().filter(User::EMAIL.eq("9@example.org")).fetch().await;
    let _ = users.query().filter(User::AGE.ge(10)).order_by(User::AGE).limit(5).fetch().await;
    let _ = db.collection("users").query().filter_text("tags[*] = 't1'").unwrap().count().await;
    let _ = db.collection("events").query().fetch().await;
    let _ = db.verify(|_| ()).await;
    if !is_reader {
        let _ = users.put(&user(3)).await;
        let _ = db.checkpoint().await;
        let _ = db.compact().await;
        let _ = db.collect_garbage().await;
    }
    let _ = db.close().await;
    Ok(())
}

fuzz_target!(|input: Input| {
    let base = &*BASE;
    let damaged = usize::from(input.object) % base.objects.len();
    base.runtime.block_on(async {
        let store = KnownStore::default();
        for (number, (key, body)) in base.objects.iter().enumerate() {
            let body = if number == damaged { edited(body, &input.edits) } else { body.clone() };
            store.put(key, body, Condition::Always).await.unwrap();
        }
        let _ = use_it(&store, input.is_reader).await;
    });
});
