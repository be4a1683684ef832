//! What each operation costs in requests, and how long it takes when a PUT takes 30 ms and a GET 15 ms: exact, in virtual
//! time. The bars are those that the project has set itself.

pub(crate) mod bucket;
pub(crate) mod slate;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use futures::future::try_join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::latency::Latency;
use crate::ledger::{Ledger, Totals};
use crate::record::{Record, key};
use crate::results::{Results, Row, row};

/// Those that keep their data in a bucket and are driven here: [`Peer::PEER`].
pub const BUCKET_PEERS: [&str; 2] = ["BucketDB", "SlateDB"];

#[derive(Args, Clone)]
pub struct Options {
    /// How many records of 1 KB there are.
    #[arg(long, default_value_t = 100_000)]
    documents: u64,
    /// Only this peer.
    #[arg(long, value_parser = BUCKET_PEERS)]
    only: Option<String>,
}

/// A database in a bucket, in one process.
pub(crate) trait Peer: Sized {
    const PEER: &'static str;
    const PACKAGE: &'static str;
    type Store: Clone;

    fn settings() -> serde_json::Value;
    fn new_store() -> Self::Store;
    /// One whose objects are files.
    fn store_in(folder: &Path) -> Result<Self::Store>;
    async fn open(store: &Self::Store, ledger: &Ledger) -> Result<Self>;
    /// What it takes to create one that nothing is in.
    async fn create(store: &Self::Store, ledger: &Ledger) -> Result<Cost> {
        let (db, used) = cost(ledger, Self::open(store, ledger)).await?;
        db.close().await?;
        Ok(used)
    }
    /// Brings documents and closes it again.
    async fn load(store: &Self::Store, ledger: &Ledger, documents: u64) -> Result<()>;
    async fn put(&self, record: Record) -> Result<()>;
    async fn get(&self, key: &str) -> Result<Option<Record>>;
    /// Sees what anybody has written before; `None` if there is no such read.
    async fn strict_get(&self, key: &str) -> Option<Result<Option<Record>>>;
    async fn scan(&self, from: &str, rows: usize) -> Result<usize>;
    async fn close(self) -> Result<()>;
    /// What it takes to keep what is there by a name, and to begin another database with it, where that copies nothing.
    async fn copies(&self, _ledger: &Ledger) -> Result<Vec<(&'static str, Cost)>> {
        Ok(Vec::new())
    }
}

/// Requests and virtual time.
pub(crate) struct Cost {
    pub(crate) totals: Totals,
    pub(crate) ms: f64,
}

pub(crate) async fn cost<T>(ledger: &Ledger, work: impl Future<Output = Result<T>>) -> Result<(T, Cost)> {
    let (before, started) = (ledger.totals(), Instant::now());
    let outcome = work.await?;
    Ok((outcome, Cost { totals: ledger.totals() - before, ms: started.elapsed().as_secs_f64() * 1e3 }))
}

/// The row of a cost, and whether it is within the bar: of all requests unless only the PUTs are meant.
fn judged(what: &str, cost: &Cost, goal: &str, is_met: bool) -> Row {
    let row = by_kind(row(what, "requests", cost.totals.billed()), &cost.totals);
    row.with("ms", cost.ms.round()).with("goal", goal).with("is_met", is_met)
}

/// With the requests of each kind, and the bytes, of one operation.
fn by_kind(row: Row, of_one: &Totals) -> Row {
    let Totals { puts, gets, lists, read_bytes, written_bytes, .. } = *of_one;
    let row = row.with("puts", puts).with("gets", gets).with("lists", lists);
    row.with("bytes_down", read_bytes).with("bytes_up", written_bytes)
}

async fn measure<P: Peer>(documents: u64) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let (store, ledger) = (P::new_store(), Ledger::new(Latency::FIXED));
    let used = P::create(&store, &ledger).await?;
    let trial = ledger.requests_to("probe") as f64;
    let beside = used.totals.requests() - trial;
    let created = judged("create a database, beside the trial of a store not seen before", &used, "≤ 4", beside <= 4.0);
    rows.push(Row { value: Some(beside), ..created }.with("trial", trial));
    P::load(&store, &ledger, documents).await?;

    let (db, used) = cost(&ledger, P::open(&store, &ledger)).await?;
    let is_met = used.totals.requests() <= 4.0 && used.totals.puts == 0.0 && used.ms <= 31.0;
    rows.push(judged("open after a clean close", &used, "≤ 4 in 2 rounds, no PUT", is_met));
    let open_requests = used.totals.billed();

    let middle = documents / 2;
    let (found, used) = cost(&ledger, db.get(&key(middle))).await?;
    ensure!(found == Some(Record::new(middle, 0)), "the document in the middle is another one");
    let all = open_requests + used.totals.billed();
    let first = judged("first point read of a process that has just opened it", &used, "≤ 5 with opening", all <= 5.0);
    rows.push(first.with("with_opening", all));
    // What is near is in memory, so what is far needs index and filter of its place, and what is near that only a block.
    db.get(&key(documents / 4)).await?;
    let (found, used) = cost(&ledger, db.get(&key(documents / 4 + 2000.min(documents / 8)))).await?;
    ensure!(found.is_some(), "a document is missing");
    rows.push(judged("cold point read, the index in memory", &used, "≤ 1", used.totals.billed() <= 1.0));
    let (found, used) = cost(&ledger, db.get(&format!("{}x", key(documents / 4)))).await?;
    ensure!(found.is_none(), "there is a document that nobody wrote");
    rows.push(judged("absent key, the filter in memory", &used, "0", used.totals.billed() == 0.0));
    db.close().await?;

    for (count, most) in [(100, 2.0), (20_000, 10.0)] {
        let db = P::open(&store, &ledger).await?;
        let (found, used) = cost(&ledger, db.scan(&key(documents / 3), count)).await?;
        ensure!(found == count.min((documents - documents / 3) as usize), "a scan found {found} of {count}");
        let what = format!("cold scan of {count} rows");
        rows.push(judged(&what, &used, &format!("≤ {most}"), used.totals.billed() <= most));
        db.close().await?;
    }

    let db = P::open(&store, &ledger).await?;
    let mut ms = Vec::new();
    let (before, commits) = (ledger.totals(), 20);
    for revision in 1..=commits {
        let ((), used) = cost(&ledger, db.put(Record::new(7, revision))).await?;
        ms.push(used.ms);
    }
    ms.sort_by(f64::total_cmp);
    let all = ledger.totals() - before;
    let (each, median) = (all.billed() / commits as f64, ms[ms.len() / 2]);
    let used = Cost { totals: all.times(1.0 / commits as f64), ms: median };
    rows.push(judged("durable commit", &used, "1, ≤ 31.5 ms", each <= 1.0 && median <= 31.5));

    match db.strict_get(&key(7)).await {
        None => rows.push(
            Row { value: None, ..row("strict read, nothing new", "requests", 0.0) }
                .with("why", "there is none: one process writes, and readers look from time to time"),
        ),
        Some(found) => {
            ensure!(found? == Some(Record::new(7, commits)), "a strict read is not strict");
            let (_, used) = cost(&ledger, async { db.strict_get(&key(7)).await.unwrap_or(Ok(None)) }).await?;
            rows.push(judged("strict read, nothing new", &used, "1", used.totals.billed() <= 1.0));
        }
    }

    let (_, used) = cost(&ledger, try_join_all((0..1000).map(|number| db.put(Record::new(number, 99))))).await?;
    let is_met = used.totals.puts <= 40.0 && used.ms <= 95.0;
    rows.push(judged("1,000 concurrent one-document commits", &used, "≤ 40, ≤ 3 round trips", is_met));
    for number in (0..1000).step_by(37) {
        ensure!(db.get(&key(number)).await? == Some(Record::new(number, 99)), "a commit is not there");
    }

    // What is under way comes to its end.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let hour = Duration::from_secs(3600);
    let ((), used) = cost(&ledger, async { Ok(tokio::time::sleep(hour).await) }).await?;
    rows.push(judged("idle hour", &used, "0", used.totals.billed() == 0.0));

    let ((), used) = cost(&ledger, async {
        for second in 0..3600 {
            let started = Instant::now();
            db.put(Record::new(second * 31 % documents, 100 + second)).await?;
            tokio::time::sleep_until(started + Duration::from_secs(1)).await;
        }
        Ok(())
    })
    .await?;
    let beside = used.totals.billed() - 3600.0;
    let what = "an hour of one commit a second, beside the 3,600 commits";
    let row = judged(what, &used, "≤ 180", beside <= 180.0);
    rows.push(Row { value: Some(beside), ..row });

    // With a tail that no checkpoint covers.
    let before = Ledger::new(Latency::FIXED);
    let (db2, used) = cost(&before, P::open(&store, &before)).await?;
    let is_met = used.totals.puts == 0.0 && used.ms <= 46.0;
    rows.push(judged("open while another one has written for an hour", &used, "≤ 3 rounds, no PUT", is_met));
    drop(db2);
    drop(db);
    Ok(rows)
}

fn keep<P: Peer>(options: &Options, more: impl FnOnce() -> Result<Vec<Row>>, folder: &Path) -> Result<()> {
    if options.only.as_ref().is_some_and(|only| only != P::PEER) {
        return Ok(());
    }
    let mut settings = P::settings();
    settings["documents"] = json!(options.documents);
    let mut results = Results::new(P::PEER, P::PACKAGE, Latency::FIXED.name, "requests", settings);
    results.rows = crate::virtual_time::run(measure::<P>(options.documents))?;
    results.rows.extend(more()?);
    results.keep(folder)
}

pub fn run(options: &Options, folder: &Path) -> Result<()> {
    let more = || Ok(std::iter::once(bucket::index_query()?).chain(bucket::writers()?).collect());
    keep::<bucket::Bucket>(options, more, folder)?;
    keep::<slate::Slate>(options, || Ok(Vec::new()), folder)
}
