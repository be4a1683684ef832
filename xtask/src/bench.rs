//! The benches: of the engine, beside peers, and those of peers for Node.js, each a workspace or a package of its own, and the
//! documents that come of them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process::{self, Tool};
use crate::servers::{Fleet, ServerKind};
use crate::workspace;

/// SlateDB alone takes ten minutes to build on two cores, and ten million random updates of it an hour.
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
const FULL: [Step; 16] = [
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
    (PEERS, &["speed"]),
];

const SHORT: [Step; 10] = [
    (PEERS, &["requests", "--documents", "50000"]),
    (PEERS, &["ycsb", "--documents", "50000", "--operations", "2000"]),
    (PEERS, &["month", "--documents", "100000", "--days", "3"]),
    (PEERS, &["growth", "5"]),
    (ENGINE, &["open", "--documents", "100000"]),
    (ENGINE, &["load", "200000"]),
    (ENGINE, &["updates", "100000"]),
    (ENGINE, &["reads", "--documents", "100000", "--rounds", "3", "--gets", "50000"]),
    (ENGINE, &["queries", "--documents", "100000", "--rounds", "3"]),
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
/// If a bench fails. A peer for Node.js may, and there may be no S3 server: then their results stay as they were, it is told, and
/// the others go on.
pub(crate) fn run(options: &BenchOptions) -> Result<()> {
    let mut failed = Vec::new();
    if options.short {
        SHORT.iter().try_for_each(measure)?;
    } else {
        if !options.without_node {
            failed = node_peers()?;
        }
        FULL.iter().try_for_each(measure)?;
    }
    failed.extend(over_s3()?);
    PUBLISHED.iter().try_for_each(measure)?;
    if !failed.is_empty() {
        bail!("these failed, and their results are those of before: {}", failed.join(", "));
    }
    Ok(())
}

fn measure(step: &Step) -> Result<()> {
    measure_beside(step, Vec::new())
}

/// As [`measure`], of what finds servers by these variables.
fn measure_beside((bench, arguments): &Step, variables: Vec<(&'static str, String)>) -> Result<()> {
    let manifest = format!("{bench}/Cargo.toml");
    let program = ["run", "--release", "--manifest-path", &manifest, "--"];
    if !workspace::cargo().args(program).args(*arguments).envs(variables).run_in_view(DEADLINE)?.success() {
        bail!("the bench `{}` of {bench} failed; why is above", arguments.join(" "));
    }
    Ok(())
}

/// What failed: the server, if it cannot be had.
fn over_s3() -> Result<Option<String>> {
    let (fleet, ()) = Fleet::start(&[ServerKind::Ceph], &workspace::target().join("test-servers"), || Ok(()))?;
    if !fleet.missing().is_empty() {
        return Ok(Some("the workloads over a real S3 server".to_owned()));
    }
    measure_beside(&OVER_S3, fleet.variables())?;
    Ok(None)
}

/// Those that failed.
fn node_peers() -> Result<Vec<String>> {
    let folder = workspace::root().join(NODE);
    let tool = |name: &str| {
        let found = process::find(name)
            .with_context(|| format!("{name} is not installed: leave the peers out with --without-node"))?;
        Ok::<_, anyhow::Error>(Tool::new(found).in_folder(&folder))
    };
    if !tool("npm")?.args(["ci", "--legacy-peer-deps"]).run_in_view(DEADLINE)?.success() {
        bail!("the packages of the peers for Node.js could not be installed");
    }
    let mut failed = Vec::new();
    for peer in NODE_PEERS {
        for workload in NODE_WORKLOADS {
            let arguments = ["run.mjs".to_owned(), format!("--only={peer}"), format!("--workload={workload}")];
            let outcome = tool("node")?.args(arguments).run_in_view(PEER_DEADLINE);
            if !outcome.is_ok_and(|status| status.success()) {
                failed.push(format!("{peer} for Node.js ({workload})"));
            }
        }
    }
    Ok(failed)
}
