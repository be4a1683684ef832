//! What opening, and reading from nothing, costs in requests: exact, but for the rounds, which are told by the time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bucketdb::{
    Database, DelayDriver, Driver, Duplicates, Freshness, MemoryDriver, MeteredDriver, Operation, Table as Documents,
    TokioEnvironment, Usage,
};
use clap::Args;

use crate::document::{Maker, Person};
use crate::report::{Report, Table, judged};

/// Long beside everything else that opening does, so that what others do on the machine changes little.
const LATENCY: Duration = Duration::from_millis(500);

#[derive(Args)]
pub struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    documents: u64,
}

struct Opened {
    db: Database,
    people: Documents<Person>,
    meter: MeteredDriver,
    opening: Usage,
    rounds: f64,
}

async fn rounds<T>(work: impl Future<Output = Result<T>>) -> Result<(T, f64)> {
    let started = std::time::Instant::now();
    let outcome = work.await?;
    Ok((outcome, started.elapsed().as_secs_f64() / LATENCY.as_secs_f64()))
}

impl Opened {
    /// A process that knows nothing opens the database; every request takes as long.
    async fn new(store: &MemoryDriver, latency: Duration) -> Result<Self> {
        let meter = MeteredDriver::new(store.clone(), TokioEnvironment::new());
        let slow = DelayDriver::new(meter.clone(), TokioEnvironment::new()).reads(latency).writes(latency);
        let builder = Database::builder().driver(slow).staleness(Duration::from_secs(86_400));
        let (db, rounds) = rounds(async { Ok(builder.open().await?) }).await?;
        let opening = meter.usage();
        let people = db.table::<Person>().await?.with_freshness(Freshness::Local);
        ensure!(meter.usage().total_requests() == opening.total_requests(), "a known table takes no request");
        Ok(Self { db, people, meter, opening, rounds })
    }

    /// The requests and bytes that `work` takes.
    async fn cost(&self, work: impl Future<Output = Result<()>>) -> Result<(u64, u64)> {
        let before = self.meter.usage();
        work.await?;
        let used = self.meter.usage() - before;
        Ok((used.total_requests(), used.of(Operation::Get).bytes))
    }
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

pub async fn run(options: Options) -> Result<Report> {
    let documents = options.documents;
    let store = MemoryDriver::new();
    let shared: Arc<dyn Driver> = Arc::new(store.clone());
    let db = Database::builder().shared_driver(shared).open().await?;
    let people = db.table::<Person>().await?;
    // Every other key: those in between are absent, and lie where others are.
    let mut maker = Maker::new();
    let mut load = people.bulk_load(Duplicates::Fail).await?;
    for id in 0..documents {
        load.add(maker.person(2 * id, 0)).await?;
    }
    load.finish().await?;
    db.checkpoint().await?;

    let mut opening = Table::new(
        &format!("Opening a database of {documents} documents"),
        &["after", "rounds of requests", "gets", "lists", "puts", "bytes read", "goal"],
    );
    let mut written = 0;
    let tails = [
        ("a checkpoint", 0),
        ("a checkpoint and 10 commits", 10),
        ("the longest tail before a checkpoint is due", 255),
    ];
    for (name, tail) in tails {
        while db.stats()?.tail.records < tail {
            people.put(&Person::new(2 * (written % documents), 1)).await?;
            written += 1;
        }
        let tail = db.stats()?.tail.records;
        let opened = Opened::new(&store, LATENCY).await?;
        let most_rounds = if tail == 0 { 2.0 } else { 3.0 };
        let most_requests = 4 + tail / 4;
        open_row(&mut opening, &format!("{name} ({tail} records)"), &opened, most_rounds, most_requests);
        opened.db.close().await?;
    }
    db.close().await?;
    let opened = Opened::new(&store, LATENCY).await?;
    open_row(&mut opening, "a clean close", &opened, 2.0, 4);
    opened.db.close().await?;
    opening.note("Every request takes 500 ms; rounds are the time that opening took, divided by it.");

    let mut reading = Table::new("Reading, cold", &["read", "requests", "bytes read", "goal"]);
    let opened = Opened::new(&store, Duration::ZERO).await?;
    let middle = documents / 2 * 2;
    let people = &opened.people;
    opened.cost(async { Ok(drop(people.get(middle).await?)) }).await?;
    let used = opened.meter.usage();
    let (requests, bytes) = (used.total_requests(), used.of(Operation::Get).bytes);
    reading.row([
        "first document from nothing, opening included".to_owned(),
        judged(requests.to_string(), requests <= 5),
        judged(kib(bytes), bytes <= 256 << 10),
        "≤ 5 requests, ≤ 256 KiB".to_owned(),
    ]);

    // Absent keys bring indexes and filters into memory and hardly ever a block, so that nothing has to leave again. The
    // last part of the index of a run may be for few documents.
    for id in (0..documents.saturating_sub(1)).step_by(64) {
        people.get(2 * id + 1).await?;
    }
    let mut most = 0;
    let (mut all, mut misses, mut bytes) = (0, 0u64, 0);
    let mut random = fastrand::Rng::with_seed(7);
    let mut ids = Vec::new();
    while misses < 200 {
        let id = 2 * random.u64(..documents);
        let (requests, read) = opened
            .cost(async {
                ensure!(people.get(id).await?.is_some(), "document {id} is missing");
                Ok(())
            })
            .await?;
        most = most.max(requests);
        all += requests;
        bytes += read;
        misses += u64::from(requests > 0);
        ids.push(id);
    }
    reading.row([
        "document whose block is not in memory".to_owned(),
        judged(format!("{:.2} ({most} at most)", all as f64 / misses as f64), most <= 1),
        kib(bytes / misses),
        "1 with index and filter in memory".to_owned(),
    ]);
    let again = *ids.last().unwrap_or(&0);
    let (requests, _) = opened.cost(async { Ok(drop(people.get(again).await?)) }).await?;
    reading.row([
        "the same document again".to_owned(),
        judged(requests.to_string(), requests == 0),
        kib(0),
        "0".to_owned(),
    ]);

    let mut with_request = 0;
    for _ in 0..20_000 {
        let id = 2 * random.u64(..documents - 1) + 1;
        let (requests, _) = opened
            .cost(async {
                ensure!(people.get(id).await?.is_none(), "document {id} is there");
                Ok(())
            })
            .await?;
        with_request += u64::from(requests > 0);
    }
    let share = 100.0 - with_request as f64 / 200.0;
    reading.row([
        "absent keys answered without a request".to_owned(),
        judged(format!("{share:.2} %"), share >= 99.0),
        String::new(),
        "≥ 99 %".to_owned(),
    ]);
    opened.db.close().await?;

    for (rows, most) in [(100, 2), (20_000, 10)] {
        let opened = Opened::new(&store, LATENCY).await?;
        let from = documents / 3 * 2;
        let people = &opened.people;
        let ((requests, bytes), rounds) = rounds(opened.cost(async {
            let found = people.query().keys(from..).limit(rows).fetch().await?;
            ensure!(found.len() == rows && found[0].id == from, "a scan misses documents");
            Ok(())
        }))
        .await?;
        reading.row([
            format!("scan of {rows} rows from the middle, in {rounds:.1} rounds"),
            judged(requests.to_string(), requests <= most),
            kib(bytes),
            format!("≤ {most}"),
        ]);
        opened.db.close().await?;
    }
    reading
        .note("Scans begin with nothing but the open database in memory, so what they need of the index is counted.");
    Ok(Report::new("open", vec![opening, reading]))
}

fn open_row(table: &mut Table, name: &str, opened: &Opened, most_rounds: f64, most_requests: u64) {
    let (usage, rounds) = (&opened.opening, opened.rounds);
    let requests = usage.total_requests();
    let puts = usage.requests(Operation::Put);
    table.row([
        name.to_owned(),
        judged(format!("{rounds:.2}"), rounds <= most_rounds + 0.2),
        judged(usage.requests(Operation::Get).to_string(), requests <= most_requests),
        usage.requests(Operation::List).to_string(),
        judged(puts.to_string(), puts == 0),
        kib(usage.of(Operation::Get).bytes),
        format!("≤ {most_rounds} rounds, ≤ {most_requests} requests, 0 puts"),
    ]);
}
