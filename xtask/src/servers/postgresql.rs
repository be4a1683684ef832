//! PostgreSQL, and the program `sqlite3`: what is exported as SQL must load into both.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::ports::free_port;
use crate::process::{Tool, find};
use crate::servers::debian::{Root, quote};
use crate::servers::site::{Server, Site};

const READY_DEADLINE: Duration = Duration::from_secs(60);
const SET_UP_DEADLINE: Duration = Duration::from_secs(120);
const QUESTION_DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn start(site: &Site<'_>) -> Result<Server> {
    let (postgresql, sqlite) = (postgresql(site)?, sqlite(site)?);
    let port = free_port()?;
    let folder = site.data_folder()?;
    site.step(&format!("ready at 127.0.0.1:{port}"), || {
        let data = folder.join("data");
        let initdb = postgresql
            .as_other("initdb")?
            .args(["--username=bucketdb", "--auth=trust", "--encoding=UTF8", "--no-locale", "--pgdata"])
            .arg(&data);
        initdb.run(&site.log("set-up")?, SET_UP_DEADLINE)?;
        let server = postgresql.as_other("postgres")?.args(["-D".as_ref(), data.as_os_str()]).args([
            "-p",
            &port.to_string(),
            "-h",
            "127.0.0.1",
            "-k",
            "",
            "-c",
            "fsync=off",
        ]);
        let mut daemon = site.start("server", &server)?;
        let asked = postgresql.tool("pg_isready")?.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        daemon.await_ready(READY_DEADLINE, &[port], || asked.output(QUESTION_DEADLINE).is_ok())?;
        let variables = vec![
            ("BUCKETDB_TEST_POSTGRESQL", format!("postgresql://bucketdb@127.0.0.1:{port}/postgres")),
            ("BUCKETDB_TEST_PSQL", postgresql.stand_alone("psql", &folder)?.display().to_string()),
            ("BUCKETDB_TEST_SQLITE", sqlite.display().to_string()),
        ];
        Ok(Server { variables, daemons: vec![daemon] })
    })
}

/// The programs of one version, which Debian keeps in a folder of their own.
#[derive(Debug)]
struct Programs {
    root: Root,
    folder: PathBuf,
}

impl Programs {
    /// The newest version there.
    fn of(root: Root) -> Option<Self> {
        let versions = std::fs::read_dir(root.path("usr/lib/postgresql")).into_iter().flatten().flatten();
        let number =
            |path: &PathBuf| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok());
        let newest = versions.map(|entry| entry.path()).filter(|path| number(path).is_some()).max_by_key(number)?;
        let programs = Self { root, folder: newest.join("bin") };
        let works =
            |name: &str| programs.tool(name).is_ok_and(|tool| tool.arg("--version").output(QUESTION_DEADLINE).is_ok());
        ["postgres", "initdb", "psql", "pg_isready"].into_iter().all(works).then_some(programs)
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        let program = self.folder.join(name);
        if !program.is_file() {
            bail!("there is no {}", program.display());
        }
        Ok(program)
    }

    fn tool(&self, name: &str) -> Result<Tool> {
        Ok(Tool::new(self.program(name)?).envs(self.root.environment()))
    }

    /// The program as somebody who is not root: PostgreSQL refuses root. In a name space of its own, root is nobody, and owns
    /// what it writes all the same.
    fn as_other(&self, name: &str) -> Result<Tool> {
        let is_root = Tool::new("id").arg("-u").output(QUESTION_DEADLINE)?.trim() == "0";
        if !is_root {
            return self.tool(name);
        }
        let unshare =
            find("unshare").context("PostgreSQL refuses root, and there is no unshare to be somebody else")?;
        Ok(Tool::new(unshare).arg("--user").arg(self.program(name)?).envs(self.root.environment()))
    }

    /// A path under which the program starts without any environment set up for it.
    fn stand_alone(&self, name: &str, folder: &Path) -> Result<PathBuf> {
        let program = quote(&self.program(name)?.to_string_lossy());
        let assignments: String = self
            .root
            .environment()
            .iter()
            .map(|(name, value)| format!("export {name}={}\n", quote(&value.to_string_lossy())))
            .collect();
        let script = folder.join(name);
        std::fs::write(&script, format!("#!/bin/sh\n{assignments}exec {program} \"$@\"\n"))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }
}

/// The system's PostgreSQL, or the one from its packages.
fn postgresql(site: &Site<'_>) -> Result<Programs> {
    if let Some(programs) = Programs::of(Root::system()) {
        return Ok(programs);
    }
    let root = Root::fetch(site, "debian-postgresql", &["postgresql"], |root| Programs::of(root.clone()).is_some())?;
    Programs::of(root).context("this system's packages hold no PostgreSQL that runs")
}

/// The system's `sqlite3`, or the one from its packages.
fn sqlite(site: &Site<'_>) -> Result<PathBuf> {
    let works =
        |root: &Root| root.tool("sqlite3").is_ok_and(|tool| tool.arg("--version").output(QUESTION_DEADLINE).is_ok());
    let system = Root::system();
    if works(&system) {
        return system.stand_alone("sqlite3");
    }
    Root::fetch(site, "debian-sqlite", &["sqlite3"], works)?.stand_alone("sqlite3")
}
