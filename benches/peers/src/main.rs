//! Measures BucketDB beside its peers; see [`results`] for what becomes of what is measured.

mod growth;
mod latency;
mod ledger;
mod ledger_driver;
mod month;
mod prices;
mod publish;
mod publish_bars;
mod publish_growth;
mod publish_readme;
mod publish_speed;
mod record;
mod requests;
mod results;
mod speed;
mod virtual_time;
mod ycsb;
mod zipf;

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
    /// A month of a boring web app, in virtual time: requests and dollars.
    Month(month::Options),
    /// What each operation costs in requests, in virtual time.
    Requests(requests::Options),
    /// What opening, reading and committing cost with 10,000 documents and more.
    Growth {
        /// The largest number of documents, as a power of ten.
        #[arg(default_value_t = 7)]
        largest: u32,
    },
    /// The workloads of YCSB, in virtual time.
    Ycsb(ycsb::Options),
    /// What engines do in a second on this machine, in memory and on files.
    Speed(speed::Options),
    /// Writes BENCHMARKS.md and the README's table from the results that were kept.
    Publish,
}

fn main() -> anyhow::Result<()> {
    let Arguments { results, command } = Arguments::parse();
    match command {
        Command::Month(options) => month::run(&options, &results),
        Command::Requests(options) => requests::run(&options, &results),
        Command::Growth { largest } => growth::run(largest, &results),
        Command::Ycsb(options) => ycsb::run(&options, &results),
        Command::Speed(options) => speed::run(&options, &results),
        Command::Publish => {
            let engine = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/results");
            let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
            publish::publish(&results, engine.as_ref(), root.as_ref())
        }
    }
}
