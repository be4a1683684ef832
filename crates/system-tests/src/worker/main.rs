//! A further process of a database, for the tests of the whole system.

mod access;
mod append;
mod bank;
mod branch;
mod carry;
mod claim;
mod client;
mod count;
mod deploy;
mod insert;
mod paint;
mod race;
mod session;
mod toil;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use bucketdb::{Database, Operation, Seq};
use bucketdb_system_tests::{FirstProfile, Line, SecondProfile};
use clap::{Args, Parser, Subcommand};

/// A further process of a database, for the tests of the whole system.
#[derive(Debug, Parser)]
struct Arguments {
    /// The store; credentials come from the environment.
    #[arg(long)]
    url: String,

    /// Where in the store the database is.
    #[arg(long, default_value = "")]
    prefix: String,

    /// The branch of the database there, by its path.
    #[arg(long)]
    branch: Option<String>,

    /// How long one request may take before it counts as lost.
    #[arg(long, default_value_t = 10_000)]
    request_timeout_ms: u64,

    /// How long a commit is waited for before its outcome counts as unknown.
    #[arg(long, default_value_t = 60_000)]
    commit_timeout_ms: u64,

    /// How much memory the database may use.
    #[arg(long, default_value_t = 100 << 20)]
    max_memory: u64,

    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Appends to lists and reads them, until the standard input is closed.
    Append(WorkloadArguments),
    /// Transfers money between accounts, until the standard input is closed.
    Bank(WorkloadArguments),
    /// Creates and drops branches and snapshots with names, until the standard input is closed.
    Branch {
        /// No branch forks before this position.
        #[arg(long)]
        least: u64,
    },
    /// Looks after the database, until the standard input is closed.
    Care {
        #[arg(long, value_enum)]
        what: toil::Care,
    },
    /// Uploads a blob of that length, reads it, and says how much memory that took.
    Carry {
        #[arg(long)]
        bytes: u64,
    },
    /// Opens the database, waits for the first line of the standard input, and registers members with the addresses in it,
    /// which spaces separate, many at a time.
    Claim {
        #[arg(long)]
        worker: u32,
    },
    /// Counts the one counter up, from wherever this worker stopped before.
    Count {
        #[arg(long)]
        worker: u32,
        /// The number of the last operation.
        #[arg(long)]
        operations: u64,
    },
    /// Writes and reads profiles as one version of a program, until the standard input is closed or that version is refused.
    Deploy {
        #[arg(long)]
        worker: u32,
        /// Otherwise the first one.
        #[arg(long)]
        second: bool,
    },
    /// Opens the database at the first line of the standard input, and inserts an entry for each further line.
    Insert {
        #[arg(long)]
        worker: u32,
    },
    /// Uploads images, and writes and deletes pictures, until the standard input is closed.
    Paint {
        /// The number of the first operation.
        #[arg(long)]
        first: u64,
    },
    /// Writes and deletes pieces, until the standard input is closed.
    Toil {
        /// The number of the first operation.
        #[arg(long)]
        first: u64,
        /// By bulk loads.
        #[arg(long)]
        bulk: bool,
    },
    /// Takes part in the conformance suite's race between processes.
    Race {
        #[arg(long)]
        worker: u32,
        #[arg(long)]
        workers: u32,
        #[arg(long)]
        rounds: u32,
    },
}

/// Which life of which worker it is, and how it works.
#[derive(Clone, Copy, Debug, Args)]
struct WorkloadArguments {
    /// No other life of any worker has the same.
    #[arg(long)]
    worker: u64,
    /// Goes without transactions.
    #[arg(long)]
    weak: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match work(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "{}", with_sources(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn work(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    match arguments.role {
        Role::Append(workload) => append::append(arguments, workload).await,
        Role::Bank(workload) => bank::bank(arguments, workload).await,
        Role::Branch { least } => branch::branch(arguments, Seq(least)).await,
        Role::Care { what } => toil::care(arguments, what).await,
        Role::Carry { bytes } => carry::carry(arguments, bytes).await,
        Role::Claim { worker } => claim::claim(arguments, worker).await,
        Role::Count { worker, operations } => count::count(arguments, worker, operations).await,
        Role::Deploy { worker, second: false } => deploy::deploy::<FirstProfile>(arguments, worker).await,
        Role::Deploy { worker, second: true } => deploy::deploy::<SecondProfile>(arguments, worker).await,
        Role::Insert { worker } => insert::insert(arguments, worker).await,
        Role::Paint { first } => paint::paint(arguments, first).await,
        Role::Toil { first, bulk } => toil::toil(arguments, first, bulk).await,
        Role::Race { worker, workers, rounds } => race::race(arguments, worker, workers, rounds).await,
    }
}

impl Arguments {
    async fn open(&self) -> Result<Database, bucketdb::Error> {
        let builder = Database::builder()
            .url(&self.url)
            .prefix(&self.prefix)
            .request_timeout(Duration::from_millis(self.request_timeout_ms))
            .commit_timeout(Duration::from_millis(self.commit_timeout_ms))
            .max_memory(self.max_memory);
        match &self.branch {
            Some(path) => builder.branch(path).open().await,
            None => builder.open().await,
        }
    }
}

/// Says it in one write, at once: whoever reads it never gets half of it.
fn say(line: &Line) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes())?;
    output.flush()
}

fn say_usage(db: &Database) -> Result<(), Box<dyn Error>> {
    let usage = db.stats()?.usage;
    say(&Line::Used { puts: usage.requests(Operation::Put), gets: usage.requests(Operation::Get) })?;
    Ok(())
}

fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
