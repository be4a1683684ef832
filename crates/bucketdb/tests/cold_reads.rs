//! What reading costs in requests when nothing or little of the runs is in memory, where these have many partitions. The
//! figures for a million documents are printed by
//! `cargo test -p bucketdb --release --no-default-features --test cold_reads -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it fails")]

use std::time::Duration;

use bucketdb::{
    Database, DatabaseBuilder, DelayDriver, Document, Driver, Duplicates, Freshness, MemoryDriver, MeteredDriver,
    Operation, StoreCheck, Table, TokioEnvironment, Usage,
};
use serde::{Deserialize, Serialize};

const LATENCY: Duration = Duration::from_millis(100);

/// A document of about 200 bytes, of which half does not compress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "people")]
struct Person {
    #[document(key)]
    id: u64,
    name: String,
    email: String,
    city: String,
    balance_cents: i64,
    note: String,
}

fn person(id: u64) -> Person {
    let mut noise = Noise(id);
    let mut hex = || format!("{:016x}", noise.next());
    Person {
        id,
        name: format!("Chiara {}", hex()),
        email: format!("{}@example.org", hex()),
        city: "Lugano".to_owned(),
        balance_cents: id as i64 * 17,
        note: format!("{}{}", hex(), hex()),
    }
}

/// Numbers without a pattern, the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A database of so many documents, with even ids: those in between are absent, and lie where others are.
struct Loaded {
    store: MemoryDriver,
    documents: u64,
    options: fn(DatabaseBuilder) -> DatabaseBuilder,
}

/// A builder whose trial of the store is short.
fn on(driver: impl Driver) -> DatabaseBuilder {
    Database::builder().driver(driver).store_check(StoreCheck { rounds: 2, racers: 3 })
}

struct Opened {
    db: Database,
    people: Table<Person>,
    meter: MeteredDriver,
}

impl Loaded {
    async fn new(documents: u64, options: fn(DatabaseBuilder) -> DatabaseBuilder) -> Self {
        let store = MemoryDriver::new();
        let db = options(on(store.clone())).open().await.unwrap();
        let people = db.table::<Person>().await.unwrap();
        let mut load = people.bulk_load(Duplicates::Fail).await.unwrap();
        for number in 0..documents {
            load.add(&person(2 * number)).await.unwrap();
        }
        load.finish().await.unwrap();
        db.checkpoint().await.unwrap();
        // Some are written again, so that not all of the database is one tier.
        for number in 0..200 {
            people.put(&person(2 * number)).await.unwrap();
        }
        db.close().await.unwrap();
        Self { store, documents, options }
    }

    /// As a process that knows nothing; every request takes as long.
    async fn open(&self) -> Opened {
        let meter = MeteredDriver::new(self.store.clone(), TokioEnvironment::new());
        let slow = DelayDriver::new(meter.clone(), TokioEnvironment::new()).reads(LATENCY).writes(LATENCY);
        let db = (self.options)(on(slow)).staleness(Duration::from_secs(86_400)).open().await.unwrap();
        let people = db.table::<Person>().await.unwrap().with_freshness(Freshness::Local);
        Opened { db, people, meter }
    }
}

impl Opened {
    async fn cost(&self, work: impl Future<Output = ()>) -> Usage {
        let before = self.meter.usage();
        work.await;
        self.meter.usage() - before
    }

    async fn cost_of_get(&self, id: u64) -> Usage {
        self.cost(async { assert_eq!(self.people.get(id).await.unwrap(), Some(person(id))) }).await
    }
}

fn bytes(usage: &Usage) -> u64 {
    usage.of(Operation::Get).bytes
}

async fn rounds<T>(work: impl Future<Output = T>) -> (T, f64) {
    #[expect(clippy::disallowed_methods, reason = "the clock stands still but for sleeps, which it jumps over")]
    let started = tokio::time::Instant::now();
    let outcome = work.await;
    (outcome, started.elapsed().as_secs_f64() / LATENCY.as_secs_f64())
}

async fn judge(loaded: &Loaded, warm_step: usize) {
    let documents = loaded.documents;
    let (opened, opening_rounds) = rounds(loaded.open()).await;
    let opening = opened.meter.usage();
    println!("opening: {} requests, {} bytes, {opening_rounds:.1} rounds", opening.total_requests(), bytes(&opening));
    let used = opened.cost_of_get(documents / 2 * 2).await;
    println!(
        "first document: {} requests, {} bytes in all",
        used.total_requests() + opening.total_requests(),
        bytes(&used) + bytes(&opening)
    );

    for number in (0..documents).step_by(warm_step) {
        opened.cost_of_get(2 * number).await;
    }
    let mut noise = Noise(7);
    let (mut misses, mut all, mut most) = (0, 0, 0);
    while misses < 200 {
        let id = 2 * (noise.next() % documents);
        let used = opened.cost_of_get(id).await;
        let requests = used.total_requests();
        if requests > 1 {
            println!("id {id} takes {requests}, {} bytes", bytes(&used));
        }
        misses += u64::from(requests > 0);
        all += requests;
        most = most.max(requests);
    }
    println!("a block that is not in memory: {:.3} requests, {most} at most", all as f64 / misses as f64);
    opened.db.close().await.unwrap();
    for (rows, most) in [(100, 2), (20_000, 10)] {
        let opened = loaded.open().await;
        let from = documents / 3 * 2;
        let scan = opened.cost(async {
            let found = opened.people.query().keys(from..).limit(rows).fetch().await.unwrap();
            assert!(found.len() == rows.min((documents - documents / 3) as usize) && found[0].id == from);
        });
        let (used, rounds) = rounds(scan).await;
        println!(
            "{rows} rows: {} requests, {rounds:.1} rounds, {} bytes; at most {most}",
            used.total_requests(),
            bytes(&used)
        );
    }
}

#[tokio::test(start_paused = true)]
#[ignore = "takes a release build, and then a minute"]
async fn a_million_documents() {
    judge(&Loaded::new(1_000_000, |builder| builder).await, 1024).await;
}

#[tokio::test(start_paused = true)]
async fn many_partitions() {
    judge(&Loaded::new(20_000, |builder| builder.block_size(1024)).await, 20).await;
}
