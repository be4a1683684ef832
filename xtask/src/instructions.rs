//! How many instructions the hot paths take, compared with docs/instructions.md.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::servers::valgrind;
use crate::workspace;

/// Building takes minutes on two cores, and every instruction fifty times as long as without valgrind.
const DEADLINE: Duration = Duration::from_secs(40 * 60);

/// How instructions are counted.
#[derive(Debug, Default, Args)]
pub(crate) struct InstructionsOptions {
    /// Writes docs/instructions.md instead of comparing with it.
    #[arg(long)]
    write: bool,
}

/// Counts, and compares or writes.
pub(crate) fn run(options: &InstructionsOptions) -> Result<()> {
    let variables = valgrind::variables(&workspace::target().join("test-servers"))?;
    let mut counting = workspace::cargo().args(["run", "--release", "--package", "bucketdb-bench", "--"]);
    if options.write {
        counting = counting.arg("--write");
    }
    if !counting.envs(variables).run_in_view(DEADLINE)?.success() {
        bail!("a hot path takes another number of instructions than docs/instructions.md says; which one is above");
    }
    Ok(())
}
