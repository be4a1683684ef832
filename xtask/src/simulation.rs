//! Simulated runs of the whole database, as many as fit a few minutes.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::workspace;

/// A few minutes on two cores, the build included.
const SEEDS: &str = "5000";

const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Runs the seeds; the program prints what it found.
pub(crate) fn run() -> Result<()> {
    let program = ["run", "--release", "--package", "bucketdb-sim", "--"];
    let simulator = workspace::cargo().args(program);
    if !simulator.args(["--seeds", SEEDS]).run_in_view(DEADLINE)?.success() {
        bail!("a simulated run broke a promise; its seed and what led to it are above");
    }
    Ok(())
}
