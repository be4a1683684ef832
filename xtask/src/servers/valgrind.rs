//! valgrind, under which a program's instructions are counted: the system's, or one from its packages.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::servers::debian::Root;
use crate::servers::run_folder::RunFolder;
use crate::servers::site::Site;

const QUESTION_DEADLINE: Duration = Duration::from_secs(60);

/// What `bucketdb-bench` and valgrind itself look for, to be set in the environment.
pub(crate) fn variables(installs: &Path) -> Result<Vec<(&'static str, OsString)>> {
    if works(&Root::system(), Vec::new()) {
        return Ok(Vec::new());
    }
    let run = RunFolder::create(&std::env::temp_dir())?;
    let site = Site::new("valgrind", installs, &run);
    let root = Root::fetch(&site, "debian-valgrind", &["valgrind"], |root| works(root, of(root)))?;
    Ok(of(&root))
}

fn of(root: &Root) -> Vec<(&'static str, OsString)> {
    vec![
        ("BUCKETDB_VALGRIND", root.path("usr/bin/valgrind").into()),
        ("VALGRIND_LIB", root.path("usr/libexec/valgrind").into()),
    ]
}

/// Whether it can count what a program does.
fn works(root: &Root, variables: Vec<(&'static str, OsString)>) -> bool {
    let arguments = ["--tool=callgrind", "--callgrind-out-file=/dev/null", "true"];
    root.tool("valgrind").is_ok_and(|tool| tool.envs(variables).args(arguments).output(QUESTION_DEADLINE).is_ok())
}
