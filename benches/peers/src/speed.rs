//! In time: what engines do in a second on this machine, one after the other in interleaved rounds, and how long operations
//! take. All hold the same documents, and their answers are compared.

mod bucket;
mod engine;
mod item;
mod lite;
mod map;
mod popular;
mod redb;
mod sides;
mod slate;
mod work;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use engine_bench::report::{median, peak_kib};
use serde_json::json;

use self::engine::{Bucket, CACHE_BYTES, Place};
use self::item::{Item, Note};
pub(crate) use self::sides::STORES;
use self::sides::{PEERS, Peer, Side};
use self::work::{CALLERS, Measured, Work};
use crate::record::Record;
use crate::results::{Results, row};
use crate::ycsb::WORKLOADS;

/// The workloads' names.
const LOAD: &str = "bulk load of documents of 200 bytes";

#[derive(Args, Clone)]
pub struct Options {
    /// How many documents of 200 bytes there are.
    #[arg(long, default_value_t = 1_000_000)]
    documents: u64,
    /// How many records of 1 KB the workloads of YCSB have.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many point reads there are in a round; a fiftieth of it are scans.
    #[arg(long, default_value_t = 300_000)]
    gets: u64,
    /// How many operations a workload of YCSB has in a round.
    #[arg(long, default_value_t = 10_000)]
    operations: u64,
    /// For how many milliseconds commits are made in a round. Each engine keeps what it was given, so that with a second all of
    /// them together take more than 24 GiB of memory.
    #[arg(long, default_value_t = 400)]
    commits_ms: u64,
    /// Only this store: memory, files, or s3, which needs a server.
    #[arg(long, value_parser = STORES)]
    store: Option<String>,
    /// The address of an S3 server of `cargo xtask servers`; that store needs it.
    #[arg(long, env = "BUCKETDB_TEST_CEPH")]
    server: Option<String>,
    /// Only this engine.
    #[arg(long, value_parser = PEERS.map(|peer| peer.name))]
    only: Option<String>,
    /// Measures one engine once, in a process whose memory is only its own, and prints the most that this had.
    #[arg(long, hide = true, value_parser = PEERS.map(|peer| peer.name))]
    peak_of: Option<String>,
}

impl Options {
    fn works(&self) -> Vec<Work> {
        let lasting = Duration::from_millis(self.commits_ms);
        let commits = |callers, documents| Work::Commits { callers, documents, lasting };
        vec![
            Work::Gets { count: self.gets },
            Work::Scans { count: self.gets / 50, rows: 100 },
            commits(1, 1),
            commits(10, 1),
            commits(100, 1),
            commits(10, 100),
            commits(1, 1000),
        ]
    }

    fn workloads(&self) -> Vec<Work> {
        WORKLOADS.iter().map(|workload| Work::Ycsb { workload, operations: self.operations }).collect()
    }

    /// The same, as arguments for another process.
    fn arguments(&self) -> Vec<String> {
        let Self { documents, records, gets, operations, commits_ms, server, .. } = self;
        let numbers = [
            ("documents", *documents),
            ("records", *records),
            ("gets", *gets),
            ("operations", *operations),
            ("commits-ms", *commits_ms),
        ];
        let numbers = numbers.into_iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
        let server = server.iter().flat_map(|server| ["--server".to_owned(), server.clone()]);
        numbers.chain(server).collect()
    }
}

/// Engines by turns, and everything that they measured.
struct Race {
    peers: Vec<&'static Peer>,
    place: Place,
    rounds: usize,
    /// For each peer what was done, in which unit, and its rounds.
    measured: Vec<Vec<(String, &'static str, Vec<Measured>)>>,
}

impl Race {
    fn new(peers: Vec<&'static Peer>, place: Place, rounds: usize) -> Self {
        let measured = vec![Vec::new(); peers.len()];
        Self { peers, place, rounds, measured }
    }

    fn keep(&mut self, peer: usize, name: &str, unit: &'static str, measured: Measured) {
        let of_peer = &mut self.measured[peer];
        match of_peer.iter_mut().find(|(other, ..)| other == name) {
            Some((.., rounds)) => rounds.push(measured),
            None => of_peer.push((name.to_owned(), unit, vec![measured])),
        }
    }

    /// Everything with documents of one kind.
    async fn run<R: Item>(&mut self, documents: u64, rounds: usize, works: &[Work], name: Option<&str>) -> Result<()> {
        let mut sides: Vec<Box<dyn Side<R>>> = Vec::new();
        for round in 0..rounds {
            for side in std::mem::take(&mut sides) {
                side.close().await?;
            }
            for (index, peer) in self.peers.clone().into_iter().enumerate() {
                let place = self.fresh(peer, round, documents)?;
                let (side, measured) = peer.load::<R>(place, documents, round + 1 == rounds).await?;
                sides.push(side);
                if let Some(name) = name {
                    self.keep(index, name, "documents/s", measured);
                }
            }
        }
        self.agree(&sides).await?;
        for work in works {
            for round in 0..self.rounds {
                let mut answers = Vec::new();
                // Who comes first has another one behind it each time.
                for turn in 0..sides.len() {
                    let index = (turn + round) % sides.len();
                    let measured = sides[index].run(work, round as u64).await?;
                    answers.push((self.peers[index].name, measured.answer));
                    self.keep(index, &work.name(), work.unit(), measured);
                }
                let is_one = answers.iter().all(|(_, answer)| *answer == answers[0].1);
                ensure!(is_one, "the engines answer otherwise, {}: {answers:?}", work.name());
            }
        }
        self.agree(&sides).await?;
        for side in sides {
            side.close().await?;
        }
        Ok(())
    }

    fn fresh(&self, peer: &Peer, round: usize, documents: u64) -> Result<Place> {
        let name = |round: usize| format!("{}-{documents}-{round}", peer.name);
        match &self.place {
            Place::Memory => Ok(Place::Memory),
            Place::Files(folder) => {
                if let Some(before) = round.checked_sub(1) {
                    let before = folder.join(name(before));
                    std::fs::remove_dir_all(before).context("what was loaded before cannot be removed")?;
                }
                Ok(Place::Files(folder.join(name(round))))
            }
            Place::S3(bucket) => Ok(Place::S3(Bucket { prefix: name(round), ..bucket.clone() })),
        }
    }

    /// All have the same, all of which is in memory from then on.
    async fn agree<R: Item>(&self, sides: &[Box<dyn Side<R>>]) -> Result<()> {
        let mut all = Vec::new();
        for (peer, side) in self.peers.iter().zip(sides) {
            all.push((peer.name, side.everything().await?));
        }
        ensure!(all.iter().all(|(_, state)| *state == all[0].1), "the engines hold other documents: {all:?}");
        Ok(())
    }
}

async fn race(peers: Vec<&'static Peer>, place: Place, options: &Options, rounds: usize) -> Result<Race> {
    let mut race = Race::new(peers, place, rounds);
    race.run::<Note>(options.documents, rounds, &options.works(), Some(LOAD)).await?;
    race.run::<Record>(options.records, 1, &options.workloads(), None).await?;
    Ok(race)
}

fn with_store(name: &str, options: &Options, run: impl AsyncFnOnce(Place) -> Result<Race>) -> Result<Race> {
    let folder = tempfile::tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let place = match name {
            "files" => Place::Files(folder.path().to_owned()),
            "s3" => {
                let server =
                    options.server.as_deref().context("an S3 server is needed: --server, or BUCKETDB_TEST_CEPH")?;
                Place::S3(Bucket::create(server).await?)
            }
            _ => Place::Memory,
        };
        run(place).await
    })
}

/// The most memory of a process that does the same with one engine, once.
fn peak_mib(peer: &Peer, store: &str, options: &Options) -> Result<f64> {
    let mut one = Command::new(std::env::current_exe()?);
    one.args(["speed", "--peak-of", peer.name, "--store", store]).args(options.arguments());
    let output = one.output()?;
    if !output.status.success() {
        bail!("{} failed by itself: {}", peer.name, String::from_utf8_lossy(&output.stderr));
    }
    let kib: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(kib / 1024.0)
}

fn keep(race: &Race, peak_mib: &[f64], options: &Options, folder: &Path) -> Result<()> {
    let store = race.place.name();
    for ((peer, measured), peak_mib) in race.peers.iter().zip(&race.measured).zip(peak_mib) {
        let settings = json!({
            "settings": peer.settings(store),
            "durability": peer.durability(store),
            "documents": options.documents,
            "records": options.records,
            "rounds": options.rounds,
            "callers": CALLERS,
            "operations": options.operations,
            "cache_mib": CACHE_BYTES >> 20,
        });
        let mut results = Results::new(peer.name, peer.package, race.place.told(), &format!("speed-{store}"), settings);
        for (name, unit, rounds) in measured {
            let rates: Vec<f64> = rounds.iter().map(|round| round.operations as f64 / round.seconds).collect();
            let mut row = row(name, unit, median(rates.clone())).with("rounds", rates);
            let mut took = rounds[0].took.clone();
            rounds[1..].iter().try_for_each(|round| took.add(&round.took))?;
            if !took.is_empty() {
                for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
                    row = row.with(name, took.value_at_quantile(quantile) as f64 / 1e3);
                }
                row = row.with("operations", took.len());
            }
            results.rows.push(row);
        }
        results.rows.push(row("most memory of a process", "MiB", *peak_mib));
        results.keep(folder)?;
    }
    Ok(())
}

pub fn run(options: &Options, folder: &Path) -> Result<()> {
    let is_asked_for = |store: &&str| options.store.as_deref().map_or(*store != "s3", |only| only == *store);
    for store in STORES.into_iter().filter(is_asked_for) {
        let peers: Vec<&Peer> = PEERS.iter().filter(|peer| peer.has(store)).collect();
        if let Some(name) = &options.peak_of {
            let peers = peers.into_iter().filter(|peer| peer.name == name).collect();
            with_store(store, options, async |place| race(peers, place, options, 1).await)?;
            println!("{}", peak_kib()?);
            return Ok(());
        }
        let is_wanted = |peer: &&Peer| options.only.as_ref().is_none_or(|only| only == peer.name);
        let peers = peers.into_iter().filter(is_wanted).collect();
        let race = with_store(store, options, async |place| race(peers, place, options, options.rounds).await)?;
        let peaks = race.peers.iter().map(|peer| peak_mib(peer, store, options)).collect::<Result<Vec<_>>>()?;
        keep(&race, &peaks, options, folder)?;
    }
    Ok(())
}
