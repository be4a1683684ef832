//! Adding an index to a large table while another process writes: what the build takes, and what it does to whoever writes.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bucketdb::{Database, DelayDriver, Driver, FileDriver, IndexProgress, TokioEnvironment};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::document::Person;
use crate::report::{Report, Table, judged, median, processor_s, quantile};

const MEMORY_BYTES: u64 = 100 << 20;

/// The index that is added.
const FIELDS: &str = "city, balance_cents";

#[derive(Args)]
pub struct Options {
    /// How many documents.
    #[arg(default_value_t = 1_000_000)]
    documents: u64,
    /// How many documents the other process writes a second, each in a commit of its own.
    #[arg(long, default_value_t = 100)]
    writes_per_second: u64,
    /// How many milliseconds each put and each get takes on top of what the files take. Zero: files as they are.
    #[arg(long, default_value_t = 30)]
    latency_ms: u64,
    /// How many seconds the other process writes before, and after, the index is built.
    #[arg(long, default_value_t = 20)]
    quiet_s: u64,
}

#[derive(Args)]
pub struct WriterOptions {
    folder: PathBuf,
    documents: u64,
    writes_per_second: u64,
    latency_ms: u64,
}

/// A commit of the other process.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Written {
    id: u64,
    revision: u64,
    /// When it was asked for, since it began, and how long it took. In seconds.
    begun: f64,
    took: f64,
}

fn driver(folder: &Path, latency_ms: u64) -> Result<Arc<dyn Driver>> {
    let files = FileDriver::new(folder)?;
    let latency = Duration::from_millis(latency_ms);
    let slow = DelayDriver::new(files, TokioEnvironment::new()).reads(latency).writes(latency);
    Ok(Arc::new(slow))
}

/// In a process of its own: writes until its standard input is closed, as often as it is told, however long a write takes.
/// Prints a line when it begins, and what it wrote at the end.
pub async fn write(options: WriterOptions) -> Result<()> {
    let WriterOptions { folder, documents, writes_per_second, latency_ms } = options;
    let bucket = Bucket::open(driver(&folder, latency_ms)?, MEMORY_BYTES).await?;
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    println!();
    std::io::stdout().flush()?;
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / writes_per_second as f64));
    let mut writes = tokio::task::JoinSet::new();
    let mut revision = 0;
    while !ended.is_finished() {
        ticks.tick().await;
        revision += 1;
        // Each document once, so that the last one who wrote it is known.
        let id = revision * 7_368_787 % documents;
        let people = bucket.people.clone();
        writes.spawn(async move {
            let begun = started.elapsed().as_secs_f64();
            people.put(&Person::new(id, revision)).await?;
            let took = started.elapsed().as_secs_f64() - begun;
            Ok::<_, bucketdb::Error>(Written { id, revision, begun, took })
        });
    }
    let written: Vec<Written> = writes.join_all().await.into_iter().collect::<Result<_, _>>()?;
    println!("{}", serde_json::to_string(&written)?);
    bucket.db.close().await?;
    Ok(())
}

struct Writer(Child);

impl Writer {
    fn start(folder: &Path, options: &Options) -> Result<Self> {
        let Options { documents, writes_per_second, latency_ms, .. } = options;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("index-writer")
            .arg(folder)
            .args([documents, writes_per_second, latency_ms].map(u64::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // Its first line.
        let output = child.stdout.as_mut().context("no output")?;
        let mut byte = [0];
        std::io::Read::read_exact(output, &mut byte)?;
        Ok(Self(child))
    }

    fn end(mut self) -> Result<Vec<Written>> {
        drop(self.0.stdin.take());
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().context("no output")?).read_line(&mut line)?;
        ensure!(self.0.wait()?.success(), "the writer failed");
        Ok(serde_json::from_str(&line)?)
    }
}

/// Builds the index in as many pieces as it takes, as who maintains the database does; how often the index moved on.
async fn build(db: &Database) -> Result<()> {
    db.create_index("people", FIELDS).await?;
    db.build_indexes().await?;
    let index = db.indexes("people")?.into_iter().find(|index| index.fields == FIELDS).context("no index")?;
    ensure!(index.progress == IndexProgress::Usable, "the index is not whole: {:?}", index.progress);
    Ok(())
}

pub async fn run(options: Options) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let Options { documents, writes_per_second, latency_ms, quiet_s } = options;
    let bucket = Bucket::open_folder(folder.path(), MEMORY_BYTES).await?;
    bucket.load(documents, false).await?;
    bucket.db.close().await?;

    let bucket = Bucket::open(driver(folder.path(), latency_ms)?, MEMORY_BYTES).await?;
    let writer = Writer::start(folder.path(), &options)?;
    let started = Instant::now();
    tokio::time::sleep(Duration::from_secs(quiet_s)).await;
    let build_begun = started.elapsed().as_secs_f64();
    let processor_before = processor_s();
    build(&bucket.db).await?;
    let build_ended = started.elapsed().as_secs_f64();
    let build_processor_s = processor_s() - processor_before;
    tokio::time::sleep(Duration::from_secs(quiet_s)).await;
    let written = writer.end()?;

    bucket.db.refresh(bucketdb::Freshness::Strict).await?;
    for last in &written {
        let found = bucket.people.get(last.id).await?;
        ensure!(found == Some(Person::new(last.id, last.revision)), "document {} is not what was written", last.id);
    }
    let by_index = bucket.people.query().by_index(FIELDS).count().await?;
    ensure!(by_index == documents, "the index has {by_index} documents");
    let verification = bucket.db.verify(|_| ()).await?;
    ensure!(verification.is_clean(), "{:?}", verification.findings);

    let is_during = |written: &&Written| written.begun >= build_begun && written.begun + written.took <= build_ended;
    let is_apart = |written: &&Written| written.begun + written.took < build_begun || written.begun > build_ended;
    let of = |wanted: &dyn Fn(&&Written) -> bool| -> Vec<f64> {
        written.iter().filter(wanted).map(|written| written.took * 1e3).collect()
    };
    let (apart, during) = (of(&is_apart), of(&is_during));
    let title =
        format!("An index over `{FIELDS}` of {documents} documents, built beside {writes_per_second} writes a second");
    let mut table = Table::new(&title, &["measure", "without", "while it is built", "goal"]);
    table.row(["commits".to_owned(), apart.len().to_string(), during.len().to_string(), String::new()]);
    let ms = |value: f64| format!("{value:.1} ms");
    let medians = (median(apart.clone()), median(during.clone()));
    let factor = medians.1 / medians.0;
    let shown = format!("{} ({factor:.2} ×)", ms(medians.1));
    table.row(["median".to_owned(), ms(medians.0), judged(shown, factor <= 1.2), "≤ 1.2 ×".to_owned()]);
    for (name, share) in [("90 %", 0.9), ("99 %", 0.99)] {
        let (apart, during) = (quantile(apart.clone(), share), quantile(during.clone(), share));
        let shown = format!("{} ({:.2} ×)", ms(during), during / apart);
        table.row([format!("{name} took at most"), ms(apart), shown, String::new()]);
    }
    table.note(format!(
        "Two processes on one store: files, of which each request takes {latency_ms} ms longer. The build took \
         {:.1} s, {build_processor_s:.1} s of processor time. Afterwards every document that was written is the one that is \
         found, the index has all, and `verify`, which compares each entry with its row, found nothing.",
        build_ended - build_begun
    ));
    Ok(Report::new(&format!("index-{documents}-{latency_ms}ms"), vec![table]))
}
