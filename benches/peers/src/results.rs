//! What was measured of one peer with one workload, as it is kept.

use std::path::Path;

use anyhow::Result;
use engine_bench::report::{Origin, command};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One file of results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    pub peer: String,
    pub version: String,
    pub store: String,
    pub workload: String,
    #[serde(default)]
    pub settings: Value,
    pub command: String,
    pub date: String,
    #[serde(default)]
    pub machine: String,
    #[serde(default)]
    pub commit: String,
    pub rows: Vec<Row>,
}

/// One figure, and what else is to be said of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    pub unit: String,
    /// Missing where there is no answer, or none that is a number: then another field says why.
    pub value: Option<f64>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Row {
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.more.get(name)?.as_str()
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.more.get(name)?.as_f64()
    }

    /// Missing where there is no bar.
    pub fn is_met(&self) -> Option<bool> {
        self.more.get("is_met")?.as_bool()
    }
}

pub fn row(what: impl Into<String>, unit: &str, value: f64) -> Row {
    Row { what: what.into(), unit: unit.to_owned(), value: Some(value), more: Map::new() }
}

/// Those that Cargo.lock has.
pub fn version(of: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{of}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = ")).unwrap_or_default();
    version.trim_matches('"').to_owned()
}

impl Results {
    pub fn new(peer: &str, package: &str, store: &str, workload: &str, settings: Value) -> Self {
        let Origin { machine, commit, date } = Origin::of_this_run();
        Self {
            peer: peer.to_owned(),
            version: version(package),
            store: store.to_owned(),
            workload: workload.to_owned(),
            settings,
            command: command(),
            date,
            machine,
            commit,
            rows: Vec::new(),
        }
    }

    pub fn value(&self, what: &str) -> Option<f64> {
        self.row(what)?.value
    }

    pub fn setting(&self, name: &str) -> Option<f64> {
        self.settings.get(name)?.as_f64()
    }

    pub fn row(&self, what: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.what == what)
    }

    /// Keeps it under its peer and workload, and prints its rows.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        println!("## {} {}, {} ({})", self.peer, self.version, self.workload, self.store);
        for row in &self.rows {
            let more: String = row.more.iter().map(|(name, value)| format!("  {name}: {value}")).collect();
            println!(
                "  {:<60} {:>14} {}{more}",
                row.what,
                row.value.map_or("-".into(), |value| format!("{value:.3}")),
                row.unit
            );
        }
        std::fs::create_dir_all(folder)?;
        let name = format!("{}-{}.json", self.peer.to_lowercase().replace([' ', '.'], "-"), self.workload);
        Ok(std::fs::write(folder.join(name), serde_json::to_string_pretty(self)? + "\n")?)
    }
}
