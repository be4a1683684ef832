//! Measures BucketDB beside its peers; see [`results`] for what becomes of what is measured.

mod latency;
mod ledger;
mod ledger_driver;
mod month;
mod prices;
mod record;
mod results;
mod virtual_time;
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
}

fn main() -> anyhow::Result<()> {
    let Arguments { results, command } = Arguments::parse();
    match command {
        Command::Month(options) => month::run(&options, &results),
    }
}
