//! Warm point reads and full scans.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::bucket::Bucket;
use crate::document::Person;
use crate::engine::{Engine, Map, Scanned};
use crate::report::{Report, Table, judged, median, processor_s, rate};

/// Enough that everything is in memory.
const CACHE_BYTES: u64 = 1 << 30;

/// How many documents are written again for the recent ones, far fewer than make a checkpoint due.
const RECENT: u64 = 10_000;

const TASKS: usize = 8;

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

/// What is read.
#[derive(Clone, Copy)]
enum Kind {
    /// So many times one of so many documents, whose ids are multiples of the stride.
    Gets {
        documents: u64,
        stride: u64,
        count: u64,
    },
    Stored,
    Typed,
}

/// One line of the table: what is read by how many tasks, the rate that is the goal, and the goal in words.
struct Line {
    name: String,
    kind: Kind,
    tasks: usize,
    least_rate: f64,
    /// The rate also has to be so many times SlateDB's and half of the map's.
    times_slate: f64,
    goal: &'static str,
}

fn lines(options: &Options) -> Vec<Line> {
    let Options { documents, gets: count, .. } = *options;
    let all = Kind::Gets { documents, stride: 1, count };
    [
        ("point reads", all, 1, 1e6, 10.0, "≥ 1 M/s, ≥ 10 × SlateDB, ≥ 0.5 × map"),
        ("point reads", all, TASKS, 0.0, 0.0, ""),
        ("full scan, rows as stored", Kind::Stored, 1, 5e6, 0.0, "≥ 5 M/s"),
        ("full scan, rows as stored", Kind::Stored, TASKS, 0.0, 0.0, ""),
        ("full scan, typed", Kind::Typed, 1, 3e6, 0.0, "≥ 3 M/s"),
        ("full scan, typed", Kind::Typed, TASKS, 0.0, 0.0, ""),
    ]
    .into_iter()
    .map(|(name, kind, tasks, least_rate, times_slate, goal)| {
        Line::new(name, kind, tasks, least_rate, times_slate, goal)
    })
    .collect()
}

fn recent_lines(options: &Options) -> Vec<Line> {
    let kind = Kind::Gets { documents: RECENT, stride: options.documents / RECENT, count: options.gets };
    vec![
        Line::new("point reads of recent documents", kind, 1, 1e6, 0.0, "≥ 1 M/s"),
        Line::new("point reads of recent documents", kind, TASKS, 0.0, 0.0, ""),
    ]
}

impl Line {
    fn new(name: &str, kind: Kind, tasks: usize, least_rate: f64, times_slate: f64, goal: &'static str) -> Self {
        let s = if tasks == 1 { "" } else { "s" };
        Self { name: format!("{name}, {tasks} task{s}"), kind, tasks, least_rate, times_slate, goal }
    }
}

/// An engine and a clone of it for every task, which stay: what a clone has in memory is warm as well.
struct Side<E> {
    clones: Vec<Arc<E>>,
    /// For every line its rates, round after round: by the clock, and by processor time.
    rates: Vec<(Vec<f64>, Vec<f64>)>,
}

/// What was read, which all engines must agree on.
#[derive(Clone, Debug, Default, PartialEq)]
struct Answer {
    rows: u64,
    digest: u64,
}

async fn read<E: Engine>(engine: Arc<E>, kind: Kind, seed: u64) -> Result<Answer> {
    match kind {
        Kind::Gets { documents, stride, count } => get_many(&*engine, documents, stride, count, seed).await,
        Kind::Stored => Ok(Answer { rows: engine.scan_stored().await?, digest: 0 }),
        Kind::Typed => {
            let Scanned { rows, digest } = engine.scan_typed().await?;
            Ok(Answer { rows, digest })
        }
    }
}

async fn get_many<E: Engine>(engine: &E, documents: u64, stride: u64, count: u64, seed: u64) -> Result<Answer> {
    let mut answer = Answer::default();
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..count {
        let id = random.u64(..documents) * stride;
        let person = engine.get(id).await?.with_context(|| format!("document {id} is missing"))?;
        answer.rows += 1;
        answer.digest = answer.digest.wrapping_mul(31).wrapping_add(person.digest());
    }
    Ok(answer)
}

impl<E: Engine> Side<E> {
    fn new(engine: E) -> Self {
        Self { clones: (0..TASKS).map(|_| Arc::new(engine.clone())).collect(), rates: Vec::new() }
    }

    /// Reads what the lines say; the answers of all tasks.
    async fn round(&mut self, lines: &[Line], seed: u64) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let processor_before = processor_s();
            let started = Instant::now();
            let tasks: Vec<_> = (self.clones.iter().take(line.tasks).zip(seed..))
                .map(|(engine, seed)| tokio::spawn(read(engine.clone(), line.kind, seed)))
                .collect();
            let mut rows = 0;
            for task in tasks {
                let answer = task.await??;
                rows += answer.rows;
                answers.push(answer);
            }
            let by_clock = rows as f64 / started.elapsed().as_secs_f64();
            let by_processor = rows as f64 / (processor_s() - processor_before);
            if self.rates.len() == index {
                self.rates.push((Vec::new(), Vec::new()));
            }
            self.rates[index].0.push(by_clock);
            self.rates[index].1.push(by_processor);
        }
        Ok(answers)
    }

    fn medians(&self, by_processor: bool) -> Vec<f64> {
        let of =
            |(clock, processor): &(Vec<f64>, Vec<f64>)| if by_processor { processor.clone() } else { clock.clone() };
        self.rates.iter().map(|rates| median(of(rates))).collect()
    }
}

/// A name, and the medians of every line: by the clock, and by processor time.
struct Column {
    name: &'static str,
    medians: [Vec<f64>; 2],
}

impl<E: Engine> Side<E> {
    fn column(&self) -> Column {
        Column { name: E::NAME, medians: [self.medians(false), self.medians(true)] }
    }
}

/// All engines; those that are not compiled in are none.
struct Sides {
    map: Side<Map>,
    bucket: Side<Bucket>,
    #[cfg(feature = "peers")]
    slate: Side<crate::slate::Slate>,
    #[cfg(feature = "peers")]
    lite: Side<crate::lite::Lite>,
}

impl Sides {
    /// Round by round, one engine after the other; the first round warms what is cold, and does not count.
    async fn measure(&mut self, lines: &[Line], rounds: usize) -> Result<Vec<Column>> {
        self.forget();
        for round in 0..=rounds as u64 {
            let seed = 1000 * round;
            let expected = self.map.round(lines, seed).await?;
            ensure!(self.bucket.round(lines, seed).await? == expected, "BucketDB answers otherwise");
            #[cfg(feature = "peers")]
            {
                ensure!(self.slate.round(lines, seed).await? == expected, "SlateDB answers otherwise");
                ensure!(self.lite.round(lines, seed).await? == expected, "SQLite answers otherwise");
            }
            if round == 0 {
                self.forget();
            }
        }
        Ok(vec![
            self.map.column(),
            self.bucket.column(),
            #[cfg(feature = "peers")]
            self.slate.column(),
            #[cfg(feature = "peers")]
            self.lite.column(),
        ])
    }

    fn forget(&mut self) {
        self.map.rates.clear();
        self.bucket.rates.clear();
        #[cfg(feature = "peers")]
        {
            self.slate.rates.clear();
            self.lite.rates.clear();
        }
    }
}

/// Nothing to report if only a profile was wanted.
pub async fn run(options: Options) -> Result<Option<Report>> {
    let folder = tempfile::tempdir()?;
    let documents = options.documents;
    ensure!(documents >= RECENT, "at least {RECENT} documents");
    let bucket = Bucket::open_folder(&folder.path().join("bucketdb"), CACHE_BYTES).await?;
    bucket.load(documents, false).await?;
    bucket.db.checkpoint().await?;
    if let Some(kind) = &options.profile {
        profile(&bucket, kind, &options).await?;
        return Ok(None);
    }
    #[cfg(feature = "peers")]
    let (slate, lite) = {
        // Loaded without a write-ahead log, then opened as usual, so that no time goes into what is not read.
        let path = folder.path().join("slatedb");
        let loading = crate::slate::Slate::open_in(&path, CACHE_BYTES).await?;
        loading.load(documents).await?;
        loading.db.close().await?;
        let slate = crate::slate::Slate::open_folder(&path, CACHE_BYTES).await?;
        slate.settle().await?;
        let lite = crate::lite::Lite::open(&folder.path().join("sqlite"), CACHE_BYTES, CACHE_BYTES)?;
        lite.load(documents)?;
        (slate, lite)
    };
    let mut sides = Sides {
        map: Side::new(Map::new((0..documents).map(|id| Person::new(id, 0)))),
        bucket: Side::new(bucket.clone()),
        #[cfg(feature = "peers")]
        slate: Side::new(slate.clone()),
        #[cfg(feature = "peers")]
        lite: Side::new(lite.clone()),
    };
    let mut lines = lines(&options);
    let mut columns = sides.measure(&lines, options.rounds).await?;

    let recent = recent_lines(&options);
    let stride = documents / RECENT;
    let revision = |id: u64| u64::from(id.is_multiple_of(stride) && id / stride < RECENT);
    sides.map = Side::new(Map::new((0..documents).map(|id| Person::new(id, revision(id)))));
    let checkpoint = bucket.db.stats()?.checkpoint;
    for first in (0..RECENT).step_by(1000) {
        let people: Vec<Person> = (first..first + 1000).map(|number| Person::new(number * stride, 1)).collect();
        bucket.put(people.clone()).await?;
        #[cfg(feature = "peers")]
        {
            slate.put(people.clone()).await?;
            lite.put(people).await?;
        }
    }
    #[cfg(feature = "peers")]
    let tables_before = slate.shape();
    for (column, more) in columns.iter_mut().zip(sides.measure(&recent, options.rounds).await?) {
        column.medians.iter_mut().zip(more.medians).for_each(|(all, more)| all.extend(more));
    }
    ensure!(bucket.db.stats()?.checkpoint == checkpoint, "recent documents are in runs by now");
    #[cfg(feature = "peers")]
    ensure!(slate.shape() == tables_before, "recent documents are in SlateDB's tables by now");
    lines.extend(recent);

    let bytes = (0..1000).map(|id| Person::new(id, 0).encode().len()).sum::<usize>() / 1000;
    let mut by_clock =
        table(&format!("Warm reads of {documents} documents of about {bytes} bytes"), &lines, &columns, 0);
    by_clock.note(format!(
        "By the clock. Medians of {} rounds, in which the engines take turns; each of several tasks reads as much as one. \
         Everything is in memory: each engine may keep {} MiB. The ordered map holds the encoded documents and decodes with \
         `rmp-serde`, as SlateDB and SQLite have to; BucketDB has a decoder of its own, which is faster, so that it can be \
         ahead of the map.",
        options.rounds,
        CACHE_BYTES >> 20
    ));
    by_clock.note(
        "BucketDB: default freshness; rows as stored are read by `count` without counters, which visits every row. SlateDB: default settings \
         without compression, after its compaction has settled; scans fetch 1 MiB ahead in 4 tasks and keep blocks in the \
         cache. SQLite: a connection for each task, prepared statements, the whole file mapped into memory. Recent \
         documents are the last 10,000 written, in ten commits: in BucketDB's memory, in SlateDB's, and in SQLite's \
         write-ahead log or file.",
    );
    let mut by_processor =
        table("The same by processor time: rows for each second that a processor worked", &lines, &columns, 1);
    by_processor.note("All threads of the process counted: what others do on the machine changes little.");
    bucket.db.close().await?;
    #[cfg(feature = "peers")]
    slate.db.close().await?;
    Ok(Some(Report::new(&format!("reads-{documents}"), vec![by_clock, by_processor])))
}

/// By the clock (0), judged, or by processor time (1).
fn table(title: &str, lines: &[Line], columns: &[Column], measure: usize) -> Table {
    let is_judged = measure == 0;
    let names = columns.iter().map(|column| column.name);
    let more: &[&str] = if is_judged { &["BucketDB is", "goal"] } else { &["BucketDB is"] };
    let header: Vec<&str> = ["read"].into_iter().chain(names).chain(more.iter().copied()).collect();
    let mut table = Table::new(title, &header);
    for (index, line) in lines.iter().enumerate() {
        let of = |column: &Column| column.medians[measure][index];
        let bucket = columns.iter().find(|column| column.name == Bucket::NAME).map_or(f64::NAN, of);
        let mut row = vec![line.name.clone()];
        let mut ratios = Vec::new();
        let mut is_met = bucket >= line.least_rate;
        for column in columns.iter().filter(|column| column.name != Bucket::NAME) {
            let ratio = bucket / of(column);
            ratios.push(format!("{ratio:.2} × {}", column.name));
            let least = match column.name {
                "SlateDB" => line.times_slate,
                Map::NAME if line.times_slate > 0.0 => 0.5,
                _ => 0.0,
            };
            is_met &= ratio >= least;
        }
        row.extend(columns.iter().map(|column| {
            let shown = rate(of(column));
            let is_goal = is_judged && column.name == Bucket::NAME && !line.goal.is_empty();
            if is_goal { judged(shown, is_met) } else { shown }
        }));
        row.push(ratios.join(", "));
        if is_judged {
            row.push(line.goal.to_owned());
        }
        table.rows.push(row);
    }
    table
}

async fn profile(bucket: &Bucket, kind: &str, options: &Options) -> Result<()> {
    let Options { documents, gets: count, .. } = *options;
    let all = Kind::Gets { documents, stride: 1, count };
    let (kind, tasks) = match kind {
        "get" => (all, 1),
        "get8" => (all, TASKS),
        "stored" => (Kind::Stored, 1),
        "typed" => (Kind::Typed, 1),
        other => anyhow::bail!("there is no {other:?} to profile"),
    };
    bucket.scan_stored().await?;
    let line = Line::new("profile", kind, tasks, 0.0, 0.0, "");
    let mut side = Side::new(bucket.clone());
    for round in 0..options.rounds as u64 {
        side.round(std::slice::from_ref(&line), round).await?;
    }
    let of = |by_processor| rate(side.medians(by_processor)[0]);
    println!("{} by the clock, {} by processor time", of(false), of(true));
    Ok(())
}
