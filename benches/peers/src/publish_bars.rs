//! Bars that are measured elsewhere: those of the storage engine, and what is promised of reliability.

use std::path::Path;

use anyhow::{Context, Result};
use engine_bench::report::{Report, Table, judged, kept};

use crate::publish::number;
use crate::results::Results;

/// Why a bar of the engine is missed, by the row.
const REASONS: [(&str, &str); 3] = [
    (
        "point reads, 1 task",
        "a map in memory that decodes the same documents is not much faster on this machine: a million a second is beyond what \
         decoding allows, and ten times SlateDB nearly so",
    ),
    ("full scan, typed, 1 task", "the map, which only decodes, does not reach it on this machine either"),
    ("documents, all", "as for the typed scan: each document is built with its texts"),
];

/// Why the local engine is ahead of which the queries are measured beside.
const WHY_LOOKUPS: &str = "SQLite is a library in one process that reads pages of its own file: it shows what there is to gain, not \
    who else would do. What is more to do here: a way is chosen for each query, as an index may be anywhere between memory and a \
    bucket; what was written since the last checkpoint is looked for beside it; each row is found by its key. A count, which is \
    furthest behind, makes values of each entry and tests the filter on them once more, where SQLite only steps on.";

/// Queries that an index answers, all that was measured of them.
pub(crate) fn lookups(results: &Path) -> Result<Option<Table>> {
    let reports: Vec<Report> = kept(results)?;
    let Some(report) = reports.into_iter().find(|report| report.name.starts_with("lookups")) else { return Ok(None) };
    let source = format!(
        "`{}` in `benches/engine`, commit {}, {}, {}; how long each takes is in [docs/benchmarks-engine.md](docs/benchmarks-engine.md).",
        report.command, report.commit, report.date, report.machine
    );
    Ok(report.tables.into_iter().next().map(|mut table| {
        table.note(WHY_LOOKUPS);
        table.note(source);
        table
    }))
}

/// Every row of the engine's tables that has a goal.
pub(crate) fn engine(results: &Path) -> Result<Option<Table>> {
    let reports: Vec<Report> = kept(results)?;
    let mut table = Table::new("The storage engine: each bar", &["measure", "BucketDB", "bar", "SlateDB", "SQLite"]);
    let mut missed = Vec::new();
    let tables = reports.iter().flat_map(|report| report.tables.iter().map(|table| (&report.name, table)));
    for (name, measured) in tables {
        let column = |name: &str| measured.header.iter().position(|header| header == name);
        let Some(goal) = column("goal") else { continue };
        // The same by processor time says the same.
        if measured.title.starts_with("The same") {
            continue;
        }
        for row in measured.rows.iter().filter(|row| row.get(goal).is_some_and(|goal| !goal.is_empty())) {
            let cell = |name: &str| column(name).and_then(|column| row.get(column)).cloned();
            let what = row.first().cloned().unwrap_or_default();
            let ours = cell("BucketDB").unwrap_or_else(|| all_judged(&measured.header, row));
            if let (true, Some((_, reason))) = (ours.contains("missed"), REASONS.iter().find(|(of, _)| *of == what)) {
                missed.push(format!("Missed: {what}: {reason}."));
            }
            let other = |name: &str| cell(name).unwrap_or("–".to_owned());
            let bar = row.get(goal).cloned().unwrap_or_default();
            table.row([format!("{name}: {what}"), ours, bar, other("SlateDB"), other("SQLite")]);
        }
    }
    table.note(
        "In real time where no request is counted. How each was measured, and when, and what else was, is told under these names in \
         [docs/benchmarks-engine.md](docs/benchmarks-engine.md).",
    );
    missed.into_iter().for_each(|missed| table.note(missed));
    Ok((!table.rows.is_empty()).then_some(table))
}

/// The cells that say whether a goal is met, each with its column.
fn all_judged(header: &[String], row: &[String]) -> String {
    let judged = header.iter().zip(row).filter(|(_, cell)| cell.contains('✓') || cell.contains("missed"));
    judged.map(|(header, cell)| format!("{header} {cell}")).collect::<Vec<_>>().join(", ")
}

/// What was tried of what is promised.
pub(crate) fn reliability(all: &[Results]) -> Result<Option<Table>> {
    let Some(results) = all.iter().find(|results| results.workload == "reliability") else { return Ok(None) };
    let mut table = Table::new("Reliability: each bar", &["what was tried", "so many", "bar", "more", "printed by"]);
    for row in &results.rows {
        let text = |name: &str| row.text(name).with_context(|| format!("`{}` has no {name}", row.what));
        let is_met = row.is_met().unwrap_or(false);
        let value = format!("{} {}", row.value.map_or("–".to_owned(), number), row.unit);
        let source = format!("`{}`, commit {}, {}", text("command")?, text("commit")?, text("date")?);
        let (goal, detail) = (text("goal")?.to_owned(), text("detail")?.to_owned());
        table.row([row.what.clone(), judged(value, is_met), goal, detail, source]);
    }
    Ok((!table.rows.is_empty()).then_some(table))
}
