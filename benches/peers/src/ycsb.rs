//! The workloads A to F of YCSB (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", 2010), in virtual time: what
//! they cost in requests, and how long operations take when only the store does. Each begins with a process that knows
//! nothing, and every answer is compared with what was written.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use clap::Args;
use fastrand::Rng;
use futures::future::try_join_all;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::prices;
use crate::record::{Record, key};
use crate::requests::{BUCKET_PEERS, Peer, bucket, slate};
use crate::results::{Results, Row, row};
use crate::zipf::Zipf;

#[derive(Args, Clone)]
pub struct Options {
    /// How many records of 1 KB there are.
    #[arg(long, default_value_t = 500_000)]
    documents: u64,
    /// How many operations each workload has.
    #[arg(long, default_value_t = 20_000)]
    operations: u64,
    /// How many of them are under way at a time.
    #[arg(long, default_value_t = 10)]
    callers: u64,
    /// Only this peer.
    #[arg(long, value_parser = BUCKET_PEERS)]
    only: Option<String>,
    /// Only with a store that takes as long as this one for a request: fixed, s3-standard, s3-express or r2.
    #[arg(long, value_parser = Latency::ALL.map(|latency| latency.id))]
    store: Option<String>,
}

/// Shares of a hundred.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    reads: u32,
    updates: u32,
    inserts: u32,
    scans: u32,
    /// Whether what was written last is the most popular.
    pub(crate) is_latest: bool,
}

/// In the order that YCSB asks for: the one that inserts much comes last. What is left of a hundred are reads that are
/// followed by a write of the same record.
pub(crate) static WORKLOADS: [Workload; 6] = [
    workload("A", "half reads, half updates", [50, 50, 0, 0]),
    workload("B", "95 % reads, 5 % updates", [95, 5, 0, 0]),
    workload("C", "reads", [100, 0, 0, 0]),
    workload("F", "half reads, half read, modify, write", [50, 0, 0, 0]),
    Workload { is_latest: true, ..workload("D", "95 % reads of the latest, 5 % inserts", [95, 0, 5, 0]) },
    workload("E", "95 % scans of up to 100 rows, 5 % inserts", [0, 0, 5, 95]),
];

const fn workload(name: &'static str, what: &'static str, [reads, updates, inserts, scans]: [u32; 4]) -> Workload {
    Workload { name, what, reads, updates, inserts, scans, is_latest: false }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Update,
    Insert,
    Scan,
    ReadModifyWrite,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Read, Self::Update, Self::Insert, Self::Scan, Self::ReadModifyWrite];

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Update => "update",
            Self::Insert => "insert",
            Self::Scan => "scan",
            Self::ReadModifyWrite => "read, modify, write",
        }
    }
}

impl Workload {
    pub(crate) fn draw(&self, random: &mut Rng) -> Kind {
        let mut drawn = random.u32(..100);
        for (share, kind) in [
            (self.reads, Kind::Read),
            (self.updates, Kind::Update),
            (self.inserts, Kind::Insert),
            (self.scans, Kind::Scan),
        ] {
            if drawn < share {
                return kind;
            }
            drawn -= share;
        }
        Kind::ReadModifyWrite
    }
}

/// What was written so far, by all callers.
struct Written {
    documents: u64,
    zipf: Zipf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revisions: u64,
    /// What may be there: numbers and revisions that were asked to be written.
    asked: HashSet<(u64, u64)>,
    /// Those of records that are there beside the first ones, in the order in which they came.
    inserted: Vec<u64>,
    next: u64,
}

impl Written {
    fn new(documents: u64) -> Self {
        let state = State { next: documents, ..State::default() };
        Self { documents, zipf: Zipf::new(documents), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn popular(&self, is_latest: bool, random: &mut Rng) -> u64 {
        if !is_latest {
            return self.zipf.scrambled(random);
        }
        let rank = self.zipf.rank(random);
        let state = self.state();
        let inserted = state.inserted.len() as u64;
        match rank.checked_sub(inserted) {
            Some(before) => self.documents.saturating_sub(1 + before),
            None => state.inserted[(inserted - 1 - rank) as usize],
        }
    }

    fn revised(&self, number: u64) -> Record {
        let mut state = self.state();
        state.revisions += 1;
        let revision = state.revisions;
        state.asked.insert((number, revision));
        Record::new(number, revision)
    }

    fn new_number(&self) -> u64 {
        let mut state = self.state();
        state.next += 1;
        state.next - 1
    }

    fn check(&self, number: u64, found: Option<&Record>) -> Result<()> {
        let found = found.with_context(|| format!("record {number} is missing"))?;
        let revision = found.revision()?;
        let is_known = revision == 0 || self.state().asked.contains(&(number, revision));
        ensure!(is_known && *found == Record::new(number, revision), "record {number} is one that nobody wrote");
        Ok(())
    }
}

async fn operate<P: Peer>(db: &P, kind: Kind, is_latest: bool, written: &Written, random: &mut Rng) -> Result<()> {
    match kind {
        Kind::Read => {
            let number = written.popular(is_latest, random);
            written.check(number, db.get(&key(number)).await?.as_ref())
        }
        Kind::Update => db.put(written.revised(written.popular(is_latest, random))).await,
        Kind::Insert => {
            let number = written.new_number();
            db.put(Record::new(number, 0)).await?;
            written.state().inserted.push(number);
            Ok(())
        }
        Kind::Scan => {
            let (number, rows) = (written.popular(is_latest, random), random.usize(1..=100));
            let there = rows.min((written.documents - number) as usize);
            let found = db.scan(&key(number), rows).await?;
            ensure!((there..=rows).contains(&found), "a scan found {found} of {rows}");
            Ok(())
        }
        Kind::ReadModifyWrite => {
            let number = written.popular(is_latest, random);
            written.check(number, db.get(&key(number)).await?.as_ref())?;
            db.put(written.revised(number)).await
        }
    }
}

/// In milliseconds, of ones that are sorted.
fn percentiles(ms: &[f64]) -> Map<String, Value> {
    let at = |share: f64| {
        let place = (ms.len() as f64 * share).ceil() as usize;
        ms.get(place.saturating_sub(1)).copied().unwrap_or_default()
    };
    let all = [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)];
    all.into_iter().map(|(name, share)| (name.to_owned(), json!((at(share) * 100.0).round() / 100.0))).collect()
}

async fn measure<P: Peer>(options: &Options, latency: Latency) -> Result<Vec<Row>> {
    let (store, price) = (P::new_store(), prices::of(latency.priced_as)?);
    P::open(&store, &Ledger::new(Latency::NONE)).await?.close().await?;
    P::load(&store, &Ledger::new(Latency::NONE), options.documents).await?;
    let written = Written::new(options.documents);
    let mut rows = Vec::new();
    for (seed, workload) in WORKLOADS.iter().enumerate() {
        let ledger = Ledger::new(latency);
        let db = P::open(&store, &ledger).await?;
        let (before, started) = (ledger.totals(), Instant::now());
        let caller = async |caller: u64| -> Result<Vec<(Kind, f64)>> {
            let mut random = Rng::with_seed(seed as u64 * 1_000 + caller);
            let mut took = Vec::new();
            for _ in 0..options.operations / options.callers {
                let (kind, started) = (workload.draw(&mut random), Instant::now());
                operate(&db, kind, workload.is_latest, &written, &mut random).await?;
                took.push((kind, started.elapsed().as_secs_f64() * 1e3));
            }
            Ok(took)
        };
        let mut took: Vec<(Kind, f64)> = try_join_all((0..options.callers).map(caller)).await?.concat();
        let (totals, seconds) = (ledger.totals() - before, started.elapsed().as_secs_f64());
        db.close().await?;
        took.sort_by(|(_, left), (_, right)| left.total_cmp(right));
        let operations = took.len() as f64;
        let of = |kind: Kind| took.iter().filter(|(of, _)| *of == kind).map(|(_, ms)| *ms).collect::<Vec<_>>();
        let by_kind = Kind::ALL.into_iter().map(|kind| (kind, of(kind))).filter(|(_, ms)| !ms.is_empty());
        let by_kind: Map<String, Value> =
            by_kind.map(|(kind, ms)| (kind.name().to_owned(), percentiles(&ms).into())).collect();
        let per_thousand = totals.times(1e3 / operations);
        let dollars = price.bill(&totals.times(1e6 / operations), 0.0).requests();
        let mut row = row(format!("{}: {}", workload.name, workload.what), "operations/s", operations / seconds)
            .with("puts per 1,000", per_thousand.puts)
            .with("gets per 1,000", per_thousand.gets)
            .with("lists per 1,000", per_thousand.lists)
            .with("KiB read per 1,000", per_thousand.read_bytes / 1024.0)
            .with("KiB written per 1,000", per_thousand.written_bytes / 1024.0)
            .with("usd per million", dollars)
            .with("ms", by_kind);
        let all: Vec<f64> = took.iter().map(|(_, ms)| *ms).collect();
        row.more.extend(percentiles(&all));
        rows.push(row);
    }
    rows.sort_by(|left, right| left.what.cmp(&right.what));
    Ok(rows)
}

fn keep<P: Peer>(options: &Options, folder: &Path) -> Result<()> {
    if options.only.as_ref().is_some_and(|only| only != P::PEER) {
        return Ok(());
    }
    let is_asked_for = |latency: &Latency| options.store.as_ref().is_none_or(|only| only == latency.id);
    for latency in Latency::ALL.into_iter().filter(is_asked_for) {
        let mut settings = P::settings();
        settings["documents"] = json!(options.documents);
        settings["operations"] = json!(options.operations);
        settings["callers"] = json!(options.callers);
        let mut results = Results::new(P::PEER, P::PACKAGE, latency.name, &kept_as(latency), settings);
        results.rows = crate::virtual_time::run(measure::<P>(options, latency))?;
        results.keep(folder)?;
    }
    Ok(())
}

/// The name of what is measured with stores that take so long.
pub fn kept_as(latency: Latency) -> String {
    format!("ycsb-{}", latency.id)
}

pub fn run(options: &Options, folder: &Path) -> Result<()> {
    keep::<bucket::Bucket>(options, folder)?;
    keep::<slate::Slate>(options, folder)
}
