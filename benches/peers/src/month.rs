//! A month of a boring web app, in virtual time: what it costs in requests and dollars.
//!
//! Two instances, 10,000 reads and 500 writes a day at random moments between 7:00 and 23:00, nothing at night, and every
//! third day each instance is closed and opened again. Which records are read and written follows YCSB's distribution, and
//! popular ones lie anywhere among the others.

mod bucket;
mod slate;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use engine_bench::watched::Kind;
use serde_json::json;
use tokio::time::Instant;

use crate::ledger::{BACKGROUND, Ledger, Totals, totals};
use crate::prices;
use crate::record::Record;
use crate::requests::BUCKET_PEERS;
use crate::results::{Results, row};
use crate::zipf::Zipf;

const DAY: Duration = Duration::from_secs(86_400);
const OPENS_AT_S: u64 = 7 * 3600;
const CLOSES_AT_S: u64 = 23 * 3600;
const DAYS_PER_DEPLOY: u64 = 3;
const INSTANCES: usize = 2;

/// Of so many writes, one is of a new record.
const WRITES_PER_INSERT: u64 = 5;

/// The limit of a month: each write is a put, each read at most a get.
pub const LIMIT_PUTS: f64 = 15_000.0;
pub const LIMIT_GETS: f64 = 300_000.0;

#[derive(Args, Clone)]
pub struct Options {
    /// How many records of 1 KB there are in the beginning.
    #[arg(long, default_value_t = 1_000_000)]
    documents: u64,
    #[arg(long, default_value_t = 30)]
    days: u64,
    #[arg(long, default_value_t = 10_000)]
    reads: u64,
    #[arg(long, default_value_t = 500)]
    writes: u64,
    /// How many reads come at once, as those of one page do.
    #[arg(long, default_value_t = 1)]
    reads_per_view: u64,
    /// Whether each instance has a disk for 2 GiB of what it has read.
    #[arg(long)]
    disk: bool,
    /// Only this peer.
    #[arg(long, value_parser = BUCKET_PEERS)]
    only: Option<String>,
}

/// An app on some database.
trait Site: Sized {
    const PEER: &'static str;
    const PACKAGE: &'static str;
    /// How old a read may be at the most.
    const STALENESS: Duration;
    type Instance;

    fn settings(options: &Options) -> serde_json::Value;
    async fn load(options: &Options) -> Result<Self>;
    fn ledger(&self, instance: usize) -> &Ledger;
    /// What loading took.
    fn loading(&self) -> Totals;
    async fn open(&self, instance: usize) -> Result<Self::Instance>;
    async fn get(&self, instance: &Self::Instance, key: &str) -> Result<Option<Record>>;
    /// Whether that instance may write.
    fn writes(instance: usize) -> bool;
    async fn put(&self, instance: &Self::Instance, record: Record) -> Result<()>;
    async fn close(&self, instance: Self::Instance) -> Result<()>;
    async fn stored_bytes(&self) -> Result<u64>;
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Read,
    Write,
    Deploy,
}

struct Month {
    totals: Totals,
    stored_bytes: f64,
    lines: std::collections::BTreeMap<crate::ledger::Line, crate::ledger::Count>,
    loading: Totals,
}

/// What happened to a record since it was loaded.
#[derive(Clone, Copy)]
struct Written {
    revision: u64,
    at: Instant,
    /// The revision before.
    before: u64,
}

struct Work<'a, S: Site> {
    site: &'a S,
    open: Vec<S::Instance>,
    written: HashMap<u64, Written>,
    documents: u64,
    zipf: Zipf,
    random: fastrand::Rng,
}

impl<S: Site> Work<'_, S> {
    async fn read(&mut self) -> Result<()> {
        let instance = self.random.usize(..INSTANCES);
        let number = self.zipf.scrambled(&mut self.random);
        let key = crate::record::key(number);
        let started = Instant::now();
        let ledger = self.site.ledger(instance);
        let found = ledger.during("reads", self.site.get(&self.open[instance], &key)).await?;
        let found = found.with_context(|| format!("{key} is missing"))?;
        let revision = found.revision()?;
        let (newest, is_recent, before) = match self.written.get(&number) {
            None => (0, false, 0),
            Some(written) => (written.revision, started - written.at < S::STALENESS, written.before),
        };
        ensure!(
            revision == newest || is_recent && revision == before,
            "{key} is revision {revision}, not {newest} of {:?} ago",
            self.written.get(&number).map(|written| written.at.elapsed())
        );
        ensure!(found == Record::new(number, revision), "{key} is another record");
        Ok(())
    }

    async fn write(&mut self) -> Result<()> {
        let writers: Vec<usize> = (0..INSTANCES).filter(|instance| S::writes(*instance)).collect();
        let instance = writers[self.random.usize(..writers.len())];
        let is_new = self.random.u64(..WRITES_PER_INSERT) == 0;
        let number = if is_new { self.documents } else { self.zipf.scrambled(&mut self.random) };
        let before = self.written.get(&number).map_or(0, |written| written.revision);
        let revision = if is_new { 0 } else { before + 1 };
        let put = self.site.put(&self.open[instance], Record::new(number, revision));
        self.site.ledger(instance).during("writes", put).await?;
        self.written.insert(number, Written { revision, at: Instant::now(), before });
        self.documents += u64::from(is_new);
        Ok(())
    }

    async fn deploy(&mut self) -> Result<()> {
        for instance in 0..INSTANCES {
            let ledger = self.site.ledger(instance);
            let old = self.open.remove(instance);
            ledger.during("deploys", self.site.close(old)).await?;
            let new = ledger.during("deploys", self.site.open(instance)).await?;
            self.open.insert(instance, new);
        }
        Ok(())
    }
}

async fn live<S: Site>(options: &Options) -> Result<Month> {
    let site = S::load(options).await?;
    let mut open = Vec::new();
    for instance in 0..INSTANCES {
        let ledger = site.ledger(instance);
        open.push(ledger.during("deploys", site.open(instance)).await?);
    }
    let (zipf, random) = (Zipf::new(options.documents), fastrand::Rng::with_seed(3));
    let mut work = Work { site: &site, open, written: HashMap::new(), documents: options.documents, zipf, random };
    let began = Instant::now();
    let mut stored_bytes = 0.0;
    for day in 0..options.days {
        let mut deeds = Vec::new();
        let at = |random: &mut fastrand::Rng| {
            Duration::from_secs(OPENS_AT_S) + Duration::from_secs_f64(random.f64() * (CLOSES_AT_S - OPENS_AT_S) as f64)
        };
        for _ in 0..options.reads / options.reads_per_view {
            let moment = at(&mut work.random);
            deeds.extend((0..options.reads_per_view).map(|_| (moment, Deed::Read)));
        }
        deeds.extend((0..options.writes).map(|_| (at(&mut work.random), Deed::Write)));
        if day % DAYS_PER_DEPLOY == DAYS_PER_DEPLOY - 1 {
            deeds.push((Duration::from_secs(12 * 3600), Deed::Deploy));
        }
        deeds.sort();
        for (moment, deed) in deeds {
            tokio::time::sleep_until(began + DAY * day as u32 + moment).await;
            match deed {
                Deed::Read => work.read().await?,
                Deed::Write => work.write().await?,
                Deed::Deploy => work.deploy().await?,
            }
        }
        tokio::time::sleep_until(began + DAY * (day as u32 + 1)).await;
        let stored = site.stored_bytes().await?;
        stored_bytes += stored as f64 / options.days as f64;
        let so_far = (0..INSTANCES).map(|instance| site.ledger(instance).totals());
        eprintln!(
            "{} day {}: {:?}, {stored} bytes",
            S::PEER,
            day + 1,
            so_far.map(|t| (t.puts, t.gets, t.lists)).collect::<Vec<_>>()
        );
    }
    let Work { open, .. } = work;
    for (instance, open) in open.into_iter().enumerate() {
        site.ledger(instance).during("deploys", site.close(open)).await?;
    }
    let mut lines = std::collections::BTreeMap::new();
    for instance in 0..INSTANCES {
        for (line, count) in site.ledger(instance).lines() {
            let sum: &mut crate::ledger::Count = lines.entry(line).or_default();
            sum.requests += count.requests;
            sum.bytes += count.bytes;
        }
    }
    Ok(Month { totals: totals(&lines), stored_bytes, lines, loading: site.loading() })
}

/// The kinds of requests as bills call them.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Put => "PUT",
        Kind::Part => "PUT of a part",
        Kind::Get => "GET",
        Kind::List => "LIST",
        Kind::Delete => "DELETE",
    }
}

fn results<S: Site>(options: &Options, variant: &str, month: &Month) -> Result<Results> {
    let scale = 30.0 / options.days as f64;
    let store = "memory, 30 ms PUT, 15 ms GET, virtual time";
    let mut settings = S::settings(options);
    settings["documents"] = json!(options.documents);
    settings["days"] = json!(options.days);
    settings["reads per view"] = json!(options.reads_per_view);
    let mut results = Results::new(S::PEER, S::PACKAGE, store, &format!("month-{variant}"), settings);
    let rows = &mut results.rows;
    let totals = month.totals.times(scale);
    rows.push(row("PUT", "requests a month", totals.puts));
    rows.push(row("GET", "requests a month", totals.gets));
    rows.push(row("LIST", "requests a month", totals.lists));
    rows.push(row("DELETE", "requests a month", totals.deletes));
    rows.push(row("bytes written", "bytes a month", totals.written_bytes));
    rows.push(row("bytes read", "bytes a month", totals.read_bytes));
    rows.push(row("stored on average", "bytes", month.stored_bytes));
    rows.push(row("loading, PUT", "requests once", month.loading.puts));
    rows.push(row("loading, GET", "requests once", month.loading.gets));
    rows.push(row("loading, LIST", "requests once", month.loading.lists));
    for (line, count) in &month.lines {
        let found = if line.is_found { "" } else { ", refused or not there" };
        let what = format!("{}: {} {}{found}", line.phase, name(line.kind), line.place);
        let row = row(what, "requests a month", count.requests as f64 * scale);
        rows.push(row.with("bytes", count.bytes as f64 * scale).with("purpose", line.phase));
    }
    let phases = ["reads", "writes", "deploys", BACKGROUND];
    for phase in phases {
        let of_phase = month.lines.iter().filter(|(line, _)| line.phase == phase);
        let of_phase = of_phase.map(|(line, count)| (line.clone(), *count)).collect();
        let sum = crate::ledger::totals(&of_phase).times(scale);
        rows.push(row(format!("{phase}: all"), "requests a month", sum.billed()));
    }
    for price in prices::load()? {
        let bill = price.bill(&totals, month.stored_bytes);
        let row = row(format!("bill: {}", price.store), "USD a month", bill.total());
        let row = row.with("PUT", bill.puts).with("GET", bill.gets).with("LIST", bill.lists);
        rows.push(row.with("transfer", bill.transfer).with("storage", bill.storage).with("requests", bill.requests()));
    }
    Ok(results)
}

fn measure<S: Site>(options: &Options, variant: &str, folder: &PathBuf) -> Result<()> {
    if options.only.as_ref().is_some_and(|only| only != S::PEER) {
        return Ok(());
    }
    let month = crate::virtual_time::run(live::<S>(options))?;
    results::<S>(options, variant, &month)?.keep(folder)
}

pub fn run(options: &Options, folder: &PathBuf) -> Result<()> {
    let variant = match (options.disk, options.reads_per_view) {
        (false, 1) => "single".to_owned(),
        (true, 1) => "single-disk".to_owned(),
        (false, views) => format!("views-of-{views}"),
        (true, views) => format!("views-of-{views}-disk"),
    };
    measure::<bucket::Bucket>(options, &variant, folder)?;
    measure::<slate::Slate>(options, &variant, folder)
}
