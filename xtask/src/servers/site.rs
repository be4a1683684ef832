//! What starting a server has at hand.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::{Stopwatch, pause};
use crate::process::{Group, Log, Tool};
use crate::servers::run_folder::RunFolder;
use crate::{interrupt, report, sockets};

const READY_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The place of one server: where it is installed, where it keeps its data, under which name it reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) name: &'a str,
    installs: &'a Path,
    run: &'a RunFolder,
}

impl<'a> Site<'a> {
    pub(crate) fn new(name: &'a str, installs: &'a Path, run: &'a RunFolder) -> Self {
        Self { name, installs, run }
    }

    /// The folder that keeps what `name` installs from run to run.
    pub(crate) fn install_folder(&self, name: &str) -> PathBuf {
        self.installs.join(name)
    }

    /// This server's own folder of this run, empty at first.
    pub(crate) fn data_folder(&self) -> Result<PathBuf> {
        self.run.folder(self.name)
    }

    /// The log of `what`, kept until the next run.
    pub(crate) fn log(&self, what: &str) -> Result<Log> {
        let folder = self.installs.join("logs");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Log::fresh(folder.join(format!("{}-{what}.log", self.name)))
    }

    /// Runs and reports one step.
    pub(crate) fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        report::step(self.name, what, work)
    }

    /// Starts a program that is to run until the end of the run.
    pub(crate) fn start(&self, what: &str, tool: &Tool) -> Result<Daemon> {
        let log = self.log(what)?;
        let group = tool.start(log.stdio()?, log.stdio()?)?;
        Ok(Daemon { what: what.to_owned(), group, log })
    }
}

/// A program that serves until dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    what: String,
    group: Group,
    log: Log,
}

impl Daemon {
    /// Waits until `is_ready` says yes, then checks that the program listens on `ports` and for this machine only.
    pub(crate) fn await_ready(
        &mut self,
        deadline: Duration,
        ports: &[u16],
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let watch = Stopwatch::start();
        while !is_ready() {
            interrupt::check()?;
            self.require_running()?;
            if watch.elapsed() > deadline {
                let what = format!("{} was not ready after {} s", self.what, deadline.as_secs());
                return Err(self.log.explain(what));
            }
            pause(READY_POLL_INTERVAL);
        }
        self.require_running()?;
        sockets::require_loopback(self.group.id(), ports).with_context(|| format!("{} must not be used", self.what))
    }

    /// An error with the end of the log if the program has ended.
    pub(crate) fn require_running(&mut self) -> Result<()> {
        match self.group.ended()? {
            None => Ok(()),
            Some(status) => Err(self.log.explain(format!("{} ended by itself: {status}", self.what))),
        }
    }
}

/// A server with all its programs, and what tests are told about it.
#[derive(Debug)]
pub(crate) struct Server {
    /// Environment variables for the tests.
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) daemons: Vec<Daemon>,
}

impl Log {
    /// The log as a program's output.
    fn stdio(&self) -> Result<Stdio> {
        Ok(self.append()?.into())
    }
}
