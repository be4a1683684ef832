//! Filters and aggregates over documents in memory: rates beside SQLite's, in one process, round by round.

mod bucket;
pub(crate) mod indexed;
#[cfg(feature = "sqlite")]
mod lite;
mod sale;

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use bucketdb::{Database, MemoryDriver};
use clap::Args;

use self::bucket::Bucket;
use crate::report::{Report, Table, judged, median, processor_s, rate};

/// Enough that everything is in memory.
const CACHE_BYTES: u64 = 1 << 30;

#[derive(Args)]
pub struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    documents: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only BucketDB, for a profile of the questions whose names have this in them.
    #[arg(long)]
    profile: Option<String>,
    /// Documents that are written again after loading, one in a hundred, so that they are in memory and not in runs.
    #[arg(long)]
    recent: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// How many documents there are, none of which is passed over.
    CountAll,
    /// How many have an amount below this one.
    CountBelow(i64),
    /// How many have this status, which is a text.
    CountStatus(&'static str),
    /// The documents with an amount below this one.
    FetchBelow(i64),
    /// All documents, one after the other.
    StreamAll,
    SumByWarehouse,
    SumByArticle,
    SumByStatus,
    /// Of those with an amount below this one.
    SumByWarehouseBelow(i64),
    Sum,
    Least,
    Greatest,
    /// The keys of so many with the least amounts.
    First(usize),
}

/// What all engines must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Number(i64),
    Groups(Vec<(i64, i64)>),
    Named(Vec<(String, i64)>),
    Keys(Vec<u64>),
}

/// One line of the table: a name, what is asked, and how fast the goal is, in rows a second and in times SQLite's rate.
struct Line {
    name: &'static str,
    question: Question,
    goal: Option<(f64, f64)>,
}

const FILTER_GOAL: Option<(f64, f64)> = Some((5e6, 2.0));
const GROUP_GOAL: Option<(f64, f64)> = Some((3e6, 2.0));

/// Amounts are spread evenly over 10 millions.
const LINES: [Line; 15] = [
    Line { name: "count, every row visited", question: Question::CountAll, goal: Some((5e6, 0.0)) },
    Line { name: "count, filter passes 0.1 %", question: Question::CountBelow(10_000), goal: FILTER_GOAL },
    Line { name: "count, filter passes 10 %", question: Question::CountBelow(1_000_000), goal: FILTER_GOAL },
    Line { name: "count, filter passes 90 %", question: Question::CountBelow(9_000_000), goal: FILTER_GOAL },
    Line { name: "count, filter on a text, 10 %", question: Question::CountStatus("returned"), goal: None },
    Line { name: "documents, filter passes 0.1 %", question: Question::FetchBelow(10_000), goal: FILTER_GOAL },
    Line { name: "documents, all", question: Question::StreamAll, goal: Some((3e6, 0.0)) },
    Line { name: "sum by group, 10 groups", question: Question::SumByWarehouse, goal: GROUP_GOAL },
    Line { name: "sum by group, 10,000 groups", question: Question::SumByArticle, goal: GROUP_GOAL },
    Line { name: "sum by group, 10 texts", question: Question::SumByStatus, goal: GROUP_GOAL },
    Line {
        name: "sum by group, 10 groups, filter passes 10 %",
        question: Question::SumByWarehouseBelow(1_000_000),
        goal: GROUP_GOAL,
    },
    Line { name: "sum", question: Question::Sum, goal: None },
    Line { name: "min", question: Question::Least, goal: None },
    Line { name: "max", question: Question::Greatest, goal: None },
    Line { name: "first 10 by amount", question: Question::First(10), goal: None },
];

/// An engine, and its seconds for every line, round after round: by the clock, and by processor time.
struct Side {
    name: &'static str,
    seconds: Vec<[Vec<f64>; 2]>,
}

impl Side {
    fn new(name: &'static str) -> Self {
        Self { name, seconds: LINES.iter().map(|_| Default::default()).collect() }
    }

    async fn time(&mut self, line: usize, ask: impl Future<Output = Result<Answer>>) -> Result<Answer> {
        let (processor_before, started) = (processor_s(), Instant::now());
        let answer = ask.await?;
        let [by_clock, by_processor] = &mut self.seconds[line];
        by_clock.push(started.elapsed().as_secs_f64());
        by_processor.push(processor_s() - processor_before);
        Ok(answer)
    }

    fn rate(&self, line: usize, measure: usize, documents: u64) -> f64 {
        documents as f64 / median(self.seconds[line][measure].clone())
    }

    fn forget(&mut self) {
        self.seconds.iter_mut().flatten().for_each(Vec::clear);
    }
}

/// Nothing to report if only a profile was wanted.
pub async fn run(options: Options) -> Result<Option<Report>> {
    let documents = options.documents;
    let db = Database::builder().driver(MemoryDriver::new()).max_memory(4 * CACHE_BYTES).open().await?;
    let bucket = Bucket::load(db, documents, options.recent).await?;
    if let Some(wanted) = &options.profile {
        profile(&bucket, wanted, &options).await?;
        return Ok(None);
    }
    #[cfg(feature = "sqlite")]
    let (folder, plain, json) = {
        let folder = tempfile::tempdir()?;
        let plain = lite::Lite::load(&folder.path().join("columns"), lite::Form::Columns, documents, CACHE_BYTES)?;
        let json = lite::Lite::load(&folder.path().join("json"), lite::Form::Json, documents, CACHE_BYTES)?;
        (folder, plain, json)
    };
    let mut sides = vec![Side::new("BucketDB")];
    #[cfg(feature = "sqlite")]
    sides.extend([Side::new("SQLite"), Side::new("SQLite, JSON")]);
    // The first round warms what is cold, and does not count.
    for round in 0..=options.rounds {
        for (index, line) in LINES.iter().enumerate() {
            let expected = sides[0].time(index, bucket.answer(line.question)).await?;
            if let Answer::Number(0) = expected {
                bail!("nothing was found of {}", line.name);
            }
            #[cfg(feature = "sqlite")]
            for (side, engine) in sides[1..].iter_mut().zip([&plain, &json]) {
                let answer = side.time(index, async { engine.answer(line.question) }).await?;
                ensure!(answer == expected, "{} answers {} otherwise", side.name, line.name);
            }
        }
        if round == 0 {
            sides.iter_mut().for_each(Side::forget);
        }
    }
    let bytes = (0..1000).map(|id| sale::Sale::new(id).stored_bytes()).sum::<usize>() / 1000;
    let mut by_clock = table(&format!("Queries of {documents} documents of about {bytes} bytes"), &sides, documents, 0);
    by_clock.note(format!(
        "By the clock, in one thread: documents in the table for each second that a query took, whatever it passes over. \
         Medians of {} rounds, in which the engines take turns. No index is used or there. Everything is in memory.",
        options.rounds
    ));
    by_clock.note(
        "BucketDB: a typed table, default freshness, bulk-loaded into a store in memory. SQLite: a table with a column for \
         each field and an integer primary key, the whole file mapped into memory, prepared statements; JSON: one column of \
         JSONB instead, read with `->>`. The first line visits every row: `count` without counters.",
    );
    let clones = sale::clones_per_s();
    by_clock.note(format!(
        "\"Documents, all\" builds each document as a Rust struct with its texts, and drops it. Cloning such structs out of a \
         list, and dropping them, goes at {} in the same process: nothing that builds them is faster.",
        rate(clones)
    ));
    let mut by_processor = table("The same by processor time", &sides, documents, 1);
    by_processor.note("All threads of the process counted: what others do on the machine changes little.");
    bucket.db.close().await?;
    #[cfg(feature = "sqlite")]
    drop(folder);
    Ok(Some(Report::new(&format!("queries-{documents}"), vec![by_clock, by_processor])))
}

/// By the clock (0), or by processor time (1); both are judged, as goals are about one thread.
fn table(title: &str, sides: &[Side], documents: u64, measure: usize) -> Table {
    let names = sides.iter().map(|side| side.name);
    let header: Vec<&str> = ["query"].into_iter().chain(names).chain(["BucketDB is", "goal"]).collect();
    let mut table = Table::new(title, &header);
    for (index, line) in LINES.iter().enumerate() {
        let rates: Vec<f64> = sides.iter().map(|side| side.rate(index, measure, documents)).collect();
        let ratios: Vec<f64> = rates[1..].iter().map(|other| rates[0] / other).collect();
        let mut row = vec![line.name.to_owned()];
        row.extend(rates.iter().map(|of| rate(*of)));
        let mut goal = String::new();
        if let Some((least_rate, least_ratio)) = line.goal {
            let is_met = rates[0] >= least_rate && ratios.first().is_none_or(|ratio| *ratio >= least_ratio);
            row[1] = judged(rate(rates[0]), is_met);
            goal = format!("≥ {}", rate(least_rate));
            if least_ratio > 0.0 {
                goal += &format!(", ≥ {least_ratio} × SQLite");
            }
        }
        let shown = ratios.iter().zip(&sides[1..]).map(|(ratio, side)| format!("{ratio:.2} × {}", side.name));
        row.extend([shown.collect::<Vec<_>>().join(", "), goal]);
        table.rows.push(row);
    }
    table
}

async fn profile(bucket: &Bucket, wanted: &str, options: &Options) -> Result<()> {
    let mut side = Side::new("BucketDB");
    for (index, line) in LINES.iter().enumerate().filter(|(_, line)| line.name.contains(wanted)) {
        bucket.answer(line.question).await?;
        for _ in 0..options.rounds {
            side.time(index, bucket.answer(line.question)).await?;
        }
        let of = |measure| rate(side.rate(index, measure, options.documents));
        println!("{}: {} by the clock, {} by processor time", line.name, of(0), of(1));
    }
    Ok(())
}
