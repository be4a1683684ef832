//! Loading many documents in bounded memory, each engine in a process of its own, whose memory is then only its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::document::Maker;
use crate::engine::{Engine, Scanned};
use crate::report::{Report, Table, judged, median, peak_kib, processor_s, rate};

/// What every engine may use: BucketDB in all, the others for their caches and buffers.
const MEMORY_BYTES: u64 = 100 << 20;

const GETS: u64 = 100_000;

#[derive(Args)]
pub struct Options {
    /// How many documents.
    #[arg(default_value_t = 10_000_000)]
    documents: u64,
    #[arg(long, default_value_t = 1)]
    rounds: usize,
}

#[derive(Args)]
pub struct OneOptions {
    engine: String,
    documents: u64,
    folder: PathBuf,
    /// For profiles: does nothing but load.
    #[arg(long)]
    load_only: bool,
    /// The documents come in an order that is not the keys'. Of BucketDB only.
    #[arg(long)]
    shuffled: bool,
}

/// What one process measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Measured {
    load_s: f64,
    load_processor_s: f64,
    peak_after_load_kib: u64,
    gets_s: f64,
    scan_s: f64,
    peak_kib: u64,
    stored_bytes: u64,
    digest: u64,
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { folder_bytes(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

async fn measure<E: Engine>(
    engine: &E,
    options: &OneOptions,
    load: impl Future<Output = Result<()>>,
) -> Result<Measured> {
    let documents = options.documents;
    let processor_before = processor_s();
    let started = Instant::now();
    load.await?;
    let load_s = started.elapsed().as_secs_f64();
    let load_processor_s = processor_s() - processor_before;
    let peak_after_load_kib = peak_kib()?;
    if options.load_only {
        let (gets_s, scan_s, peak_kib, stored_bytes, digest) = (0.0, 0.0, peak_after_load_kib, 0, 0);
        let loaded =
            Measured { load_s, load_processor_s, peak_after_load_kib, gets_s, scan_s, peak_kib, stored_bytes, digest };
        return Ok(loaded);
    }
    let mut random = fastrand::Rng::with_seed(1);
    let mut digest = 0u64;
    let started = Instant::now();
    for _ in 0..GETS {
        let id = random.u64(..documents);
        let person = engine.get(id).await?.with_context(|| format!("document {id} is missing"))?;
        digest = digest.wrapping_mul(31).wrapping_add(person.digest());
    }
    let gets_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let Scanned { rows, digest: scanned } = engine.scan_typed().await?;
    let scan_s = started.elapsed().as_secs_f64();
    ensure!(rows == documents, "{rows} rows instead of {documents}");
    let digest = digest.wrapping_add(scanned);
    Ok(Measured {
        load_s,
        load_processor_s,
        peak_after_load_kib,
        gets_s,
        scan_s,
        peak_kib: peak_kib()?,
        stored_bytes: 0,
        digest,
    })
}

/// In a process of its own: measures one engine, and prints the result as JSON.
pub async fn one(options: OneOptions) -> Result<()> {
    let OneOptions { engine, documents, folder, shuffled, .. } = &options;
    let documents = *documents;
    let mut measured = match engine.as_str() {
        "BucketDB" => {
            let bucket = Bucket::open_folder(folder, MEMORY_BYTES).await?;
            let measured = measure(&bucket, &options, bucket.load(documents, *shuffled)).await?;
            bucket.db.close().await?;
            measured
        }
        #[cfg(feature = "peers")]
        "SlateDB" => {
            let slate = crate::slate::Slate::open_in(folder, MEMORY_BYTES).await?;
            let measured = measure(&slate, &options, slate.load(documents)).await?;
            slate.db.close().await?;
            measured
        }
        #[cfg(feature = "peers")]
        "SQLite" => {
            std::fs::create_dir_all(folder)?;
            let lite = crate::lite::Lite::open(&folder.join("db"), MEMORY_BYTES, 0)?;
            measure(&lite, &options, async { lite.load(documents) }).await?
        }
        other => bail!("there is no engine {other:?}"),
    };
    measured.stored_bytes = folder_bytes(folder)?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

fn start(engine: &str, documents: u64) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    let output = Command::new(std::env::current_exe()?)
        .args(["load-one", engine, &documents.to_string()])
        .arg(folder.path().join("db"))
        .output()?;
    ensure!(output.status.success(), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

pub fn run(options: Options) -> Result<Report> {
    let Options { documents, rounds } = options;
    let names: &[&str] = if cfg!(feature = "peers") { &["BucketDB", "SlateDB", "SQLite"] } else { &["BucketDB"] };
    let mut all: Vec<Vec<Measured>> = names.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (engine, measured) in names.iter().zip(&mut all) {
            measured.push(start(engine, documents)?);
        }
    }
    let digest = all[0][0].digest;
    ensure!(all.iter().flatten().all(|measured| measured.digest == digest), "the engines give different answers");

    let title = format!("Loading {documents} documents into files with {} MiB", MEMORY_BYTES >> 20);
    let header: Vec<&str> = ["measure"].into_iter().chain(names.iter().copied()).chain(["goal"]).collect();
    let mut table = Table::new(&title, &header);
    let of = |read: fn(&Measured) -> f64| -> Vec<f64> {
        all.iter().map(|rounds| median(rounds.iter().map(read).collect())).collect()
    };
    let mut row = |name: &str, values: Vec<f64>, show: &dyn Fn(f64) -> String, is_met: Option<bool>, goal: &str| {
        let mut cells = vec![name.to_owned()];
        cells.extend(values.iter().enumerate().map(|(place, value)| match is_met {
            Some(is_met) if place == 0 => judged(show(*value), is_met),
            _ => show(*value),
        }));
        cells.push(goal.to_owned());
        table.rows.push(cells);
    };
    let rates: Vec<f64> =
        of(|measured| measured.load_s).into_iter().map(|seconds| documents as f64 / seconds).collect();
    let is_met = rates[0] >= 5e5 && rates[1..].iter().all(|other| rates[0] >= 2.0 * other);
    row("load, documents", rates, &rate, Some(is_met), "≥ 500 k/s, ≥ 2 × SlateDB and SQLite");
    let rates: Vec<f64> =
        of(|measured| measured.load_processor_s).into_iter().map(|seconds| documents as f64 / seconds).collect();
    row("the same for each second of processor time", rates, &rate, None, "");
    let mib = |kib: f64| format!("{:.0} MiB", kib / 1024.0);
    let peaks = of(|measured| measured.peak_after_load_kib as f64);
    let is_met = peaks[0] < 200.0 * 1024.0;
    row("peak resident memory of the load", peaks, &mib, Some(is_met), "< 200 MiB");
    let gets: Vec<f64> = of(|measured| measured.gets_s).into_iter().map(|seconds| GETS as f64 / seconds).collect();
    row("100,000 random point reads", gets, &rate, None, "");
    let scans: Vec<f64> =
        of(|measured| measured.scan_s).into_iter().map(|seconds| documents as f64 / seconds).collect();
    row("full scan, typed", scans, &rate, None, "");
    let peaks = of(|measured| measured.peak_kib as f64);
    let is_met = peaks[0] < 200.0 * 1024.0;
    row("peak resident memory of all", peaks, &mib, Some(is_met), "< 200 MiB");
    row("stored", of(|measured| measured.stored_bytes as f64 / 1024.0), &mib, None, "");
    let mut maker = Maker::new();
    let started = Instant::now();
    let made = documents.min(1_000_000);
    let bytes: u64 = (0..made).map(|id| std::hint::black_box(maker.person(id, 0).encode()).len() as u64).sum();
    let making = made as f64 / started.elapsed().as_secs_f64();
    table.note(format!(
        "{}; each engine in a process of its own, which also makes and encodes the documents, \
         {} bytes each: that alone is {}. A load ends when all documents can be read and all files \
         are synced.",
        if rounds == 1 { "One round".to_owned() } else { format!("Medians of {rounds} interleaved rounds") },
        bytes / made,
        rate(making)
    ));
    table.note(
        "SlateDB: files that are synced, no write-ahead log, no compression (its default), batches of 1,000, a block cache and a limit of \
         unflushed bytes of half the memory each, tables that lie one behind the other made one run without being written \
         again, no limit to their number; what compaction would still do is not waited for. SQLite: rows in the order of \
         their keys in transactions of 100,000, write-ahead log, `synchronous = normal`, a cache of all the memory.",
    );
    Ok(Report::new(&format!("load-{documents}"), vec![table]))
}
