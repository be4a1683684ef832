//! Builds what runs behind the tests while these run, of the time that they leave over.

use anyhow::Result;

use crate::process::{Group, Log, Tool, find};
use crate::workspace;

/// One package after the other, as their own runs build them: together they would get each other's features.
const SCRIPT: &str = r#"
for package in bucketdb-sim bucketdb-bench; do
    "$0" build --release --jobs 1 --package "$package" || exit 1
done
"#;

/// Begins, at the lowest priority, so that no test gets less of a processor. Dropping it ends it; what is done is done.
/// Nothing depends on it: whoever needs a program builds what is missing. `None` where there is no `nice`.
pub(crate) fn build() -> Result<Option<Group>> {
    let Some(nice) = find("nice") else { return Ok(None) };
    let log = Log::fresh(workspace::target().join("test-servers/ahead.log"))?;
    let shell = ["-n", "19", "sh", "-c", SCRIPT];
    let tool = Tool::new(nice).args(shell).arg(workspace::cargo_program()).in_folder(&workspace::root());
    Ok(Some(tool.start(log.append()?.into(), log.append()?.into())?))
}
