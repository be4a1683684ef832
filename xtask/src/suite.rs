//! All tests, with the servers that they need.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::clock::{Stopwatch, pause};
use crate::instructions::InstructionsOptions;
use crate::process::{Log, Tool};
use crate::servers::{Fleet, ServerKind};
use crate::{instructions, interrupt, report, simulation, workspace};

/// A first build on two slow cores takes a few minutes.
const BUILD_DEADLINE: Duration = Duration::from_secs(45 * 60);

/// A test that hangs must not hold a machine for ever.
const TEST_DEADLINE: Duration = Duration::from_secs(45 * 60);

/// The suites that encrypt their databases when they are told to.
const ENCRYPTED_SUITES: [&str; 4] = ["--test", "database", "--test", "program"];

const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// How tests are run.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// Starts no servers: tests that need one are skipped, unless its variable is set.
    #[arg(long, conflicts_with = "only")]
    without_servers: bool,

    /// Only these servers, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "SERVERS")]
    only: Vec<ServerKind>,

    /// Passed on to `cargo test`, for example `-p bucketdb-redis` or a test's name.
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

impl TestOptions {
    fn servers(&self) -> Vec<ServerKind> {
        if self.without_servers { Vec::new() } else { chosen(&self.only) }
    }

    /// Whether all tests run, and not only some that were named.
    fn is_everything(&self) -> bool {
        self.arguments.is_empty()
    }

    /// What to test: the whole workspace, unless packages are named.
    fn selection(&self) -> Vec<&str> {
        let own = self.arguments.iter().map(String::as_str).take_while(|argument| *argument != "--");
        let names_packages =
            own.clone().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"));
        let workspace = if names_packages { None } else { Some("--workspace") };
        workspace.into_iter().chain(["--all-features"]).collect()
    }

    /// The arguments for cargo, and those for the test programs.
    fn split(&self) -> (&[String], &[String]) {
        let end = self.arguments.iter().position(|argument| argument == "--").unwrap_or(self.arguments.len());
        self.arguments.split_at(end)
    }
}

fn chosen(only: &[ServerKind]) -> Vec<ServerKind> {
    let all = ServerKind::ALL.into_iter();
    all.filter(|kind| only.is_empty() || only.contains(kind)).collect()
}

/// Continuous integration says so, and gets no excuses.
fn is_continuous_integration() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Builds the tests while the servers are set up, runs the tests, stops the servers; then simulates, if all tests ran.
pub(crate) fn test(options: &TestOptions) -> Result<()> {
    let watch = Stopwatch::start();
    let kinds = options.servers();
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    report::line(
        "start",
        if names.is_empty() { "no servers".to_owned() } else { format!("servers: {}", names.join(", ")) },
    );

    let (mut fleet, ()) = Fleet::start(&kinds, &workspace::target().join("test-servers"), || build(options))?;
    report::line("set-up", format!("done ({watch}): {}", inventory(&fleet)));
    if is_continuous_integration() && !fleet.missing().is_empty() {
        bail!("these servers are missing, and CI=true asks for all: {}", fleet.missing().join(", "));
    }

    let all_servers = kinds.len() == ServerKind::ALL.len();
    let test_watch = Stopwatch::start();
    let (status, summary) = run(options, &fleet, is_continuous_integration() && all_servers)?;
    report::line("tests", format!("ended ({test_watch})"));
    let losses = fleet.losses();
    for loss in &losses {
        report::line("servers", format!("LOST during the tests: {loss}"));
    }
    let servers = inventory(&fleet);
    drop(fleet);
    if !status.success() {
        bail!("tests failed: {} of {} suites ({servers})", summary.failed_suites, summary.suites);
    }
    if !losses.is_empty() {
        bail!("a server ended during the tests, so that what passed may have tested nothing");
    }
    if options.is_everything() {
        let watch = Stopwatch::start();
        let (status, encrypted) = run_encrypted()?;
        report::line("encrypted", format!("the tests ran again, with every database encrypted ({watch})"));
        if !status.success() {
            bail!("{} of {} suites failed with every database encrypted", encrypted.failed_suites, encrypted.suites);
        }
        report::step("simulation", "ran the simulator", simulation::run)?;
        let compare = || instructions::run(&InstructionsOptions::default());
        report::step("instructions", "counted the instructions of the hot paths", compare)?;
    }
    // A reader that is gone needs no summary.
    let _ = writeln!(
        std::io::stdout(),
        "all tests passed: {} suites in {watch} ({} tests, {} ignored; {servers})",
        summary.suites,
        summary.passed,
        summary.ignored,
    );
    Ok(())
}

/// Starts the servers and keeps them until Ctrl-C.
pub(crate) fn serve(only: &[ServerKind]) -> Result<()> {
    let (mut fleet, ()) = Fleet::start(&chosen(only), &workspace::target().join("test-servers"), || Ok(()))?;
    if fleet.running().is_empty() {
        bail!("none of the servers could be started");
    }
    let mut out = std::io::stdout();
    for (name, value) in fleet.variables() {
        writeln!(out, "export {name}='{value}'")?;
    }
    out.flush()?;
    report::line("servers", format!("{}; Ctrl-C stops them", inventory(&fleet)));
    while !interrupt::requested() {
        if let Some(loss) = fleet.losses().first() {
            bail!("a server has ended: {loss}");
        }
        pause(WATCH_INTERVAL);
    }
    Ok(())
}

fn inventory(fleet: &Fleet) -> String {
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    match fleet.missing() {
        missing if missing.is_empty() => format!("servers: {}", list(fleet.running())),
        missing => format!("servers: {}; WITHOUT {}", list(fleet.running()), list(missing)),
    }
}

/// Compiles all tests; the compiler's words are shown if it fails.
fn build(options: &TestOptions) -> Result<()> {
    let log = Log::fresh(workspace::target().join("test-servers/build.log"))?;
    let (for_cargo, _) = options.split();
    let cargo = workspace::cargo().arg("test").args(options.selection()).arg("--no-run").args(for_cargo);
    let outcome = report::step("build", "compiled all tests", || cargo.run(&log, BUILD_DEADLINE));
    if outcome.is_err() {
        // A build that was stopped says nothing about the code.
        interrupt::check()?;
        log.show();
    }
    outcome.context("the tests do not compile")
}

fn run(options: &TestOptions, fleet: &Fleet, is_complete: bool) -> Result<(ExitStatus, Summary)> {
    let (for_cargo, for_tests) = options.split();
    let mut cargo = workspace::cargo().arg("test").args(options.selection()).arg("--no-fail-fast");
    cargo = cargo.args(for_cargo).args(for_tests).envs(fleet.variables());
    if is_complete {
        // A test whose server is missing then fails, where it would else be skipped.
        cargo = cargo.env("BUCKETDB_TEST_REQUIRED", "1");
    }
    relayed(cargo)
}

/// The tests of the library and of the program once more, with every database encrypted.
fn run_encrypted() -> Result<(ExitStatus, Summary)> {
    let cargo = workspace::cargo().arg("test").args(["--workspace", "--all-features", "--no-fail-fast"]);
    relayed(cargo.args(ENCRYPTED_SUITES).env("BUCKETDB_TEST_ENCRYPTION", "1"))
}

/// Runs the tests, and shows what they print.
fn relayed(cargo: Tool) -> Result<(ExitStatus, Summary)> {
    let mut group = cargo.start(Stdio::piped(), Stdio::inherit())?;
    let output = group.child().stdout.take().context("cargo has an output")?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || relay(output, std::io::stdout()));
        let status = group.wait(TEST_DEADLINE);
        let summary = reader.join().unwrap_or_default();
        Ok((status?, summary))
    })
}

/// What the test programs said about themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    suites: u64,
    failed_suites: u64,
    pub(crate) passed: u64,
    ignored: u64,
}

impl Summary {
    /// Takes in lines such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        let count = |what: &str| {
            let (before, _) = result.split_once(what)?;
            before.split_whitespace().next_back()?.parse::<u64>().ok()
        };
        self.suites += 1;
        self.failed_suites += u64::from(!result.starts_with("ok"));
        self.passed += count(" passed").unwrap_or(0);
        self.ignored += count(" ignored").unwrap_or(0);
    }
}

/// Copies the tests' output to `sink`, line by line, and counts.
fn relay(output: impl Read, mut sink: impl Write) -> Summary {
    let mut summary = Summary::default();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // A reader that is gone does not stop the tests.
        let _ = sink.write_all(&line);
        summary.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> TestOptions {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        TestOptions { without_servers: false, only: Vec::new(), arguments }
    }

    #[test]
    fn results_are_added_up() {
        let output = "\
            test a ... ok\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        let mut copy = Vec::new();
        let summary = relay(output.as_bytes(), &mut copy);
        assert_eq!(summary, Summary { suites: 2, failed_suites: 1, passed: 5, ignored: 1 });
        assert_eq!(copy, output.as_bytes());
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_packages_are_named() {
        assert_eq!(options(&[]).selection(), ["--workspace", "--all-features"]);
        assert_eq!(options(&["a_test"]).selection(), ["--workspace", "--all-features"]);
        assert_eq!(options(&["-p", "bucketdb-log"]).selection(), ["--all-features"]);
        assert_eq!(options(&["--", "-p"]).selection(), ["--workspace", "--all-features"]);
    }

    #[test]
    fn arguments_of_test_programs_are_kept_from_the_build() {
        let options = options(&["-p", "x", "--", "--nocapture"]);
        let (cargo, tests) = options.split();
        assert_eq!(cargo, ["-p", "x"]);
        assert_eq!(tests, ["--", "--nocapture"]);
    }

    #[test]
    fn no_choice_means_all_servers() {
        assert_eq!(chosen(&[]), ServerKind::ALL);
        assert_eq!(chosen(&[ServerKind::Ceph, ServerKind::Redis]), [ServerKind::Redis, ServerKind::Ceph]);
    }
}
