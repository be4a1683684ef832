//! Measures the storage engine of BucketDB beside SlateDB and SQLite; see [`report`] for what becomes of the results.

mod bucket;
mod document;
mod engine;
mod index;
#[cfg(feature = "peers")]
mod lite;
mod load;
mod open;
mod queries;
mod reads;
#[cfg(feature = "peers")]
mod slate;
mod updates;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use engine_bench::report::{self, Report};

#[derive(Parser)]
struct Arguments {
    /// Where results are kept.
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"), hide_default_value = true)]
    results: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Opening and cold reads: requests and bytes.
    Open(open::Options),
    /// Loading in bounded memory.
    Load(load::Options),
    /// What a process of its own does for `load`.
    #[command(hide = true)]
    LoadOne(load::OneOptions),
    /// Random updates: amplification and space.
    Updates(updates::Options),
    /// What a process of its own does for `updates`.
    #[command(hide = true)]
    UpdatesOne(updates::OneOptions),
    /// Point reads and scans, warm: rates.
    Reads(reads::Options),
    /// Adding an index while another process writes: what it does to the writes.
    Index(index::Options),
    /// What a process of its own does for `index`.
    #[command(hide = true)]
    IndexWriter(index::WriterOptions),
    /// Filters and aggregates, in memory: rates.
    Queries(queries::Options),
    /// Queries that an index answers, in memory: rates and times.
    Lookups(queries::indexed::Options),
    /// Writes docs/benchmarks-engine.md from the results that were kept.
    Publish,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    // Nothing to report where only a profile was wanted.
    let finish = |report: Option<Report>| report.map_or(Ok(()), |report| report.finish(&arguments.results));
    match arguments.command {
        Command::Open(options) => runtime.block_on(open::run(options))?.finish(&arguments.results),
        Command::Load(options) => load::run(options)?.finish(&arguments.results),
        Command::LoadOne(options) => runtime.block_on(load::one(options)),
        Command::Updates(options) => updates::run(options)?.finish(&arguments.results),
        Command::UpdatesOne(options) => runtime.block_on(updates::one(options)),
        Command::Reads(options) => finish(runtime.block_on(reads::run(options))?),
        Command::Index(options) => runtime.block_on(index::run(options))?.finish(&arguments.results),
        Command::IndexWriter(options) => runtime.block_on(index::write(options)),
        Command::Queries(options) => finish(runtime.block_on(queries::run(options))?),
        Command::Lookups(options) => finish(runtime.block_on(queries::indexed::run(options))?),
        Command::Publish => {
            let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks-engine.md");
            report::publish(&arguments.results, document.as_ref())
        }
    }
}
