//! Measures the storage engine of BucketDB beside SlateDB and SQLite; see [`report`] for what becomes of the results.

mod bucket;
mod document;
mod engine;
#[cfg(feature = "peers")]
mod lite;
mod reads;
mod report;
#[cfg(feature = "peers")]
mod slate;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
    /// Point reads and scans, warm: rates.
    Reads(reads::Options),
    /// Writes docs/benchmarks-engine.md from the results that were kept.
    Publish,
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Reads(options) => reads::run(options).await?.finish(&arguments.results),
        Command::Publish => {
            let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks-engine.md");
            report::publish(&arguments.results, document.as_ref())
        }
    }
}
