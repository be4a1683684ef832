//! Many databases in one store: finding them without reading what they hold, and keeping them open for nothing.

use bucketdb::{Condition, Database, Driver, FoundDatabase, Key, MemoryDriver, StoreCheck};
use serde_json::json;

use crate::support::metered;

async fn put(store: &MemoryDriver, key: &str) {
    store.put(&Key::new(key).unwrap(), "".into(), Condition::Always).await.unwrap();
}

async fn create(store: &MemoryDriver, prefix: &str) -> Database {
    let check = StoreCheck { rounds: 2, racers: 3 };
    let builder = Database::builder().driver(store.clone()).prefix(prefix).store_check(check);
    let db = builder.open().await.unwrap();
    db.collection("t").insert(&json!({"id": 1})).await.unwrap();
    db
}

async fn list(driver: impl Driver, under: &str) -> Vec<FoundDatabase> {
    Database::builder().driver(driver).prefix(under).list_databases().await.unwrap()
}

fn prefixes(found: &[FoundDatabase]) -> Vec<&str> {
    found.iter().map(|found| found.prefix.as_str()).collect()
}

#[tokio::test]
async fn a_listing_finds_every_database_and_nothing_else() {
    let store = MemoryDriver::new();
    assert_eq!(list(store.clone(), "").await, []);
    let mut ids = Vec::new();
    for prefix in ["a", "a-b", "a/", "b/c/d", "b/c0", "log", "tenants/1", "tenants/10", "zoo/run/x"] {
        if prefix != "a/" {
            ids.push(create(&store, prefix).await.stats().unwrap().database);
        }
    }
    // What others keep beside them, some of it named as if it were a database's.
    for key in ["a.txt", "b/head", "b/c/log/1", "photos/run/1.jpg", "tenants/readme", "tenants/2/head", "z"] {
        put(&store, key).await;
    }
    put(&store, "fake/run/00000000000000000001-00000000000000000000000000000001").await;
    put(&store, "fake/run/00000000000000000001-00000000000000000000000000000002").await;
    let found = list(store.clone(), "").await;
    let expected = ["a-b/", "a/", "b/c/d/", "b/c0/", "log/", "tenants/1/", "tenants/10/", "zoo/run/x/"];
    assert_eq!(prefixes(&found), expected);
    let mut known: Vec<_> = found.iter().map(|found| found.database.unwrap()).collect();
    known.sort_unstable();
    ids.sort_unstable();
    assert_eq!(known, ids);
    assert!(found.iter().all(|found| !found.is_dropped && format!("{}/", found.name) == found.prefix));
    assert_eq!(prefixes(&list(store.clone(), "tenants").await), ["tenants/1/", "tenants/10/"]);
    assert_eq!(prefixes(&list(store.clone(), "tenants/1").await), ["tenants/1/"]);
    assert_eq!(prefixes(&list(store.clone(), "none").await), [""; 0]);
    let dropped = Database::builder().driver(store.clone()).prefix("tenants/1").drop_database("tenants/1", false).await;
    assert!(dropped.unwrap().records_left > 0);
    let found = list(store.clone(), "tenants").await;
    assert_eq!(found.iter().map(|found| found.is_dropped).collect::<Vec<_>>(), [true, false]);
    assert!(found[0].database.is_some());
}

#[tokio::test]
async fn one_that_has_the_store_for_itself_is_found_too() {
    let store = MemoryDriver::new();
    let db = create(&store, "").await;
    let found = list(store.clone(), "").await;
    assert_eq!((prefixes(&found), found[0].database), (vec![""], Some(db.stats().unwrap().database)));
    assert_eq!(found[0].name, db.name());
    assert!(!db.name().is_empty());
}

#[tokio::test]
async fn databases_are_found_without_listing_what_they_hold() {
    const DATABASES: u64 = 40;
    let store = MemoryDriver::new();
    for number in 0..DATABASES {
        let db = create(&store, &format!("t/{number:03}")).await;
        db.checkpoint().await.unwrap();
        // A blob, a run or a manifest by its name.
        for (kind, objects) in [("blob", 2_000), ("run", 1_500)] {
            for object in 0..objects {
                put(&store, &format!("t/{number:03}/{kind}/{:020}-{object:032x}", 1)).await;
            }
        }
    }
    let meter = metered(&store);
    let found = list(meter.clone(), "t").await;
    assert_eq!(found.len() as u64, DATABASES);
    assert!(found.iter().all(|found| found.database.is_some()));
    let requests = meter.usage().total_requests();
    assert!(requests <= 4 * DATABASES + 1, "{requests} requests for {DATABASES} databases");
}
