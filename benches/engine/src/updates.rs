//! What random updates cost in bytes and requests, what they do to reads, and what remains of them in the store.

mod bucket;
#[cfg(feature = "peers")]
mod counted;
#[cfg(feature = "peers")]
mod slate;

use std::ops::Sub;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::document::Person;
use crate::report::{Report, Table, judged, peak_kib, rate};

/// Short, so that what is superfluous can be removed at once.
const GRACE: Duration = Duration::from_secs(4);

/// Reads of one process that has just opened the database.
const COLD_READS: u64 = 200;

#[derive(Args)]
pub struct Options {
    /// How many documents, and how many updates.
    #[arg(default_value_t = 1_000_000)]
    documents: u64,
    /// Updates in a commit.
    #[arg(long, default_value_t = 1000)]
    batch: u64,
}

#[derive(Args)]
pub struct OneOptions {
    engine: String,
    documents: u64,
    batch: u64,
}

/// Requests that a store would bill, and bytes. An object that is sent in parts is one put.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    puts: u64,
    put_bytes: u64,
    gets: u64,
    get_bytes: u64,
}

impl Sub for Used {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            puts: self.puts - before.puts,
            put_bytes: self.put_bytes - before.put_bytes,
            gets: self.gets - before.gets,
            get_bytes: self.get_bytes - before.get_bytes,
        }
    }
}

/// What of the database is sorted.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Sorted sequences of rows: a read may have to look into each.
    tiers: u64,
    /// Objects that they are.
    runs: u64,
    bytes: u64,
}

/// A database in memory whose requests are counted.
trait Updated: Sized {
    /// The documents with revision 0, sorted; nothing is left to do for maintenance.
    async fn load(documents: u64) -> Result<Self>;

    /// One commit, durable when it returns.
    async fn write(&self, people: Vec<Person>) -> Result<()>;

    fn used(&self) -> Used;

    async fn shape(&self) -> Result<Shape>;

    /// All objects that are in the store and their bytes.
    async fn stored(&self) -> Result<(u64, u64)>;

    /// The gets that it takes a process which has just opened the database to read documents, one after the other.
    async fn cold_gets(&self, expected: &[Person]) -> Result<u64>;

    /// Merges everything into one sorted sequence.
    async fn compact(&self) -> Result<()>;

    /// Removes what is superfluous and old enough.
    async fn collect_garbage(&self) -> Result<()>;

    async fn close(self) -> Result<()>;
}

/// What one process measured.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    loaded_bytes: u64,
    tenths: Vec<Tenth>,
    row_bytes: u64,
    peak_stored_bytes: u64,
    compacting: [u64; 4],
    end: End,
    peak_kib: u64,
}

/// The state after a tenth of the updates; what was used, since the first of them.
#[derive(Debug, Serialize, Deserialize)]
struct Tenth {
    updates: u64,
    per_second: f64,
    write_amplification: f64,
    puts_per_commit: f64,
    gets_per_commit: f64,
    tiers: u64,
    runs: u64,
    stored_bytes: u64,
    cold_gets: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    tiers: u64,
    run_bytes: u64,
    objects: u64,
    stored_bytes: u64,
    cold_gets: f64,
}

async fn measure<U: Updated>(documents: u64, batch: u64) -> Result<Measured> {
    ensure!(batch > 0 && documents >= 10 * batch, "ten commits at least");
    let db = U::load(documents).await?;
    let loaded_bytes = db.shape().await?.bytes;
    let mut random = fastrand::Rng::with_seed(3);
    let mut revisions = vec![0u32; documents as usize];
    let (mut row_bytes, mut commits, mut updates) = (0u64, 0u64, 0u64);
    let before = db.used();
    let mut tenths = Vec::new();
    let mut peak_stored_bytes = 0;
    let mut took = Duration::ZERO;
    for _ in 0..10 {
        let mut left = documents / 10;
        let updates_before = updates;
        while left > 0 {
            let people: Vec<Person> = std::iter::repeat_with(|| random.u64(..documents))
                .take(batch.min(left) as usize)
                .map(|id| {
                    revisions[id as usize] += 1;
                    Person::new(id, revisions[id as usize].into())
                })
                .collect();
            left -= people.len() as u64;
            updates += people.len() as u64;
            row_bytes += people.iter().map(|person| person.encode().len() as u64 + 8).sum::<u64>();
            commits += 1;
            let started = Instant::now();
            db.write(people).await?;
            took += started.elapsed();
        }
        let used = db.used() - before;
        let shape = db.shape().await?;
        let (_, stored_bytes) = db.stored().await?;
        peak_stored_bytes = peak_stored_bytes.max(stored_bytes);
        tenths.push(Tenth {
            updates,
            per_second: (updates - updates_before) as f64 / std::mem::take(&mut took).as_secs_f64(),
            write_amplification: used.put_bytes as f64 / row_bytes as f64,
            puts_per_commit: used.puts as f64 / commits as f64,
            gets_per_commit: used.gets as f64 / commits as f64,
            tiers: shape.tiers,
            runs: shape.runs,
            stored_bytes,
            cold_gets: cold_gets(&db, &revisions).await?,
        });
    }

    let before = db.used();
    db.compact().await?;
    // What became superfluous is removed a grace after it did, and what that makes superfluous after another one.
    for _ in 0..3 {
        tokio::time::sleep(GRACE + Duration::from_millis(500)).await;
        db.collect_garbage().await?;
    }
    let Used { puts, put_bytes, gets, get_bytes } = db.used() - before;
    let shape = db.shape().await?;
    let (objects, stored_bytes) = db.stored().await?;
    let cold_gets = cold_gets(&db, &revisions).await?;
    let end = End { tiers: shape.tiers, run_bytes: shape.bytes, objects, stored_bytes, cold_gets };
    db.close().await?;
    let compacting = [puts, put_bytes, gets, get_bytes];
    Ok(Measured { loaded_bytes, tenths, row_bytes, peak_stored_bytes, compacting, end, peak_kib: peak_kib()? })
}

/// Gets for each of the reads; the answers are checked.
async fn cold_gets<U: Updated>(db: &U, revisions: &[u32]) -> Result<f64> {
    let mut random = fastrand::Rng::with_seed(5);
    let people: Vec<Person> = std::iter::repeat_with(|| random.usize(..revisions.len()))
        .take(COLD_READS as usize)
        .map(|id| Person::new(id as u64, revisions[id].into()))
        .collect();
    Ok(db.cold_gets(&people).await? as f64 / COLD_READS as f64)
}

/// In a process of its own: measures one engine, and prints the result as JSON.
pub async fn one(options: OneOptions) -> Result<()> {
    let OneOptions { engine, documents, batch } = options;
    let measured = match engine.as_str() {
        "BucketDB" => measure::<bucket::Bucket>(documents, batch).await?,
        #[cfg(feature = "peers")]
        "SlateDB" => measure::<slate::Slate>(documents, batch).await?,
        other => bail!("there is no engine {other:?}"),
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

fn start(engine: &str, documents: u64, batch: u64) -> Result<Measured> {
    let output = Command::new(std::env::current_exe()?)
        .args(["updates-one", engine, &documents.to_string(), &batch.to_string()])
        .output()?;
    ensure!(output.status.success(), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

pub fn run(options: Options) -> Result<Report> {
    let Options { documents, batch } = options;
    let names: &[&str] = if cfg!(feature = "peers") { &["BucketDB", "SlateDB"] } else { &["BucketDB"] };
    let (mut measured, mut names_of, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (place, name) in names.iter().enumerate() {
        match start(name, documents, batch) {
            Ok(of_engine) => {
                measured.push(of_engine);
                names_of.push(*name);
            }
            // A peer that does not come to the end of it has no figures, and that is told.
            Err(error) if place > 0 => failures.push(failure(name, &error.to_string())),
            Err(error) => return Err(error),
        }
    }
    let mut tables = Vec::new();
    for (name, measured) in names_of.iter().zip(&measured) {
        tables.push(growth(name, measured, documents, batch));
    }
    let mut end = end(&names_of, &measured);
    failures.into_iter().for_each(|failure| end.note(failure));
    tables.push(end);
    Ok(Report::new(&format!("updates-{documents}"), tables))
}

/// What a peer said when it failed, without the stack.
fn failure(name: &str, output: &str) -> String {
    let told = output.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("thread '"));
    let told: Vec<&str> = told.take_while(|line| !line.starts_with("stack backtrace")).take(3).collect();
    format!("{name} did not come to the end of it, and so has no figures: {}", told.join(" ").replace('|', "/"))
}

fn growth(name: &str, measured: &Measured, documents: u64, batch: u64) -> Table {
    let mut table = Table::new(
        &format!("{name}: {documents} random updates of {documents} documents, {batch} in a commit"),
        &[
            "updates",
            "updates / s",
            "bytes written / bytes of rows",
            "puts / commit",
            "gets / commit",
            "tiers",
            "runs",
            "all objects / loaded afresh",
            "gets / cold read",
        ],
    );
    for tenth in &measured.tenths {
        table.row([
            tenth.updates.to_string(),
            rate(tenth.per_second),
            format!("{:.2}", tenth.write_amplification),
            format!("{:.2}", tenth.puts_per_commit),
            format!("{:.2}", tenth.gets_per_commit),
            tenth.tiers.to_string(),
            tenth.runs.to_string(),
            format!("{:.2} ×", tenth.stored_bytes as f64 / measured.loaded_bytes as f64),
            format!("{:.2}", tenth.cold_gets),
        ]);
    }
    if name == "BucketDB" {
        table.note(format!(
            "The store is in memory. Updates a second: of this tenth, by the clock, waits for maintenance included. Bytes \
             and requests: since the first update, log, runs and manifests, over the keys and encoded rows as the \
             application gave them. Tiers: sorted sequences that a read may have to look into; runs: the objects that they \
             are. Cold reads: {COLD_READS} random documents one after the other in a process that has just opened the \
             database, whatever they need of indexes and filters counted. History of zero; a grace of {} s, which only the \
             simulator may set, stands for the hour. An object that is sent in parts counts as one put.",
            GRACE.as_secs()
        ));
    } else {
        table.note(
            "Default settings, and LZ4, as BucketDB's; each commit is followed by a flush, so that it is durable at once \
             and takes one put; garbage collection as often as BucketDB's. Tiers: tables of level 0 and sorted runs. All \
             objects: what loading left superfluous counts until it is collected. Cold reads: by a `DbReader` that has just \
             been opened.",
        );
    }
    table
}

fn end(names: &[&str], all: &[Measured]) -> Table {
    let header: Vec<&str> = ["measure"].into_iter().chain(names.iter().copied()).chain(["goal"]).collect();
    let mut table = Table::new("Afterwards, compacted and superfluous objects removed", &header);
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let mut row = |name: &str, goal: &str, show: &dyn Fn(&Measured) -> String| {
        let cells = all.iter().map(show);
        table.rows.push([name.to_owned()].into_iter().chain(cells).chain([goal.to_owned()]).collect());
    };
    row("rows that were written", "", &|measured| mib(measured.row_bytes));
    row("the same number of documents, loaded afresh", "", &|measured| mib(measured.loaded_bytes));
    row("most in the store while updating", "", &|measured| mib(measured.peak_stored_bytes));
    row("sorted runs", "", &|measured| format!("{} in {} tiers", mib(measured.end.run_bytes), measured.end.tiers));
    row("all objects", "≤ 1.3 × loaded afresh", &|measured| {
        let factor = measured.end.stored_bytes as f64 / measured.loaded_bytes as f64;
        let shown = format!("{} in {} ({factor:.2} ×)", mib(measured.end.stored_bytes), measured.end.objects);
        // Only BucketDB has goals.
        if std::ptr::eq(measured, &all[0]) { judged(shown, factor <= 1.3) } else { shown }
    });
    row("read and written to get there", "", &|measured| {
        format!("{} and {}", mib(measured.compacting[3]), mib(measured.compacting[1]))
    });
    row("gets and puts to get there", "", &|measured| {
        format!("{} and {}", measured.compacting[2], measured.compacting[0])
    });
    row("gets / cold read", "", &|measured| format!("{:.2}", measured.end.cold_gets));
    row("peak memory, the store included", "", &|measured| mib(measured.peak_kib * 1024));
    table.note(
        "Both had as much time after compaction, three times the grace and a collection each time. SlateDB keeps the tables \
         that are newer than the last compaction's beginning or than the newest table of level 0, so that what its last \
         compaction replaced goes after the next one only. Each engine in a process of its own.",
    );
    table
}
