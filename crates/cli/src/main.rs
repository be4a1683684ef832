//! The command-line program of BucketDB.

mod arguments;
mod commands;
mod failure;
mod import;
mod keys;
mod output;
mod prices;
mod quantities;
mod session;
mod sql;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, is_json_wanted};
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && is_json_wanted(std::env::args_os()) => {
            return Failure::usage(first_line(&error.to_string())).report(true);
        }
        Err(error) => error.exit(),
    };
    start_tracing(arguments.global.verbose);
    let json = arguments.global.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of_io("start", "the program", &error))?;
    let mut output = Output::new(arguments.global.json);
    let outcome = runtime.block_on(commands::run(&arguments, &mut output));
    // A request that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    outcome?;
    Ok(output.flush()?)
}

/// What clap says without its hints, which are for people.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn start_tracing(verbosity: u8) {
    let default = match verbosity {
        0 => "off",
        1 => "info",
        2 => "bucketdb=debug,bucketdb_log=debug,bucketdb_driver=debug,info",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
