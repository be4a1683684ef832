//! Virtual environments of Python, for servers that come as Python packages.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Tool, find};
use crate::servers::debian::Root;
use crate::servers::install::Installation;
use crate::servers::site::Site;

const QUESTION_DEADLINE: Duration = Duration::from_secs(60);
const CREATION_DEADLINE: Duration = Duration::from_secs(120);
const INSTALL_DEADLINE: Duration = Duration::from_secs(900);

/// Which Python a set of packages needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    /// 3.9 or any later one.
    Recent,
    /// 3.11 and no other.
    V3_11,
}

impl Version {
    fn accepts(self, minor: u32) -> bool {
        match self {
            Self::Recent => minor >= 9,
            Self::V3_11 => minor == 11,
        }
    }

    /// The Debian packages that hold such a Python.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Recent => &["python3"],
            Self::V3_11 => &["python3.11"],
        }
    }
}

/// A virtual environment with its packages installed.
#[derive(Clone, Debug)]
pub(crate) struct VirtualEnvironment {
    folder: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl VirtualEnvironment {
    /// Makes the environment `name` with exactly `requirements`, in pip's notation, unless an earlier run did.
    ///
    /// All packages must be named: their dependencies are not resolved, so that every machine gets the same.
    pub(crate) fn ensure(
        site: &Site<'_>,
        name: &str,
        version: Version,
        requirements: &str,
        works: impl Fn(&Self) -> bool,
    ) -> Result<Self> {
        let python = Python::find(site, version)?;
        let folder = site.install_folder(name);
        let environment = Self { folder: folder.clone(), environment: python.environment.clone() };
        let contents = format!("{}\n{requirements}", python.program.display());
        Installation::new(folder, contents).ensure(
            || works(&environment),
            || {
                let what = format!("installed {name} and its packages with Python 3.{}", python.minor);
                site.step(&what, || environment.create(site, &python, requirements))?;
                if !works(&environment) {
                    bail!("{name} was installed from Python packages but does not run on this machine");
                }
                Ok(())
            },
        )?;
        Ok(environment)
    }

    /// The environment's Python.
    pub(crate) fn python(&self) -> Tool {
        Tool::new(self.program("python")).envs(self.environment.clone())
    }

    /// The path of a program that a package brought.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Whether the module can be imported.
    pub(crate) fn has_module(&self, module: &str) -> bool {
        self.python().args(["-c", &format!("import {module}")]).output(QUESTION_DEADLINE).is_ok()
    }

    /// The folder of an imported module.
    pub(crate) fn module_folder(&self, module: &str) -> Result<PathBuf> {
        let question = format!("import {module}, os; print(os.path.dirname({module}.__file__))");
        Ok(PathBuf::from(self.python().args(["-c", &question]).output(QUESTION_DEADLINE)?.trim_end()))
    }

    fn create(&self, site: &Site<'_>, python: &Python, requirements: &str) -> Result<()> {
        let log = site.log("pip")?;
        let create = python.tool().args(["-m", "venv"]);
        let pip = if python.has_pip() {
            create.arg(&self.folder).run(&log, CREATION_DEADLINE)?;
            self.python().args(["-m", "pip"])
        } else {
            // Debian keeps pip out of Python: its archive is fetched, and runs as it is.
            create.args(["--without-pip".as_ref(), self.folder.as_os_str()]).run(&log, CREATION_DEADLINE)?;
            self.python().arg(pip_archive(site)?.join("pip"))
        };
        let list = self.folder.join("requirements.txt");
        std::fs::write(&list, requirements).with_context(|| format!("cannot write {}", list.display()))?;
        let install = pip.args(["install", "--no-deps", "--no-input", "--disable-pip-version-check"]);
        install.args(["--requirement".as_ref(), list.as_os_str()]).run(&log, INSTALL_DEADLINE)
    }
}

fn pip_archive(site: &Site<'_>) -> Result<PathBuf> {
    let archive = |root: &Root| {
        let folder = std::fs::read_dir(root.path("usr/share/python-wheels"));
        let is_pip = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().starts_with("pip-");
        folder.into_iter().flatten().flatten().map(|entry| entry.path()).find(is_pip)
    };
    let system = archive(&Root::system());
    if let Some(found) = system {
        return Ok(found);
    }
    let root = Root::fetch(site, "debian-pip", &["python3-pip-whl"], |root| archive(root).is_some())?;
    archive(&root).context("the package python3-pip-whl holds no pip")
}

/// A Python to make environments from.
struct Python {
    program: PathBuf,
    minor: u32,
    environment: Vec<(&'static str, OsString)>,
}

impl Python {
    fn find(site: &Site<'_>, version: Version) -> Result<Self> {
        let candidates = ["python3.11", "python3"].into_iter().filter_map(find).chain(["/usr/bin/python3".into()]);
        let mut installed = candidates.filter_map(|program| Self::ask(&program, Vec::new()));
        if let Some(found) = installed.find(|python| version.accepts(python.minor)) {
            return Ok(found);
        }
        let folder = format!("debian-{}", version.packages().join("-"));
        let of_root = |root: &Root| {
            let program = root.program("python3.11").or_else(|| root.program("python3"))?;
            Self::ask(&program, root.environment()).filter(|python| version.accepts(python.minor))
        };
        let fetched = Root::fetch(site, &folder, version.packages(), |root| of_root(root).is_some());
        let root = fetched.with_context(|| match version {
            Version::Recent => "Python 3.9 or later is needed",
            Version::V3_11 => "Python 3.11 is needed",
        })?;
        of_root(&root).context("the fetched Python does not run")
    }

    /// The Python that stands behind `program`, which may be a script that chooses one.
    fn ask(program: &Path, environment: Vec<(&'static str, OsString)>) -> Option<Self> {
        let question = "import sys, venv; print(sys.version_info[1]); print(sys.executable)";
        let answer = Tool::new(program).envs(environment.clone()).args(["-c", question]).output(QUESTION_DEADLINE);
        let answer = answer.ok()?;
        let (minor, program) = answer.trim_end().split_once('\n')?;
        Some(Self { program: program.into(), minor: minor.parse().ok()?, environment })
    }

    fn tool(&self) -> Tool {
        Tool::new(&self.program).envs(self.environment.clone())
    }

    /// Whether it brings pip along for new environments.
    fn has_pip(&self) -> bool {
        self.tool().args(["-c", "import ensurepip; ensurepip.version()"]).output(QUESTION_DEADLINE).is_ok()
    }
}
