//! What random updates cost in bytes and requests, what they do to reads, and what remains of them in the store.

use std::time::Duration;

use anyhow::{Result, ensure};
use bucketdb::{Database, Duplicates, Freshness, MemoryDriver, MeteredDriver, Operation, TokioEnvironment};
use clap::Args;

use crate::document::Person;
use crate::report::{Report, Table, judged};

/// Short, so that what is superfluous can be removed at once.
const GRACE: Duration = Duration::from_secs(4);

#[derive(Args)]
pub struct Options {
    /// How many documents, and how many updates.
    #[arg(default_value_t = 1_000_000)]
    documents: u64,
    /// Updates in a commit.
    #[arg(long, default_value_t = 1000)]
    batch: u64,
}

pub async fn run(options: Options) -> Result<Report> {
    let Options { documents, batch } = options;
    let store = MemoryDriver::new();
    let meter = MeteredDriver::new(store.clone(), TokioEnvironment::new());
    let builder = Database::builder().driver(meter.clone()).grace(GRACE).history(Duration::ZERO);
    let db = builder.open().await?;
    let people = db.table::<Person>().await?.with_freshness(Freshness::Local);
    let mut load = people.bulk_load(Duplicates::Fail).await?;
    for id in 0..documents {
        load.add(&Person::new(id, 0)).await?;
    }
    load.finish().await?;
    db.checkpoint().await?;
    let loaded = db.stats()?;
    let fresh_bytes: u64 = loaded.tiers.iter().map(|tier| tier.size_bytes).sum();

    let mut growth = Table::new(
        &format!("{documents} random updates of {documents} documents, {batch} in a commit"),
        &[
            "updates",
            "bytes written / bytes of rows",
            "puts / commit",
            "gets / commit",
            "tiers",
            "runs",
            "gets / cold read",
        ],
    );
    let mut random = fastrand::Rng::with_seed(3);
    let mut revisions = vec![0u64; documents as usize];
    let (mut row_bytes, mut commits) = (0u64, 0u64);
    let before = meter.usage();
    for tenth in 1..=10u64 {
        let mut left = documents / 10;
        while left > 0 {
            let mut changes = db.batch();
            for _ in 0..batch.min(left) {
                let id = random.u64(..documents);
                revisions[id as usize] += 1;
                let person = Person::new(id, revisions[id as usize]);
                row_bytes += person.encode().len() as u64 + 8;
                changes.put(&person)?;
            }
            changes.commit().await?;
            commits += 1;
            left -= batch.min(left);
        }
        let used = meter.usage() - before.clone();
        let stats = db.stats()?;
        growth.row([
            (tenth * (documents / 10)).to_string(),
            format!("{:.2}", used.of(Operation::Put).bytes as f64 / row_bytes as f64),
            format!("{:.2}", used.requests(Operation::Put) as f64 / commits as f64),
            format!("{:.2}", used.requests(Operation::Get) as f64 / commits as f64),
            stats.tiers.len().to_string(),
            stats.tiers.iter().map(|tier| tier.runs).sum::<u64>().to_string(),
            format!("{:.2}", cold_gets(&store, documents, &revisions).await?),
        ]);
    }
    growth.note(
        "Bytes of log records, runs and manifests, over the bytes of the rows that were written, uncompressed. Cold reads: \
         200 random documents in a process that has just opened the database; indexes and filters are counted.",
    );

    let before = meter.usage();
    let report = db.compact().await?;
    // What became superfluous is removed a grace after it did, and what that makes superfluous after another one.
    for _ in 0..3 {
        tokio::time::sleep(GRACE + Duration::from_millis(500)).await;
        db.checkpoint().await?;
        db.collect_garbage().await?;
    }
    let used = meter.usage() - before;
    let size = db.storage_size().await?;
    let bytes = size.bytes.unwrap_or_default();
    let live_bytes: u64 = db.stats()?.tiers.iter().map(|tier| tier.size_bytes).sum();
    let factor = bytes as f64 / fresh_bytes as f64;
    let mut end = Table::new("Afterwards, compacted and superfluous objects removed", &["measure", "value", "goal"]);
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    end.row(["the same number of documents, loaded afresh".into(), mib(fresh_bytes), String::new()]);
    end.row(["sorted runs".into(), mib(live_bytes), String::new()]);
    end.row([
        format!("all {} objects", size.objects),
        judged(format!("{} ({factor:.2} ×)", mib(bytes)), factor <= 1.3),
        "≤ 1.3 × loaded afresh".into(),
    ]);
    end.row([
        format!("read and written to get there, in {} pieces", report.pieces),
        format!("{} and {}", mib(report.read_bytes), mib(report.written_bytes)),
        String::new(),
    ]);
    end.row(["requests to get there".into(), used.total_requests().to_string(), String::new()]);
    end.note(format!(
        "History of zero; a grace of {} s, which only the simulator may set, stands for the hour.",
        GRACE.as_secs()
    ));
    cold_gets(&store, documents, &revisions).await?;
    db.close().await?;
    Ok(Report::new("updates", vec![growth, end]))
}

/// Gets that each of 200 random reads takes in a process that knows nothing; checks the answers.
async fn cold_gets(store: &MemoryDriver, documents: u64, revisions: &[u64]) -> Result<f64> {
    const READS: u64 = 200;
    let meter = MeteredDriver::new(store.clone(), TokioEnvironment::new());
    let db = Database::builder().driver(meter.clone()).read_only(true).open().await?;
    let people = db.table::<Person>().await?.with_freshness(Freshness::Local);
    let before = meter.usage();
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..READS {
        let id = random.u64(..documents);
        ensure!(people.get(id).await? == Some(Person::new(id, revisions[id as usize])), "document {id} is another one");
    }
    let used = meter.usage() - before;
    db.close().await?;
    Ok(used.requests(Operation::Get) as f64 / READS as f64)
}
