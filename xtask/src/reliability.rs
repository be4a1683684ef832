//! What is promised of reliability, tried at length: simulated commits, planted bugs, killed processes, damaged objects, stores
//! that lie, and fuzzed decoders. What came of it is kept for BENCHMARKS.md.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::clock::Stopwatch;
use crate::fuzz::{self, FuzzOptions, Tried};
use crate::process::{Log, Tool};
use crate::servers::{Fleet, ServerKind};
use crate::suite::Summary;
use crate::{interrupt, report, workspace};

const RESULTS: &str = "benches/peers/results/bucketdb-reliability.json";

/// About seventy commits in each.
const SEEDS: &str = "15000";

/// A bug that is not found within this counts as not found.
const BUG_DEADLINE: Duration = Duration::from_secs(60);

const KILL_ROUNDS: &str = "200";

/// Two hundred rounds on three stores at once, of some seconds each.
const KILLS_DEADLINE: Duration = Duration::from_secs(2 * 3600);

const DEADLINE: Duration = Duration::from_secs(3600);

/// Tests whose names have this flip or cut bytes of objects.
const DAMAGE: &str = "damage";

/// Where they are.
const DAMAGED_PACKAGES: [&str; 8] =
    ["-p", "bucketdb-log", "-p", "bucketdb-runs", "-p", "bucketdb-driver", "-p", "bucketdb"];

#[derive(Debug, Args)]
pub(crate) struct ReliabilityOptions {
    /// Only these.
    trials: Vec<Trial>,
    /// Of what is fuzzed, only these targets.
    #[arg(long, num_args = 1..)]
    targets: Vec<String>,
}

/// Something that is promised, and how it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trial {
    /// A million simulated commits with every fault.
    Simulation,
    /// Bugs that are planted, each to be found within a minute.
    Bugs,
    /// Processes that are killed at any moment, on files and on servers.
    Kills,
    /// Flipped and cut bytes of every kind of object.
    Damage,
    /// Stores that lie.
    Stores,
    /// Every decoder and parser, ten minutes each.
    Fuzz,
}

/// A promise, and what was measured of it.
struct Row {
    what: String,
    unit: &'static str,
    value: u64,
    goal: &'static str,
    is_met: bool,
    /// What else is to be said.
    detail: String,
    command: &'static str,
}

/// Tries one after the other, and keeps what came of each.
///
/// # Errors
/// If a promise is broken, or cannot be tried.
pub(crate) fn run(options: &ReliabilityOptions) -> Result<()> {
    let chosen = Trial::value_variants().iter();
    for trial in chosen.filter(|trial| options.trials.is_empty() || options.trials.contains(trial)) {
        let name = format!("{trial:?}").to_lowercase();
        // What is committed meanwhile is not what was tried.
        let commit = said("git", &["log", "-1", "--format=%h", "--", "crates"])?;
        let rows = report::step(&name, "tried", || trial.rows(options))?;
        keep(&rows, &commit)?;
        for Row { what, value, unit, goal, detail, .. } in &rows {
            report::line(&name, format!("{what}: {value} {unit}, of {goal}; {detail}"));
        }
        if let Some(missed) = rows.iter().find(|row| !row.is_met) {
            bail!("missed: {}", missed.what);
        }
    }
    Ok(())
}

impl Trial {
    fn rows(self, options: &ReliabilityOptions) -> Result<Vec<Row>> {
        match self {
            Self::Simulation => Ok(vec![simulated()?]),
            Self::Bugs => Ok(vec![planted()?]),
            Self::Kills => killed(),
            Self::Damage => Ok(vec![damaged()?]),
            Self::Stores => Ok(vec![lied_to()?]),
            Self::Fuzz => fuzzed(&options.targets),
        }
    }
}

fn log(name: &str) -> Result<Log> {
    let folder = workspace::target().join("reliability");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Log::fresh(folder.join(format!("{name}.log")))
}

fn simulator() -> Tool {
    workspace::cargo().args(["run", "--release", "--package", "bucketdb-sim", "--"])
}

fn simulated() -> Result<Row> {
    let log = log("simulation")?;
    simulator().args(["--seeds", SEEDS]).run(&log, DEADLINE)?;
    let text = log.text();
    let commits = text.lines().find_map(|line| line.split_once(" commits, ")?.0.parse().ok());
    let value = commits.context("the simulator did not say how many commits there were")?;
    Ok(Row {
        what: "simulated commits with every fault, no anomaly".to_owned(),
        unit: "commits",
        value,
        goal: "≥ 1,000,000",
        is_met: value >= 1_000_000,
        detail: format!("{SEEDS} seeds"),
        command: "cargo xtask reliability simulation",
    })
}

fn planted() -> Result<Row> {
    let names = simulator().args(["--bug", "list"]).output(DEADLINE)?;
    let names: Vec<&str> = names.lines().collect();
    ensure!(!names.is_empty(), "the simulator knows no bugs");
    let (mut scenarios, mut slowest, mut missed) = (0, (Duration::ZERO, ""), Vec::new());
    for name in &names {
        let (log, watch) = (log(&format!("bug-{name}"))?, Stopwatch::start());
        // A scenario may find what seeds do not find in time.
        let _ = simulator().args(["--bug", *name]).run(&log, BUG_DEADLINE);
        interrupt::check()?;
        let text = log.text();
        let by_scenario = text.contains(&format!("\" finds {name} "));
        let by_seeds = text.contains(&format!("{name} was found by seed"));
        match () {
            () if by_scenario => scenarios += 1,
            () if by_seeds => slowest = slowest.max((watch.elapsed(), *name)),
            () => missed.push(*name),
        }
    }
    let value = (names.len() - missed.len()) as u64;
    let (took, slowest) = (slowest.0.as_secs_f64().ceil(), slowest.1);
    let by_far = match slowest {
        "" => format!("of {}, all by scenarios", names.len()),
        _ => format!("of {}, {scenarios} by scenarios; of the others {slowest} took longest, {took:.0} s", names.len()),
    };
    Ok(Row {
        what: "planted bugs that the simulator finds within a minute".to_owned(),
        unit: "bugs",
        value,
        goal: "≥ 10, and each of them",
        is_met: missed.is_empty() && value >= 10,
        detail: if missed.is_empty() { by_far } else { format!("{by_far}; not {}", missed.join(", ")) },
        command: "cargo xtask reliability bugs",
    })
}

fn killed() -> Result<Vec<Row>> {
    let tests = ["test", "-p", "bucketdb-system-tests", "--all-features"];
    let build = || workspace::cargo().args(tests).arg("--no-run").run(&log("kills-build")?, DEADLINE);
    let kinds = [ServerKind::Localstack, ServerKind::Ceph];
    let (fleet, ()) = Fleet::start(&kinds, &workspace::target().join("test-servers"), build)?;
    let log = log("kills")?;
    let cargo = workspace::cargo().args(tests).args(["--test", "system", "engine_kills", "--", "--nocapture"]);
    let cargo = cargo.env("BUCKETDB_TEST_KILL_ROUNDS", KILL_ROUNDS).envs(fleet.variables());
    cargo.run(&log, KILLS_DEADLINE)?;
    let text = log.text();
    let rows: Vec<Row> = text.lines().filter_map(killed_on).collect();
    // On files, and on each of the servers: one that could not be had is not passed over.
    ensure!(
        rows.len() == 1 + kinds.len(),
        "the tests of kills ran on {} stores: {:?} are missing",
        rows.len(),
        fleet.missing()
    );
    Ok(rows)
}

/// Of a line such as `system test: engine_kills on file: passed in 9.3 s; 200 rounds, 4,000 operations were acknowledged, …`.
fn killed_on(line: &str) -> Option<Row> {
    let (_, line) = line.split_once("system test: engine_kills on ")?;
    let (store, line) = line.split_once(": passed in ")?;
    let (_, line) = line.split_once("; ")?;
    let (rounds, detail) = line.split_once(" rounds, ")?;
    let value = rounds.parse().ok()?;
    Some(Row {
        what: format!("SIGKILL of processes that write, load, compact and collect garbage, {store}"),
        unit: "rounds",
        value,
        goal: "≥ 200, nothing acknowledged lost, `verify` clean",
        is_met: value >= 200,
        detail: detail.to_owned(),
        command: "cargo xtask reliability kills",
    })
}

/// How many tests passed.
fn passed(name: &str, arguments: &[&str]) -> Result<u64> {
    let log = log(name)?;
    workspace::cargo().args(["test", "--all-features"]).args(arguments).run(&log, DEADLINE)?;
    let mut summary = Summary::default();
    log.text().lines().for_each(|line| summary.read(line));
    ensure!(summary.passed > 0, "no test of {name} ran");
    Ok(summary.passed)
}

fn damaged() -> Result<Row> {
    let value = passed("damage", &[&DAMAGED_PACKAGES[..], &["--lib", "--tests", DAMAGE]].concat())?;
    Ok(Row {
        what: "tests that flip and cut bytes of records, checkpoints, runs, blobs, backups and files".to_owned(),
        unit: "tests",
        value,
        goal: "100 % reported with the object's name",
        is_met: true,
        detail: "in records, checkpoints and small runs each byte, and each length".to_owned(),
        command: "cargo xtask reliability damage",
    })
}

fn lied_to() -> Result<Row> {
    let drivers = passed("drivers", &["-p", "bucketdb-driver", "--test", "broken_drivers"])?;
    let logs = passed("lying-stores", &["-p", "bucketdb-log", "--test", "log", "lying_stores"])?;
    Ok(Row {
        what: "tests of stores that lie".to_owned(),
        unit: "tests",
        value: drivers + logs,
        goal: "refused when opened, or found by the chain before a wrong answer",
        is_met: true,
        detail: format!("{drivers} of drivers that break their contract, {logs} of databases on stores that lie"),
        command: "cargo xtask reliability stores",
    })
}

fn fuzzed(targets: &[String]) -> Result<Vec<Row>> {
    let tried = fuzz::fuzz(&FuzzOptions::for_a_release(targets))?;
    let row = |(target, inputs): Tried| Row {
        what: format!("ten minutes of fuzzing, {target}"),
        unit: "inputs",
        is_met: inputs.is_ok(),
        detail: inputs.as_ref().err().map(ToString::to_string).unwrap_or_default(),
        value: inputs.unwrap_or(0),
        goal: "each decoder and parser for ten minutes, no finding",
        command: "cargo xtask reliability fuzz",
    };
    Ok(tried.into_iter().map(row).collect())
}

fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let said = Tool::new(program).args(arguments).in_folder(&workspace::root()).output(DEADLINE)?;
    Ok(said.trim().to_owned())
}

/// Puts rows in the place of those of the same name.
fn keep(rows: &[Row], commit: &str) -> Result<()> {
    let path = workspace::root().join(RESULTS);
    let kept: Value = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{RESULTS} is damaged"))?,
        Err(_) => json!({}),
    };
    let date = said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?;
    let mut all = kept.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
    for row in rows {
        let row = json!({
            "what": row.what, "unit": row.unit, "value": row.value, "goal": row.goal, "is_met": row.is_met,
            "detail": row.detail, "command": row.command, "commit": commit, "date": date,
        });
        match all.iter_mut().find(|other| other.get("what") == row.get("what")) {
            Some(other) => *other = row,
            None => all.push(row),
        }
    }
    let kept = json!({
        "peer": "BucketDB", "version": env!("CARGO_PKG_VERSION"), "store": "", "workload": "reliability",
        "command": "cargo xtask reliability", "date": date, "rows": all,
    });
    fs::write(&path, serde_json::to_string_pretty(&kept)? + "\n").with_context(|| format!("cannot write {RESULTS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_test_of_kills_says_is_understood() {
        let line = ".system test: engine_kills on ceph: passed in 9.3 s; 200 rounds, 40 operations were acknowledged";
        let row = killed_on(line).unwrap();
        assert_eq!((row.value, row.is_met), (200, true));
        assert!(row.what.ends_with("ceph") && row.detail == "40 operations were acknowledged");
        assert!(killed_on("system test: claims on file: passed in 3 s; 200 rounds, x").is_none());
    }
}
