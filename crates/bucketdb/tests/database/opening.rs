//! What it costs to open a database that has runs, and to read the first document from nothing: requests, and rounds of
//! requests that have to wait for each other.

use std::time::Duration;

use bucketdb::{
    Database, DelayDriver, Duplicates, Freshness, MemoryDriver, MeteredDriver, Operation, TokioEnvironment, Usage,
};

use crate::support::{User, metered, on, open, user};

const LATENCY: Duration = Duration::from_millis(100);

/// A database with a run of many documents, a checkpoint, and so many records behind it.
async fn database(tail: u32) -> MemoryDriver {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let users = db.table::<User>().await.unwrap();
    let mut load = users.bulk_load(Duplicates::Fail).await.unwrap();
    for number in 0..20_000 {
        load.add(&user(number)).await.unwrap();
    }
    load.finish().await.unwrap();
    db.checkpoint().await.unwrap();
    for number in 0..tail {
        users.put(&user(100_000 + number)).await.unwrap();
    }
    store
}

struct Opened {
    db: Database,
    meter: MeteredDriver,
    rounds: f64,
}

/// Opens with a store whose every request takes as long, and tells how many of them had to wait for each other.
async fn timed_open(store: &MemoryDriver) -> Opened {
    let meter = metered(store);
    let slow = DelayDriver::new(meter.clone(), TokioEnvironment::new()).reads(LATENCY).writes(LATENCY);
    let (db, rounds) = rounds(async { on(slow).staleness(Duration::from_secs(3600)).open().await.unwrap() }).await;
    Opened { db, meter, rounds }
}

async fn rounds<T>(work: impl Future<Output = T>) -> (T, f64) {
    #[expect(clippy::disallowed_methods, reason = "the clock stands still but for sleeps, which it jumps over")]
    let started = tokio::time::Instant::now();
    let outcome = work.await;
    (outcome, started.elapsed().as_secs_f64() / LATENCY.as_secs_f64())
}

#[tokio::test(start_paused = true)]
async fn opening_costs_what_it_should() {
    for (tail, most_rounds, most_requests) in [(0, 2.0, 4), (10, 3.0, 4 + 10 / 4), (250, 3.0, 4 + 250 / 4)] {
        let store = database(tail).await;
        let opened = timed_open(&store).await;
        let usage = opened.meter.usage();
        let (requests, rounds) = (usage.total_requests(), opened.rounds);
        assert_eq!(usage.requests(Operation::Get) + 1, requests, "gets and one list with a tail of {tail}");
        assert!(requests <= most_requests, "{requests} requests with a tail of {tail}");
        assert!(rounds <= most_rounds + 0.1, "{rounds} rounds with a tail of {tail}");
        opened.db.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_clean_close_opening_takes_two_rounds() {
    let store = database(0).await;
    let db = open(store.clone()).await;
    let users = db.table::<User>().await.unwrap();
    for number in 0..40 {
        users.put(&user(number)).await.unwrap();
    }
    db.close().await.unwrap();
    let opened = timed_open(&store).await;
    let requests = opened.meter.usage().total_requests();
    assert!(requests <= 4 && opened.rounds <= 2.1, "{requests} requests in {} rounds", opened.rounds);
    assert_eq!(opened.db.table::<User>().await.unwrap().get("u_39").await.unwrap(), Some(user(39)));
}

#[tokio::test(start_paused = true)]
async fn the_first_document_from_nothing_takes_five_requests() {
    let store = database(0).await;
    let opened = timed_open(&store).await;
    let users = opened.db.table::<User>().await.unwrap().with_freshness(Freshness::Local);
    assert_eq!(users.get("u_12345").await.unwrap(), Some(user(12_345)));
    let usage = opened.meter.usage();
    assert!(usage.total_requests() <= 5, "{usage:?}");
    assert!(usage.of(Operation::Get).bytes <= 256 << 10, "{usage:?}");

    let before = opened.meter.usage();
    assert_eq!(users.get("u_12345").await.unwrap(), Some(user(12_345)));
    assert_eq!((opened.meter.usage() - before).total_requests(), 0, "it is in memory");
    let before = opened.meter.usage();
    for number in 0..100 {
        assert_eq!(users.get(&*format!("u_1{number}x")).await.unwrap(), None);
    }
    let requests = (opened.meter.usage() - before).total_requests();
    assert!(requests <= 2, "{requests} requests for keys that are absent");
}

#[tokio::test(start_paused = true)]
async fn scans_take_few_ranges() {
    let store = database(0).await;
    for (rows, most) in [(100, 2), (20_000, 10)] {
        let opened = timed_open(&store).await;
        let users = opened.db.table::<User>().await.unwrap().with_freshness(Freshness::Local);
        let before = opened.meter.usage();
        assert_eq!(users.query().limit(rows).fetch().await.unwrap().len(), rows);
        let requests = (opened.meter.usage() - before).total_requests();
        assert!(requests <= most, "{requests} requests for {rows} rows");
    }
}

/// Opened, nothing of it read yet; 20,000 documents and two indexes in one tier.
async fn indexed() -> Opened {
    let store = database(0).await;
    let db = open(store.clone()).await;
    let users = db.table::<User>().await.unwrap();
    users.create_index("email").await.unwrap();
    users.create_index("role, age desc").await.unwrap();
    db.build_indexes().await.unwrap();
    db.compact().await.unwrap();
    db.close().await.unwrap();
    timed_open(&store).await
}

#[tokio::test(start_paused = true)]
async fn an_index_costs_what_it_should() {
    let Opened { db, meter, .. } = indexed().await;
    let users = db.table::<User>().await.unwrap();
    let gets = |before: &Usage| {
        let used = meter.usage() - before.clone();
        assert_eq!(used.requests(Operation::Get), used.total_requests());
        used.total_requests()
    };
    let by_email = |number: u32| {
        let email = format!("u{number}@example.org");
        users.query().filter(User::EMAIL.eq(email.as_str())).fetch()
    };
    // The index's part of the runs' index, the entry, and for the document the same again.
    let before = meter.usage();
    assert_eq!(by_email(777).await.unwrap(), [user(777)]);
    assert!(gets(&before) <= 4, "{} gets for the first match", gets(&before));
    let before = meter.usage();
    assert_eq!(by_email(777).await.unwrap(), [user(777)]);
    assert_eq!(by_email(777_777).await.unwrap(), []);
    assert!(gets(&before) <= 1, "{} gets for what was just read, and for what is not there", gets(&before));
    // In the order of the index, which is not that of the keys: the documents lie anywhere.
    let before = meter.usage();
    let query = users.query().filter(User::ROLE.eq("admin")).order_by(User::AGE.desc()).limit(20);
    assert!(query.clone().explain().await.unwrap().unwrap().chosen.is_ordered);
    let found = query.fetch().await.unwrap();
    assert!(found.iter().all(|user| user.age == 87 && user.role == "admin"), "{found:?}");
    assert!(gets(&before) <= 12, "{} gets for 20 documents in another order", gets(&before));
    // A write needs to know nothing.
    let before = meter.usage();
    users.put(&user(20_001)).await.unwrap();
    let used = meter.usage() - before;
    assert_eq!((used.requests(Operation::Put), used.total_requests()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_scan_of_a_hundred_rows_of_a_kilobyte_takes_two_ranges_wherever_it_begins() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let mut load = db.table::<User>().await.unwrap().bulk_load(Duplicates::Fail).await.unwrap();
    for number in 0..5_000_u32 {
        // A kilobyte in which nothing comes again.
        let hash = |part: u32| blake3::hash(&[number, part].map(u32::to_be_bytes).concat()).to_string();
        let email = (0..16).map(hash).collect();
        load.add(&User { email, ..user(100_000 + number) }).await.unwrap();
    }
    load.finish().await.unwrap();
    db.close().await.unwrap();
    for first in (1_000..1_070).step_by(7) {
        let opened = timed_open(&store).await;
        let users = opened.db.table::<User>().await.unwrap().with_freshness(Freshness::Local);
        let before = opened.meter.usage();
        let first = user(100_000 + first).id;
        let found = users.query().filter(User::ID.ge(first.as_str())).limit(100).fetch().await.unwrap();
        assert_eq!((found.len(), found[0].id.as_str()), (100, first.as_str()));
        let usage = opened.meter.usage() - before;
        assert!(usage.of(Operation::Get).bytes > 100_000, "{usage:?}");
        assert!(usage.total_requests() <= 2, "{usage:?} from {first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_was_loaded_and_closed_at_once_opens_in_two_rounds() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let mut load = db.table::<User>().await.unwrap().bulk_load(Duplicates::Fail).await.unwrap();
    for number in 0..20_000 {
        load.add(&user(number)).await.unwrap();
    }
    load.finish().await.unwrap();
    db.close().await.unwrap();
    let Opened { db, meter, rounds } = timed_open(&store).await;
    let requests = meter.usage().total_requests();
    assert!(requests <= 4 && rounds <= 2.1, "{requests} requests in {rounds} rounds");
    let again = metered(&store);
    let closed = on(again.clone()).open().await.unwrap();
    closed.table::<User>().await.unwrap().put(&user(1)).await.unwrap();
    let before = again.usage();
    closed.close().await.unwrap();
    assert_eq!((again.usage() - before).requests(Operation::Put), 0, "another one is not worth it");
    drop(db);
}
