use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::clock::Stopwatch;
use crate::interrupt;
use crate::report;
use crate::servers::run_folder::RunFolder;
use crate::servers::server::ServerKind;
use crate::servers::site::{Server, Site};

/// The servers of one run. Dropping it stops them and removes their data.
#[derive(Debug)]
pub(crate) struct Fleet {
    servers: Vec<(ServerKind, Server)>,
    missing: Vec<(ServerKind, String)>,
    // After the servers: fields are dropped in order, and a server must not write into a folder being removed.
    _run: RunFolder,
}

impl Fleet {
    /// Installs and starts all `kinds` side by side, while `meanwhile` runs on this thread.
    ///
    /// A server that cannot be had is noted, not an error.
    pub(crate) fn start<T>(
        kinds: &[ServerKind],
        installs: &Path,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<(Self, T)> {
        std::fs::create_dir_all(installs).with_context(|| format!("cannot make {}", installs.display()))?;
        let run = RunFolder::create(&std::env::temp_dir())?;
        let (outcomes, result) = std::thread::scope(|scope| {
            let threads: Vec<_> = kinds
                .iter()
                .map(|kind| {
                    let site = Site::new(kind.name(), installs, &run);
                    (*kind, scope.spawn(move || kind.start(&site)))
                })
                .collect();
            let result = meanwhile();
            if result.is_err() {
                // Nobody will use the servers.
                interrupt::abandon();
            }
            let join = |(kind, thread): (ServerKind, std::thread::ScopedJoinHandle<'_, Result<Server>>)| {
                (kind, thread.join().unwrap_or_else(|_| Err(anyhow!("its set-up ended in a panic"))))
            };
            (threads.into_iter().map(join).collect::<Vec<_>>(), result)
        });
        let mut fleet = Self { servers: Vec::new(), missing: Vec::new(), _run: run };
        for (kind, outcome) in outcomes {
            match outcome {
                Ok(server) => fleet.servers.push((kind, server)),
                Err(error) => fleet.missing.push((kind, format!("{error:#}"))),
            }
        }
        let value = result?;
        interrupt::check()?;
        for (kind, reason) in &fleet.missing {
            report::line(kind.name(), format!("MISSING: {reason}"));
        }
        Ok((fleet, value))
    }

    /// What the tests are told: the environment variables of all running servers.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        self.servers.iter().flat_map(|(_, server)| server.variables.iter().cloned()).collect()
    }

    /// The servers that run, by name.
    pub(crate) fn running(&self) -> Vec<&'static str> {
        self.servers.iter().map(|(kind, _)| kind.name()).collect()
    }

    /// The servers that could not be had, by name.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        self.missing.iter().map(|(kind, _)| kind.name()).collect()
    }

    /// Says which servers have ended by themselves, and why.
    pub(crate) fn losses(&mut self) -> Vec<String> {
        let mut losses = Vec::new();
        for (kind, server) in &mut self.servers {
            let ended = server.daemons.iter_mut().filter_map(|daemon| daemon.require_running().err());
            losses.extend(ended.map(|error| format!("{}: {error:#}", kind.name())));
        }
        losses
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let watch = Stopwatch::start();
        let count = self.servers.len();
        self.servers.clear();
        report::line("servers", format!("stopped {count} ({watch})"));
    }
}
