//! Runs simulations, seed after seed, until one finds that a promise is broken.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use bucketdb::simulation::PlantedBug;
use bucketdb_sim::{
    Batch, CONTENTION_HEADER, Contention, MAINTENANCE_HEADER, Maintenance, Report, RunOptions, SCENARIOS, Totals,
    VISITS_HEADER, Visits, bug_by_name, bug_names, run, write_history,
};
use clap::Parser;

/// Runs the real database on virtual time against a hostile store.
#[derive(Debug, Parser)]
#[command(name = "bucketdb-sim")]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Run this seed only, and show what kind of run it is.
    #[arg(long)]
    seed: Option<u64>,
    /// With `--seed`: print every event.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Plant a bug; succeed only if it is found. `list` names them all.
    #[arg(long)]
    bug: Option<String>,
    /// How many threads; one for each core by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// Write each run's history there, as JSON lines.
    #[arg(long)]
    histories: Option<PathBuf>,
    /// Instead of seeds: let 1 to 32 processes commit as fast as they can, and one now and then beside a steady one, and print
    /// a table of each.
    #[arg(long)]
    contention: bool,
    /// Instead of seeds: commit once a second for an hour, then do nothing for one, and print a table of requests.
    #[arg(long)]
    maintenance: bool,
    /// Instead of seeds: play a scenario for every rule of the protocol, with the rule and without it.
    #[arg(long)]
    scenarios: bool,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bug = match arguments.bug.as_deref() {
        Some("list") => {
            bug_names().for_each(|name| println!("{name}"));
            return ExitCode::SUCCESS;
        }
        Some(name) => match bug_by_name(name) {
            Some(bug) => Some(bug),
            None => {
                eprintln!("there is no bug {name}; `--bug list` names them all");
                return ExitCode::from(2);
            }
        },
        None => None,
    };
    if arguments.contention {
        return contend();
    }
    if arguments.maintenance {
        return maintain();
    }
    if arguments.scenarios {
        return play_scenarios();
    }
    if let (Some(bug), None) = (bug, arguments.seed) {
        play_scenarios_of(bug);
    }
    match arguments.seed {
        Some(seed) => run_one(seed, bug, &arguments),
        None => run_many(bug, &arguments),
    }
}

/// The real clock: how long the simulator itself takes.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is the simulator, which stands outside of simulated time"
)]
fn now() -> Instant {
    Instant::now()
}

/// Two kinds of store: one that answers gets in half the time of puts, and one that does not.
fn contend() -> ExitCode {
    const PUT: Duration = Duration::from_millis(30);
    println!("{CONTENTION_HEADER}");
    for get in [PUT / 2, PUT] {
        for processes in [1, 2, 4, 8, 16, 32] {
            match (Contention { processes, put: PUT, get, duration: Duration::from_secs(60) }).run(1) {
                Ok(report) => println!("{report}"),
                Err(error) => {
                    eprintln!("{processes} processes: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!("\n{VISITS_HEADER}");
    for get in [PUT / 2, PUT] {
        for pause in [0, 10, 30, 60, 150, 500].map(Duration::from_millis) {
            match (Visits { pause, put: PUT, get, visits: 200 }).run(1) {
                Ok(report) => println!("{report}"),
                Err(error) => {
                    eprintln!("beside one that pauses {pause:?}: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

/// One commit a second of each of one and of two processes.
fn maintain() -> ExitCode {
    println!("{MAINTENANCE_HEADER}");
    for processes in [1, 2] {
        match (Maintenance { processes, duration: Duration::from_secs(3_600) }).run(1) {
            Ok(report) => println!("{report}"),
            Err(error) => {
                eprintln!("{processes} processes: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Says what the scenarios of a bug show: they are told step by step, where seeds have to find it.
fn play_scenarios_of(bug: PlantedBug) {
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.bug == bug) {
        let started = now();
        match scenario.play(true) {
            Err(wrong) => {
                println!("scenario \"{}\" finds {bug:?} in {:.1?}: {wrong}", scenario.name, started.elapsed())
            }
            Ok(()) => println!("scenario \"{}\" does not find {bug:?}", scenario.name),
        }
    }
}

fn play_scenarios() -> ExitCode {
    let mut all_well = true;
    for scenario in SCENARIOS {
        let kept = scenario.play(false);
        let without = scenario.play(true);
        all_well &= kept.is_ok() && without.is_err();
        println!("{:?}: {}", scenario.bug, scenario.name);
        println!("  with the rule: {}", kept.err().unwrap_or_else(|| "all is well".to_owned()));
        println!("  without it: {}", without.err().unwrap_or_else(|| "all is well".to_owned()));
    }
    exit_code(all_well)
}

fn run_one(seed: u64, bug: Option<PlantedBug>, arguments: &Arguments) -> ExitCode {
    let report = run(seed, &RunOptions { keep_trace: true, bug, ..RunOptions::default() });
    if arguments.trace {
        for line in &report.trace {
            println!("{line}");
        }
    }
    println!("{}", report.config);
    print!("{report}");
    println!("digest {}, {} events, {} polls, {:?}", report.digest, report.events, report.polls, report.outcomes());
    if let Some(folder) = &arguments.histories {
        save(folder, &report);
    }
    exit_code(report.violations.is_empty() != bug.is_some())
}

fn run_many(bug: Option<PlantedBug>, arguments: &Arguments) -> ExitCode {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let batch = Batch {
        start: arguments.start,
        seeds: arguments.seeds,
        jobs: arguments.jobs.unwrap_or(cores),
        options: RunOptions { bug, ..RunOptions::default() },
        stop_at_first: !arguments.keep_going,
    };
    let started = now();
    let mut shown = started;
    let mut failed: Vec<u64> = Vec::new();
    let totals = batch.run(|report, totals| {
        if let Some(folder) = &arguments.histories {
            save(folder, report);
        }
        if !report.violations.is_empty() {
            failed.push(report.seed);
            if arguments.keep_going
                && let Some(violation) = report.violations.first()
            {
                println!("seed {}: {violation}", report.seed);
            }
        }
        if now().duration_since(shown) > Duration::from_secs(2) && std::io::stderr().is_terminal() {
            shown = now();
            eprint!("\r{} of {} seeds", totals.seeds, arguments.seeds);
            let _ = std::io::stderr().flush();
        }
    });
    let took = now().duration_since(started);
    summarise(&totals, took);
    failed.sort_unstable();
    match (failed.first(), bug) {
        (Some(seed), None) => {
            let replayed = run(*seed, &RunOptions { keep_trace: true, ..RunOptions::default() });
            println!("\n{replayed}");
            println!("replay: cargo run -p bucketdb-sim --release -- --seed {seed} --trace");
            println!("failed: {failed:?}");
            ExitCode::FAILURE
        }
        (None, None) => ExitCode::SUCCESS,
        (Some(seed), Some(bug)) => {
            let replayed = run(*seed, &RunOptions { bug: Some(bug), ..RunOptions::default() });
            let violation = replayed.violations.first().map(ToString::to_string).unwrap_or_default();
            println!("{bug:?} was found by seed {seed}, after {} seeds and {took:.1?}: {violation}", totals.seeds);
            ExitCode::SUCCESS
        }
        (None, Some(bug)) => {
            println!("{bug:?} was not found in {} seeds and {took:.1?}", totals.seeds);
            ExitCode::FAILURE
        }
    }
}

fn summarise(totals: &Totals, took: Duration) {
    let per_second = |count: u64| (count as f64 / took.as_secs_f64().max(0.001)) as u64;
    println!(
        "{} seeds in {took:.1?}, {} per second; {} polls and {} events per second; {:.1} h of virtual time",
        totals.seeds,
        per_second(totals.seeds),
        per_second(totals.polls),
        per_second(totals.events),
        totals.virtual_ms as f64 / 3_600_000.0
    );
    println!("{} commits, {} of them removed later; {:?}", totals.commits, totals.removed, totals.outcomes);
    println!("{} nodes needed to be opened again to commit within their deadlines", totals.starved);
    println!("{:?}", totals.usage);
    let faults: Vec<String> = totals.faults.named().iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("faults: {}", faults.join(", "));
}

fn save(folder: &Path, report: &Report) {
    let path = folder.join(format!("seed-{}.jsonl", report.seed));
    let saved = std::fs::create_dir_all(folder).and_then(|()| {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        write_history(report, &mut file)?;
        file.flush()
    });
    if let Err(error) = saved {
        eprintln!("cannot write {}: {error}", path.display());
    }
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
