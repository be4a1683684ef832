//! The benches: of the engine, beside peers, and those of peers for Node.js, each a workspace or a package of its own, and the
//! documents that come of them.

use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process::{self, Tool};
use crate::servers::{Fleet, ServerKind};
use crate::{interrupt, report, workspace};

/// On two cores none took longer than twenty minutes; the first one of a package also builds SlateDB, in ten.
const DEADLINE: Duration = Duration::from_secs(6 * 3600);

/// A workload of a peer for Node.js: one of them has not come to an end after that.
const PEER_DEADLINE: Duration = Duration::from_secs(2 * 3600);

const ENGINE: &str = "benches/engine";
const PEERS: &str = "benches/peers";
const NODE: &str = "benches/peers/node";

/// What is measured, where, and with which arguments.
type Step = (&'static str, &'static [&'static str]);

/// What counts requests comes first: it is exact whatever else goes on. Times come last, and nothing else should go on on the
/// machine by then.
const FULL: [Step; 17] = [
    (PEERS, &["requests"]),
    (PEERS, &["ycsb"]),
    (PEERS, &["month", "--only", "BucketDB"]),
    // It asks for so much while it idles that thirty days take too long; each is as the one before.
    (PEERS, &["month", "--only", "SlateDB", "--days", "3"]),
    (PEERS, &["month", "--disk", "--only", "BucketDB"]),
    (PEERS, &["month", "--reads-per-view", "5", "--only", "BucketDB"]),
    (PEERS, &["growth", "7"]),
    (ENGINE, &["open"]),
    (ENGINE, &["index"]),
    (ENGINE, &["load", "1000000", "--rounds", "3"]),
    (ENGINE, &["load", "10000000"]),
    (ENGINE, &["updates", "1000000"]),
    (ENGINE, &["updates", "10000000"]),
    (ENGINE, &["reads", "--rounds", "3"]),
    (ENGINE, &["queries", "--rounds", "7"]),
    (ENGINE, &["lookups"]),
    (PEERS, &["speed"]),
];

const SHORT: [Step; 11] = [
    (PEERS, &["requests", "--documents", "50000"]),
    (PEERS, &["ycsb", "--documents", "50000", "--operations", "2000"]),
    (PEERS, &["month", "--documents", "100000", "--days", "3"]),
    (PEERS, &["growth", "5"]),
    (ENGINE, &["open", "--documents", "100000"]),
    (ENGINE, &["load", "200000"]),
    (ENGINE, &["updates", "100000"]),
    (ENGINE, &["reads", "--documents", "100000", "--rounds", "3", "--gets", "50000"]),
    (ENGINE, &["queries", "--documents", "100000", "--rounds", "3"]),
    (ENGINE, &["lookups", "--documents", "100000", "--rounds", "3", "--lookups", "1000"]),
    (
        PEERS,
        &[
            "speed",
            "--documents",
            "100000",
            "--records",
            "20000",
            "--rounds",
            "3",
            "--gets",
            "50000",
            "--operations",
            "2000",
            "--commits-ms",
            "200",
        ],
    ),
];

/// Over a real S3 server, of which this machine's cores have to do the work as well: with less data.
const OVER_S3: Step = (
    PEERS,
    &[
        "speed",
        "--store",
        "s3",
        "--documents",
        "100000",
        "--records",
        "20000",
        "--rounds",
        "3",
        "--gets",
        "50000",
        "--operations",
        "2000",
    ],
);

/// The documents that are written of what was kept.
const PUBLISHED: [Step; 2] = [(PEERS, &["publish"]), (ENGINE, &["publish"])];

/// The peers for Node.js, and what they are asked for.
const NODE_PEERS: [&str; 2] = ["baerly-storage", "s3db.js"];
const NODE_WORKLOADS: [&str; 4] = ["commits", "reads", "writers", "month"];

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// With less data, and without the peers for Node.js, in some minutes once it is built. The results take the place of the others.
    #[arg(long)]
    short: bool,
    /// Without the peers for Node.js, which need npm and a server.
    #[arg(long)]
    without_node: bool,
}

/// Measures one after the other, and writes what came of it.
///
/// # Errors
/// If a bench fails, or a server or package that one needs cannot be had. It is told, the others go on, and its results stay those
/// of before.
pub(crate) fn run(options: &BenchOptions) -> Result<()> {
    let mut failed = Vec::new();
    if !options.short && !options.without_node {
        node_peers(&mut failed)?;
    }
    let steps = if options.short { &SHORT[..] } else { &FULL };
    for step in steps {
        attempt(&mut failed, &name_of(step), || measure(step, Vec::new()))?;
    }
    attempt(&mut failed, &format!("{} over a real S3 server", name_of(&OVER_S3)), over_s3)?;
    for step in &PUBLISHED {
        attempt(&mut failed, &name_of(step), || measure(step, Vec::new()))?;
    }
    if !failed.is_empty() {
        bail!("these failed, and their results are those of before: {}", failed.join(", "));
    }
    Ok(())
}

/// Does one thing of many, and tells how long it took. If it fails, `failed` names it, and the others go on.
///
/// # Errors
/// If the program is asked to end.
fn attempt(failed: &mut Vec<String>, what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    if let Err(error) = report::step("bench", what, work) {
        interrupt::check()?;
        report::line("error", format!("{error:#}"));
        failed.push(format!("`{what}`"));
    }
    Ok(())
}

fn name_of((bench, arguments): &Step) -> String {
    format!("{bench} {}", arguments.join(" "))
}

/// Runs a bench that finds servers by `variables`.
fn measure((bench, arguments): &Step, variables: Vec<(&'static str, String)>) -> Result<()> {
    let manifest = format!("{bench}/Cargo.toml");
    let program = ["run", "--release", "--manifest-path", &manifest, "--"];
    succeeded(workspace::cargo().args(program).args(*arguments).envs(variables).run_in_view(DEADLINE)?)
}

fn succeeded(status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("it ended with {status}; why is above");
    }
    Ok(())
}

fn over_s3() -> Result<()> {
    let (fleet, ()) = Fleet::start(&[ServerKind::Ceph], &workspace::target().join("test-servers"), || Ok(()))?;
    if !fleet.missing().is_empty() {
        bail!("there is no S3 server to be had; why is above");
    }
    measure(&OVER_S3, fleet.variables())
}

fn node_peers(failed: &mut Vec<String>) -> Result<()> {
    let folder = workspace::root().join(NODE);
    let run = |name: &str, arguments: &[String], deadline| {
        let found = process::find(name)
            .with_context(|| format!("{name} is not installed: leave the peers out with --without-node"))?;
        succeeded(Tool::new(found).in_folder(&folder).args(arguments).run_in_view(deadline)?)
    };
    let install = ["ci", "--legacy-peer-deps"].map(str::to_owned);
    attempt(failed, "packages of the peers for Node.js", || run("npm", &install, DEADLINE))?;
    if !failed.is_empty() {
        return Ok(());
    }
    for peer in NODE_PEERS {
        for workload in NODE_WORKLOADS {
            let arguments = ["run.mjs".to_owned(), format!("--only={peer}"), format!("--workload={workload}")];
            attempt(failed, &format!("{peer} {workload}"), || run("node", &arguments, PEER_DEADLINE))?;
        }
    }
    Ok(())
}
