//! What developers and continuous integration run, as `cargo xtask COMMAND`.

mod bench;
mod check;
mod clock;
mod fuzz;
mod instructions;
mod interrupt;
mod ports;
mod process;
mod real_data;
mod reliability;
mod report;
mod rules;
mod servers;
mod simulation;
mod sockets;
mod suite;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bench::BenchOptions;
use crate::fuzz::FuzzOptions;
use crate::instructions::InstructionsOptions;
use crate::reliability::ReliabilityOptions;
use crate::servers::ServerKind;
use crate::suite::TestOptions;

/// What developers and continuous integration run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts real servers on this machine, runs all tests against them, stops the servers, and simulates for a while.
    Test(TestOptions),
    /// Starts the servers, prints the variables that tests look for, and serves until Ctrl-C.
    Servers {
        /// Only these servers, separated by commas.
        #[arg(long, value_delimiter = ',', value_name = "SERVERS")]
        only: Vec<ServerKind>,
    },
    /// Imports a public data set, asks twenty questions of it, and writes docs/real-data.md. Needs npm and Node.js.
    RealData,
    /// Feeds everything that reads stored bytes or a user's text with what a fuzzer makes of them. Needs a nightly compiler
    /// and cargo-fuzz.
    Fuzz(FuzzOptions),
    /// Measures the database beside its peers, and writes BENCHMARKS.md and the table of the README. Needs a while.
    Bench(BenchOptions),
    /// Tries at length what is promised of reliability, and keeps for BENCHMARKS.md what came of it: simulated commits, planted bugs,
    /// killed processes, damaged objects, stores that lie, and fuzzed decoders. Needs hours.
    Reliability(ReliabilityOptions),
    /// Counts the instructions of the hot paths, and compares them with docs/instructions.md.
    Instructions(InstructionsOptions),
    /// Checks format, lints, documentation and the rules of this repository. Runs no tests.
    Check,
}

fn main() -> ExitCode {
    report::begin();
    let arguments = Arguments::parse();
    let outcome = interrupt::listen().and_then(|()| match arguments.command {
        Command::Test(options) => suite::test(&options),
        Command::Servers { only } => suite::serve(&only),
        Command::RealData => real_data::write(),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Reliability(options) => reliability::run(&options),
        Command::Instructions(options) => instructions::run(&options),
        Command::Check => check::check(),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::line("error", format!("{error:#}"));
            if interrupt::requested() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}
