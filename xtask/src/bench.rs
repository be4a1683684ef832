//! The benches beside the peers, which are a workspace of their own, and BENCHMARKS.md.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::workspace;

/// SlateDB alone takes ten minutes to build on two cores.
const DEADLINE: Duration = Duration::from_secs(4 * 3600);

/// What is measured, and with less data.
const FULL: [&[&str]; 9] = [
    &["requests"],
    &["ycsb"],
    &["month", "--only", "BucketDB"],
    // It asks for so much while it idles that thirty days take too long; each is as the one before.
    &["month", "--only", "SlateDB", "--days", "3"],
    &["month", "--disk", "--only", "BucketDB"],
    &["month", "--reads-per-view", "5", "--only", "BucketDB"],
    &["growth", "7"],
    // Real time: nothing else should go on on the machine.
    &["speed"],
    &["publish"],
];
const SHORT: [&[&str]; 6] = [
    &["requests", "--documents", "50000"],
    &["ycsb", "--documents", "50000", "--operations", "2000"],
    &["month", "--documents", "100000", "--days", "3"],
    &["growth", "5"],
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
    &["publish"],
];

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// With less data, in some minutes once it is built. The results take the place of the others.
    #[arg(long)]
    short: bool,
}

/// Measures one after the other, and writes what came of it.
pub(crate) fn run(options: &BenchOptions) -> Result<()> {
    let commands: &[&[&str]] = if options.short { &SHORT } else { &FULL };
    for command in commands {
        let program = ["run", "--release", "--manifest-path", "benches/peers/Cargo.toml", "--"];
        let bench = workspace::cargo().args(program).args(*command);
        if !bench.run_in_view(DEADLINE)?.success() {
            bail!("the bench `{}` failed; why is above", command.join(" "));
        }
    }
    Ok(())
}
