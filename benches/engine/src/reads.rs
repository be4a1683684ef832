//! Warm point reads and full scans.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;

use crate::bucket::Bucket;
use crate::document::Person;
use crate::engine::{Engine, Map, Scanned};
use crate::report::{Report, Table, judged, median, rate};

/// Enough that everything is in memory.
const CACHE_BYTES: u64 = 1 << 30;

#[derive(Args)]
pub struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    documents: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Point reads in a round.
    #[arg(long, default_value_t = 300_000)]
    gets: u64,
    /// Only BucketDB, for a profile of one of: get, get8, stored, typed.
    #[arg(long)]
    profile: Option<String>,
}

/// Rates of one engine, round after round, by kind of read.
struct Rates {
    name: &'static str,
    kinds: [Vec<f64>; 5],
}

const KINDS: [&str; 5] = [
    "point reads, 1 task",
    "point reads, 8 tasks",
    "full scan, rows as stored",
    "full scan, typed, 1 task",
    "full scan, typed, 8 tasks",
];

impl Rates {
    fn new(name: &'static str) -> Self {
        Self { name, kinds: Default::default() }
    }
}

/// The same numbers for every engine.
fn ids(seed: u64, documents: u64) -> impl Iterator<Item = u64> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(move || random.u64(..documents))
}

async fn get_many<E: Engine>(engine: &E, seed: u64, count: u64, documents: u64) -> Result<u64> {
    let mut digest = 0u64;
    for id in ids(seed, documents).take(count as usize) {
        let person = engine.get(id).await?;
        let person = person.ok_or_else(|| anyhow::anyhow!("document {id} is missing"))?;
        digest = digest.wrapping_add(person.digest());
    }
    Ok(digest)
}

/// Runs `work` on so many clones at once; the results, and the seconds that it took.
async fn on_tasks<E: Engine, T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
    engine: &E,
    tasks: u64,
    work: impl Fn(E, u64) -> F,
) -> Result<(Vec<T>, f64)> {
    let clones: Vec<E> = (0..tasks).map(|_| engine.clone()).collect();
    let started = Instant::now();
    let tasks: Vec<_> = clones.into_iter().zip(0..).map(|(clone, task)| tokio::spawn(work(clone, task))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await??);
    }
    Ok((results, started.elapsed().as_secs_f64()))
}

/// Documents and digests that all engines must agree on.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answers {
    gets: Vec<u64>,
    scans: Vec<Scanned>,
}

async fn round<E: Engine>(engine: &E, options: &Options, seed: u64, rates: &mut Rates) -> Result<Answers> {
    let (gets, documents) = (options.gets, options.documents);
    let mut answers = Answers::default();
    let mut took = [0.0; 5];

    let (digests, seconds) =
        on_tasks(engine, 1, |engine, task| async move { get_many(&engine, seed + task, gets, documents).await })
            .await?;
    answers.gets.extend(digests);
    took[0] = gets as f64 / seconds;

    let (digests, seconds) =
        on_tasks(engine, 8, |engine, task| async move { get_many(&engine, seed + task, gets / 4, documents).await })
            .await?;
    answers.gets.extend(digests);
    took[1] = (gets / 4 * 8) as f64 / seconds;

    let (rows, seconds) = on_tasks(engine, 1, |engine, _| async move { engine.scan_stored().await }).await?;
    ensure!(rows == [documents], "{} has {rows:?} rows", E::NAME);
    took[2] = documents as f64 / seconds;

    let (scans, seconds) = on_tasks(engine, 1, |engine, _| async move { engine.scan_typed().await }).await?;
    answers.scans.extend(scans);
    took[3] = documents as f64 / seconds;

    let (scans, seconds) = on_tasks(engine, 8, |engine, _| async move { engine.scan_typed().await }).await?;
    answers.scans.extend(scans);
    took[4] = (documents * 8) as f64 / seconds;

    rates.kinds.iter_mut().zip(took).for_each(|(rates, rate)| rates.push(rate));
    Ok(answers)
}

/// Nothing to report if only a profile was wanted.
pub async fn run(options: Options) -> Result<Option<Report>> {
    let folder = tempfile::tempdir()?;
    let documents = options.documents;
    let bucket = Bucket::open_folder(&folder.path().join("bucketdb"), CACHE_BYTES).await?;
    bucket.load(documents, false).await?;
    bucket.db.checkpoint().await?;
    if let Some(kind) = &options.profile {
        profile(&bucket, kind, &options).await?;
        return Ok(None);
    }
    let map = Map::new(documents);
    #[cfg(feature = "peers")]
    let (slate, lite) = {
        // Loaded without a write-ahead log, then opened as usual, so that no time goes into what is not read.
        let path = folder.path().join("slatedb");
        let loading = crate::slate::Slate::open_folder(&path, CACHE_BYTES, false).await?;
        loading.load(documents).await?;
        loading.db.close().await?;
        let slate = crate::slate::Slate::open_folder(&path, CACHE_BYTES, true).await?;
        let lite = crate::lite::Lite::open(&folder.path().join("sqlite"), CACHE_BYTES)?;
        lite.load(documents)?;
        (slate, lite)
    };

    let mut all = vec![Rates::new(Map::NAME), Rates::new(Bucket::NAME), Rates::new("SlateDB"), Rates::new("SQLite")];
    // The first round warms the caches and does not count.
    for number in 0..=options.rounds {
        let seed = 1000 * number as u64;
        let expected = round(&map, &options, seed, &mut all[0]).await?;
        ensure!(round(&bucket, &options, seed, &mut all[1]).await? == expected, "BucketDB answers otherwise");
        #[cfg(feature = "peers")]
        {
            ensure!(round(&slate, &options, seed, &mut all[2]).await? == expected, "SlateDB answers otherwise");
            ensure!(round(&lite, &options, seed, &mut all[3]).await? == expected, "SQLite answers otherwise");
        }
        if number == 0 {
            all.iter_mut().for_each(|rates| rates.kinds = Default::default());
        }
    }
    Ok(Some(Report::new("reads", vec![table(&options, &all)])))
}

fn table(options: &Options, all: &[Rates]) -> Table {
    let bytes = Person::new(1, 0).encode().len();
    let title = format!("Warm reads of {} documents of about {bytes} bytes", options.documents);
    let header: Vec<&str> =
        ["read"].into_iter().chain(all.iter().map(|rates| rates.name)).chain(["ratios", "goal"]).collect();
    let mut table = Table::new(&title, &header);
    for (index, kind) in KINDS.iter().enumerate() {
        let values: Vec<f64> = all.iter().map(|rates| median(rates.kinds[index].clone())).collect();
        let [map, bucket, slate, lite] = values[..] else { continue };
        let (floor, goal) = match index {
            0 => (1e6, "≥ 1 M/s, ≥ 10 × SlateDB"),
            2 => (5e6, "≥ 5 M/s"),
            3 => (3e6, "≥ 3 M/s"),
            _ => (0.0, ""),
        };
        let is_met = bucket >= floor && (index != 0 || slate.is_nan() || bucket >= 10.0 * slate);
        let mut row = vec![(*kind).to_owned()];
        row.extend(values.iter().enumerate().map(|(place, value)| {
            if place == 1 && !goal.is_empty() { judged(rate(*value), is_met) } else { rate(*value) }
        }));
        row.push(format!("{:.2} × map, {:.1} × SlateDB, {:.1} × SQLite", bucket / map, bucket / slate, bucket / lite));
        row.push(goal.to_owned());
        table.rows.push(row);
    }
    table.note(format!(
        "Medians of {} rounds. Everything is in memory: each engine may use {} MiB. BucketDB is read with its default freshness.",
        options.rounds,
        CACHE_BYTES >> 20
    ));
    table
}

async fn profile(bucket: &Bucket, kind: &str, options: &Options) -> Result<()> {
    bucket.scan_stored().await?;
    let (mut rates, mut by_processor) = (Vec::new(), Vec::new());
    for number in 0..options.rounds as u64 {
        let (gets, documents) = (options.gets, options.documents);
        let processor_before = processor_s()?;
        let started = Instant::now();
        let count = match kind {
            "none" => 0,
            "get" => {
                get_many(bucket, number, gets, documents).await?;
                gets
            }
            "get8" => {
                let work = |engine: Bucket, task| async move { get_many(&engine, task, gets, documents).await };
                on_tasks(bucket, 8, work).await?;
                gets * 8
            }
            "stored" => bucket.scan_stored().await?,
            "typed" => bucket.scan_typed().await?.rows,
            other => anyhow::bail!("there is no {other:?} to profile"),
        };
        rates.push(count as f64 / started.elapsed().as_secs_f64());
        by_processor.push(count as f64 / (processor_s()? - processor_before));
    }
    println!("{kind}: {} by the clock, {} by processor time", rate(median(rates)), rate(median(by_processor)));
    Ok(())
}

/// Processor time of this process in seconds, to a hundredth: what others do on the machine counts less in it.
fn processor_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2)).into_iter().flatten();
    Ok(fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0)
}
