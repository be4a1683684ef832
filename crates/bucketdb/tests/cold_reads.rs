//! What reading costs in requests when nothing or little of the runs is in memory, where these have many partitions. The
//! figures for a million documents are printed by
//! `cargo test -p bucketdb --release --no-default-features --test cold_reads -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::time::Duration;

use bucketdb::{
    Database, DatabaseBuilder, DelayDriver, Document, Driver, Duplicates, Freshness, MemoryDriver, MeteredDriver,
    Operation, StoreCheck, Table, TokioEnvironment, Usage,
};
use serde::{Deserialize, Serialize};

const LATENCY: Duration = Duration::from_millis(100);

/// A document of 150 bytes and a note, which does not compress well.
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

impl Person {
    fn new(id: u64, note_chars: usize) -> Self {
        let mut noise = Noise(id);
        let mut hex = |chars: usize| -> String {
            let digits = std::iter::repeat_with(|| format!("{:016x}", noise.next()));
            digits.take(chars.div_ceil(16)).collect::<String>()[..chars].to_owned()
        };
        Self {
            id,
            name: format!("Chiara {}", hex(16)),
            email: format!("{}@example.org", hex(16)),
            city: "Lugano".to_owned(),
            balance_cents: id as i64 * 17,
            note: hex(note_chars),
        }
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

/// How a database is made.
#[derive(Clone, Copy)]
struct Shape {
    documents: u64,
    note_chars: usize,
    block_bytes: u32,
}

/// A database whose documents have even ids: those in between are absent, and lie where others are.
struct Loaded {
    store: MemoryDriver,
    shape: Shape,
}

/// A process that had nothing of the database in memory.
struct Opened {
    people: Table<Person>,
    meter: MeteredDriver,
    shape: Shape,
    /// What opening took.
    opening: Usage,
    opening_rounds: f64,
}

/// A builder whose trial of the store is short.
fn on(driver: impl Driver) -> DatabaseBuilder {
    Database::builder().driver(driver).store_check(StoreCheck { rounds: 2, racers: 3 })
}

impl Loaded {
    async fn new(shape: Shape) -> Self {
        let store = MemoryDriver::new();
        let db = on(store.clone()).block_size(shape.block_bytes).open().await.unwrap();
        let people = db.table::<Person>().await.unwrap();
        let mut load = people.bulk_load(Duplicates::Fail).await.unwrap();
        for number in 0..shape.documents {
            load.add(&Person::new(2 * number, shape.note_chars)).await.unwrap();
        }
        load.finish().await.unwrap();
        db.checkpoint().await.unwrap();
        // Some are written again, so that not all of the database is one tier.
        for number in 0..200 {
            people.put(&Person::new(2 * number, shape.note_chars)).await.unwrap();
        }
        db.close().await.unwrap();
        Self { store, shape }
    }

    /// Every request takes as long.
    async fn open(&self, options: fn(DatabaseBuilder) -> DatabaseBuilder) -> Opened {
        let meter = MeteredDriver::new(self.store.clone(), TokioEnvironment::new());
        let slow = DelayDriver::new(meter.clone(), TokioEnvironment::new()).reads(LATENCY).writes(LATENCY);
        let builder = options(on(slow).staleness(Duration::from_secs(86_400)));
        let (db, opening_rounds) = rounds(async { builder.open().await.unwrap() }).await;
        let people = db.table::<Person>().await.unwrap().with_freshness(Freshness::Local);
        let opening = meter.usage();
        Opened { people, meter, shape: self.shape, opening, opening_rounds }
    }
}

impl Opened {
    async fn cost(&self, work: impl Future<Output = ()>) -> Usage {
        let before = self.meter.usage();
        work.await;
        self.meter.usage() - before
    }

    async fn get(&self, id: u64) -> Usage {
        let expected = id.is_multiple_of(2).then(|| Person::new(id, self.shape.note_chars));
        self.cost(async { assert_eq!(self.people.get(id).await.unwrap(), expected) }).await
    }

    async fn scan(&self, from: u64, rows: usize) -> Usage {
        self.cost(async {
            let found = self.people.query().keys(from..).limit(rows).fetch().await.unwrap();
            assert_eq!(
                found.iter().map(|found| found.id).step_by(7).collect::<Vec<_>>(),
                (from..).step_by(14).take(rows.div_ceil(7)).collect::<Vec<_>>()
            );
        })
        .await
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

/// Opening, and the first document.
async fn judge_the_first_document(loaded: &Loaded) {
    let documents = loaded.shape.documents;
    let mut most = 0;
    for part in 0..20 {
        let opened = loaded.open(|builder| builder).await;
        let opening = &opened.opening;
        let (used, rounds) = rounds(opened.get((part * documents / 20 + documents / 40) * 2)).await;
        let (requests, bytes) = (opening.total_requests() + used.total_requests(), bytes(opening) + bytes(&used));
        if part == 10 {
            println!("opening: {} requests in {:.1} rounds", opening.total_requests(), opened.opening_rounds);
            println!("first document, opening included: {requests} requests, {bytes} bytes");
        }
        assert!(opening.total_requests() <= 3 && opened.opening_rounds < 2.1, "{opening:?}");
        assert!(requests <= 5 && bytes <= 256 << 10, "{requests} requests, {bytes} bytes");
        assert!(rounds < 2.1, "{rounds} rounds");
        most = most.max(requests);
    }
    assert_eq!(most, 5, "index and filter are not part of what is known of a run");
}

/// Documents whose blocks are not in memory, while all indexes and filters are: one request each, however much was read
/// since.
async fn judge_blocks(loaded: &Loaded, least_partitions: u64, misses: u64) {
    let documents = loaded.shape.documents;
    // Half of that for what is read, most of which has to leave again.
    let opened = loaded.open(|builder| builder.max_memory(24 << 20)).await;
    // Absent keys bring indexes and filters, and hardly ever a block.
    let mut partitions = 0;
    for number in (0..documents - 1).step_by(16) {
        partitions += opened.get(2 * number + 1).await.total_requests();
    }
    assert!(partitions >= least_partitions, "{partitions} requests for indexes and filters");
    let (mut noise, mut found, mut in_memory) = (Noise(7), 0, 0);
    while found < misses {
        let id = 2 * (noise.next() % documents);
        match opened.get(id).await.total_requests() {
            0 => in_memory += 1,
            1 => found += 1,
            more => panic!("{more} requests for document {id}, after {found} that took one"),
        }
    }
    println!("document whose block is not in memory: 1 request, {misses} times; {in_memory} were in memory");
}

async fn judge_scans(loaded: &Loaded, rows: usize, most: u64, most_rounds: f64) {
    let documents = loaded.shape.documents;
    for part in 1..6 {
        let opened = loaded.open(|builder| builder).await;
        let (used, rounds) = rounds(opened.scan(part * documents / 7 * 2, rows)).await;
        let requests = used.total_requests();
        println!("scan of {rows} rows: {requests} requests in {rounds:.1} rounds, {} bytes", bytes(&used));
        assert!(requests <= most && rounds <= most_rounds + 0.1, "{requests} requests in {rounds} rounds, part {part}");
    }
}

/// As many partitions and runs as a hundred times as many documents have with blocks of the usual size.
#[tokio::test(start_paused = true)]
async fn cold_reads_of_runs_with_many_partitions() {
    let loaded = Loaded::new(Shape { documents: 30_000, note_chars: 900, block_bytes: 1024 }).await;
    judge_the_first_document(&loaded).await;
    judge_blocks(&loaded, 5, 2_000).await;
    judge_scans(&loaded, 100, 2, 2.0).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "prints figures, for a release build"]
async fn cold_reads_of_a_million_documents() {
    let loaded = Loaded::new(Shape { documents: 1_000_000, note_chars: 30, block_bytes: 64 << 10 }).await;
    judge_the_first_document(&loaded).await;
    judge_blocks(&loaded, 61, 3_000).await;
    judge_scans(&loaded, 100, 2, 2.0).await;
    judge_scans(&loaded, 20_000, 10, 7.0).await;
}
