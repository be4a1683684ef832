//! Caches that outlive a database, or serve several.

use bucketdb::{Cache, DatabaseBuilder, Duplicates, Freshness, MemoryDriver, Operation};

use crate::support::{User, metered, on, open, user};

const DOCUMENTS: u32 = 5000;

async fn filled() -> MemoryDriver {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let users = db.table::<User>().await.unwrap();
    let mut load = users.bulk_load(Duplicates::Fail).await.unwrap();
    for number in 0..DOCUMENTS {
        load.add(&user(number)).await.unwrap();
    }
    load.finish().await.unwrap();
    db.checkpoint().await.unwrap();
    db.close().await.unwrap();
    store
}

/// Opens the database, reads all documents and some of them again, and says how many gets the reading took.
async fn gets_of_reading(store: &MemoryDriver, options: impl FnOnce(DatabaseBuilder) -> DatabaseBuilder) -> u64 {
    let meter = metered(store);
    let db = options(on(meter.clone())).open().await.unwrap();
    // Local reads ask for nothing of the log.
    let users = db.table::<User>().await.unwrap().with_freshness(Freshness::Local);
    let before = meter.usage();
    for number in [17, 1234, 4321] {
        assert_eq!(users.get(user(number).id).await.unwrap(), Some(user(number)));
    }
    assert_eq!(users.query().fetch().await.unwrap().len(), DOCUMENTS as usize);
    let gets = (meter.usage() - before).requests(Operation::Get);
    db.close().await.unwrap();
    gets
}

#[tokio::test]
async fn the_next_process_finds_what_was_read_in_the_folder() {
    let (store, folder) = (filled().await, tempfile::tempdir().unwrap());
    let kept = |builder: DatabaseBuilder| builder.cache_dir(folder.path().join("cache"), 100 << 20);
    assert!(gets_of_reading(&store, kept).await > 0);
    assert_eq!(gets_of_reading(&store, kept).await, 0);
    assert!(gets_of_reading(&store, |builder| builder).await > 0, "without the folder");
}

#[tokio::test]
async fn databases_share_a_cache() {
    let (store, cache) = (filled().await, Cache::new(64 << 20));
    let shared = |builder: DatabaseBuilder| builder.cache(cache.clone());
    assert!(gets_of_reading(&store, shared).await > 0);
    let usage = cache.usage();
    assert!(usage > 0);
    assert_eq!(gets_of_reading(&store, shared).await, 0);
    assert_eq!(cache.usage(), usage, "the same parts are kept once");
    let other = filled().await;
    assert!(gets_of_reading(&other, shared).await > 0, "another database has other runs");
    assert!(cache.usage() > usage);
}
