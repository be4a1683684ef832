//! A thousand open databases that nobody uses. By itself in a process, since it measures what that has in memory.

use std::time::Duration;

use bucketdb::{
    Cache, Database, Duplicates, Freshness, KeyType, MemoryDriver, MeteredDriver, Schema, StoreCheck, TokioEnvironment,
};
use serde_json::json;

/// An hour in which nobody does anything.
#[tokio::test(start_paused = true)]
async fn a_thousand_idle_databases_cost_no_request_and_share_one_cache() {
    const DATABASES: u64 = 1_000;
    let meter = MeteredDriver::new(MemoryDriver::new(), TokioEnvironment::new());
    let cache = Cache::new(32 << 20);
    let mut open = Vec::new();
    let before_bytes = resident_bytes();
    for number in 0..DATABASES {
        let builder = Database::builder().driver(meter.clone()).prefix(format!("t/{number}")).cache(cache.clone());
        let check = StoreCheck { rounds: 2, racers: 3 };
        let db = builder.max_memory(8 << 20).store_check(check).open().await.unwrap();
        if number % 100 == 0 {
            let things = db.create_collection(Schema::open("things", "id", KeyType::Integer)).await.unwrap();
            let mut load = things.bulk_load(Duplicates::Fail).await.unwrap();
            load.add_value(&json!({"id": 1})).await.unwrap();
            load.finish().await.unwrap();
            let local = things.with_freshness(Freshness::Local);
            assert_eq!(local.get(&json!(1)).await.unwrap(), Some(json!({"id": 1})));
        }
        open.push(db);
    }
    // What the store keeps in memory is among it.
    let each_bytes = resident_bytes().saturating_sub(before_bytes) / DATABASES;
    println!("an open idle database takes {each_bytes} bytes");
    assert!(each_bytes < 200 << 10, "{each_bytes} bytes for each");
    assert!(cache.usage() > 0 && cache.usage() <= cache.capacity());
    // What goes on after opening.
    sleep(60).await;
    let before = meter.usage();
    sleep(3_600).await;
    assert_eq!((meter.usage() - before).total_requests(), 0);
}

#[expect(clippy::disallowed_methods, reason = "the clock of tokio is paused")]
async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// What this process has in memory; 0 where that cannot be told.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 4096
}
