//! Every fuzz target for a while; what they are is in `fuzz/`.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, iter, thread};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::process::{Log, Tool};
use crate::{interrupt, report, workspace};

/// How long building them may take, and how much longer than asked for a target may run.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// More than this in memory at once, or in one piece, is a finding: no input accounts for it.
const MEMORY_MIB: &str = "-rss_limit_mb=2048";
const PIECE_MIB: &str = "-malloc_limit_mb=512";

/// Inputs need not be short at first: a few bytes change nothing of a database.
const ANY_LENGTH: &str = "-len_control=0";

/// A single input that takes longer is a finding.
const INPUT_SECONDS: &str = "-timeout=60";

/// So long does a target run unless told otherwise.
const SECONDS: u64 = 600;

#[derive(Debug, Args)]
pub(crate) struct FuzzOptions {
    /// How long each target runs.
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,
    /// Only these targets.
    targets: Vec<String>,
}

impl FuzzOptions {
    /// These targets, or every one if there are none; ten minutes each.
    pub(crate) fn for_a_release(targets: &[String]) -> Self {
        Self { seconds: SECONDS, targets: targets.to_vec() }
    }
}

/// A target, and how many inputs it tried, if it found nothing.
pub(crate) type Tried = (String, Result<u64>);

/// Runs the targets, one on each core at a time, and says how many inputs each of them tried; begins no other one behind a
/// finding, and fails.
pub(crate) fn run(options: &FuzzOptions) -> Result<()> {
    fuzz(options)?.into_iter().try_for_each(|(_, tried)| tried.map(|_| ()))
}

/// As [`run`], of which a finding is a part of the answer: the other targets found nothing all the same.
///
/// # Errors
/// If the targets cannot be built, or it was interrupted.
pub(crate) fn fuzz(options: &FuzzOptions) -> Result<Vec<Tried>> {
    let folder = workspace::root().join("fuzz");
    let targets = if options.targets.is_empty() { all(&folder)? } else { options.targets.clone() };
    let cargo_fuzz = Tool::new("cargo").args(["+nightly", "fuzz"]).in_folder(&folder);
    let logs = workspace::target().join("fuzz");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let log = |name: &str| Log::fresh(logs.join(format!("{name}.log")));
    report::step("fuzz", "targets built", || {
        let built = cargo_fuzz.clone().arg("build").run(&log("build")?, PATIENCE);
        built.context("the fuzz targets need `rustup toolchain install nightly` and `cargo install cargo-fuzz`")
    })?;
    let try_one = |target: &str| {
        let seconds = format!("-max_total_time={}", options.seconds);
        let run = cargo_fuzz.clone().args(["run", target, "--"]);
        let run = run.args([&seconds, MEMORY_MIB, PIECE_MIB, INPUT_SECONDS, ANY_LENGTH, "-print_final_stats=1"]);
        let log = log(target)?;
        run.run(&log, PATIENCE + Duration::from_secs(options.seconds))
            .with_context(|| format!("target {target} found something; the input is in fuzz/artifacts/{target}"))?;
        let inputs = inputs(&log)?;
        report::line(target, format!("{inputs} inputs, no finding"));
        Ok(inputs)
    };
    let waiting = Mutex::new(targets.iter());
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let try_some = || {
        let outcomes = iter::from_fn(|| lock().next()).map(|target| {
            let outcome = try_one(target);
            if outcome.is_err() {
                *lock() = [].iter();
            }
            (target.clone(), outcome)
        });
        outcomes.collect::<Vec<Tried>>()
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut tried: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(try_some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    interrupt::check()?;
    tried.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(tried)
}

/// The names of the targets.
fn all(folder: &Path) -> Result<Vec<String>> {
    let files = fs::read_dir(folder.join("fuzz_targets")).context("cannot list the fuzz targets")?;
    let paths: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = paths.iter().filter_map(stem).collect();
    names.sort();
    ensure!(!names.is_empty(), "there are no fuzz targets");
    Ok(names)
}

/// What the fuzzer says at its end of how many inputs it tried.
fn inputs(log: &Log) -> Result<u64> {
    let text = log.text();
    match text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")) {
        Some(number) => number.trim().parse().context("what it says of its inputs is no number"),
        None => bail!("it did not say how many inputs it tried"),
    }
}
