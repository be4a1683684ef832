//! valgrind, under which a program's instructions are counted: the system's, or one from its packages.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::process::{Tool, find};
use crate::servers::debian::Root;
use crate::servers::run_folder::RunFolder;
use crate::servers::site::Site;

const QUESTION_DEADLINE: Duration = Duration::from_secs(60);

/// What `bucketdb-bench` and valgrind itself look for, to be set in the environment.
pub(crate) fn variables(installs: &Path) -> Result<Vec<(&'static str, OsString)>> {
    if find("valgrind").is_some() && works(&Root::system()) {
        return Ok(Vec::new());
    }
    let run = RunFolder::create(&std::env::temp_dir())?;
    let site = Site::new("valgrind", installs, &run);
    let root = Root::fetch(&site, "debian-valgrind", &["valgrind"], works)?;
    Ok(of(&root))
}

fn of(root: &Root) -> Vec<(&'static str, OsString)> {
    vec![
        ("BUCKETDB_VALGRIND", root.path("usr/bin/valgrind").into()),
        ("VALGRIND_LIB", root.path("usr/libexec/valgrind").into()),
    ]
}

/// Whether it can run a program.
fn works(root: &Root) -> bool {
    let tool = Tool::new(root.path("usr/bin/valgrind")).envs(of(root));
    tool.args(["--tool=none", "--quiet", "true"]).output(QUESTION_DEADLINE).is_ok()
}
