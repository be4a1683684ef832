//! The tables of what engines do in a second.

use engine_bench::report::Table;

use crate::publish::{number, source};
use crate::results::{Results, Row};

/// Who gives other guarantees, and so is no measure of who is faster, but of what there is to gain.
const LOCAL: [&str; 3] = ["SQLite", "redb", "BTreeMap"];

/// What is aimed at where the store is memory: the workload, its documents in a commit, and how many documents a second.
const BARS: [(&str, f64, f64); 2] = [
    ("commits of one document, 100 callers", 1.0, 200_000.0),
    ("commits of 100 documents, 10 callers", 100.0, 1_000_000.0),
];

/// Why there is more to do than for a peer that is ahead.
const REASONS: [(&str, &str); 6] = [
    ("commits of 100 documents", "Why, for batches from many callers: as for the batch of a thousand."),
    (
        "commits of 1000 documents",
        "Why, for the batch: each of its documents is checked against what other writers may have written, compressed with its record, \
         hashed into the chain of the log, and put into a state from which transactions, queries and indexes are answered \
         (docs/instructions.md counts what that takes); and checkpoints, which let the next process open quickly, write and merge as much \
         beside it. SlateDB has one writer, which has to ask nobody, compresses nothing by default, and keeps 64 MiB in memory before \
         it writes a run.",
    ),
    (
        "commits of one document, 100 callers",
        "Why, for 100 callers: the commits that meet a checkpoint share two cores with it, which the p99 of the next table shows. It comes \
         so often that a database opens quickly after its processes were killed.",
    ),
    (
        "commits of one document, 10 callers",
        "Why, for ten callers: one record is under way at a time, as any other process may write the next one; a commit that comes \
         meanwhile waits for it, and then for its own.",
    ),
    (
        "YCSB",
        "Why, for YCSB: its updates are commits of one document by ten callers, of which one record is under way at a time.",
    ),
    (
        "most memory",
        "Why, for the memory: the store is memory too, and holds objects that were replaced for a grace of an hour.",
    ),
];

fn text<'a>(results: &'a Results, name: &str) -> &'a str {
    results.settings.get(name).and_then(|text| text.as_str()).unwrap_or_default()
}

/// Rates, how long operations take, and what the figures mean, for one store.
pub(crate) fn tables(all: &[Results], store: &str) -> Vec<Table> {
    let workload = format!("speed-{store}");
    let mut runs: Vec<&Results> = all.iter().filter(|results| results.workload == workload).collect();
    // BucketDB first, then who else keeps its data in a bucket, and the map last.
    runs.sort_by_key(|run| {
        let local = LOCAL.iter().position(|local| *local == run.peer);
        (run.peer != "BucketDB", local.map_or(0, |place| place + 1))
    });
    let Some(ours) = runs.iter().find(|run| run.peer == "BucketDB").copied() else { return Vec::new() };
    let kept = match store {
        "memory" => "in memory",
        "files" => "on files",
        _ => "over a real S3 server",
    };
    let peers: Vec<&str> = runs.iter().map(|run| run.peer.as_str()).collect();
    let header: Vec<&str> = ["workload"].into_iter().chain(peers.iter().copied()).collect();
    let mut rates = Table::new(&format!("In a second, {kept}"), &header);
    let mut times = Table::new(&format!("How long each takes, {kept}: p50 / p99 / p999 in µs"), &header);
    let mut slower = Vec::new();
    for row in &ours.rows {
        let cells = runs.iter().map(|run| rate(run.row(&row.what)));
        let mut cells: Vec<String> = std::iter::once(format!("{}, {}", row.what, row.unit)).chain(cells).collect();
        for (run, cell) in runs.iter().zip(&mut cells[1..]) {
            if is_faster(run, ours, row) {
                *cell = format!("**{cell}**");
                slower.push(format!("{} ({})", row.what, run.peer));
            }
        }
        rates.row(cells);
        if row.more.contains_key("p50_us") {
            let cells = runs.iter().map(|run| percentiles(run.row(&row.what)));
            times.row(std::iter::once(row.what.clone()).chain(cells).collect::<Vec<_>>());
        }
    }
    notes(&mut rates, ours, &runs, &slower);
    if store == "memory" {
        bars(&mut rates, ours, &runs);
    }
    vec![rates, times]
}

/// Which bars are met.
fn bars(table: &mut Table, ours: &Results, runs: &[&Results]) {
    let mut is_missed = false;
    let mut told = Vec::new();
    for (what, documents, least) in BARS {
        let Some(value) = ours.row(what).and_then(|row| row.value) else { continue };
        let rate = value * documents;
        is_missed |= rate < least;
        let outcome = if rate < least { "**missed**" } else { "met" };
        told.push(format!("{what}: {} documents/s, of {} aimed at, {outcome}", number(rate.round()), number(least)));
    }
    if told.is_empty() {
        return;
    }
    table.note(format!("The path of a commit: {}.", told.join("; ")));
    if is_missed {
        let (what, documents, _) = BARS[1];
        let of_map = runs.iter().find(|run| run.peer == "BTreeMap").and_then(|run| run.row(what)?.value);
        let of_map = of_map.map_or(String::new(), |value| {
            format!(
                " What there is to gain: the map, which keeps nothing, takes {} documents/s in these batches.",
                number((value * documents).round())
            )
        });
        table.note(format!(
            "Why: both cores are busy, and a third of their time goes into writing and merging the runs of checkpoints, without which the \
             next opening would take long; a quarter of all of it is the allocator's (`perf record` over `speed --peak-of BucketDB --store \
             memory --commits-ms 1500`).{of_map}"
        ));
    }
}

/// Whether a peer that keeps its data in a bucket too is ahead.
fn is_faster(run: &Results, ours: &Results, row: &Row) -> bool {
    if run.peer == ours.peer || LOCAL.contains(&run.peer.as_str()) {
        return false;
    }
    let values = run.row(&row.what).and_then(|theirs| theirs.value).zip(row.value);
    values.is_some_and(|(theirs, mine)| if row.unit == "MiB" { theirs < mine } else { theirs > mine })
}

fn rate(row: Option<&Row>) -> String {
    let value = row.and_then(|row| row.value);
    value.map_or("–".to_owned(), |value| number(if value < 100.0 { value } else { value.round() }))
}

fn percentiles(row: Option<&Row>) -> String {
    let of = |name: &str| {
        let value = row.and_then(|row| row.number(name));
        value.map_or("–".to_owned(), |us| number(if us < 10.0 { us } else { us.round() }))
    };
    format!("{} / {} / {}", of("p50_us"), of("p99_us"), of("p999_us"))
}

fn notes(table: &mut Table, ours: &Results, runs: &[&Results], slower: &[String]) {
    let of = |name: &str| number(ours.setting(name).unwrap_or_default());
    table.note(format!(
        "Real time: medians of {} rounds, in which the engines take turns in one process. {} documents of 200 bytes; for the \
         workloads of YCSB {} records of 1 KB, {} operations by {} callers. Each engine may keep {} MiB of what it read, so all of \
         it is in memory. Answers are compared, and so is everything that is there in the end. The most memory is that of a \
         process that does all of it once with this engine alone, data in memory included.",
        of("rounds"),
        of("documents"),
        of("records"),
        of("operations"),
        of("callers"),
        of("cache_mib"),
    ));
    table.note(
        "What they promise differs. BucketDB and SlateDB keep everything in objects, which a bucket can hold: it outlives the \
         machine. BucketDB alone has several writers, on any number of machines, transactions and typed documents; what it \
         gives is decoded, while the others give bytes that are cut into fields. SQLite and redb are files on one local disk with one \
         writer at a time, and the map is in no store at all: they show what there is to gain, not who else would do.",
    );
    if !slower.is_empty() {
        table.note(format!("Behind a peer that keeps its data in a bucket too (bold): {}.", slower.join("; ")));
    }
    for (what, why) in REASONS {
        if slower.iter().any(|slower| slower.starts_with(what)) {
            table.note(why);
        }
    }
    for run in runs {
        let durability = text(run, "durability");
        table.note(format!("{}. A commit that is answered: {durability}.", source(run)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::results::row;

    fn results(peer: &str, rate: f64) -> Results {
        let mut results = Results::new(peer, "", "files", "speed-files", json!({"durability": "fsync"}));
        results.rows.push(row("point reads", "operations/s", rate).with("p50_us", 1.5));
        results
    }

    #[test]
    fn a_peer_with_the_same_guarantees_that_is_faster_is_named() {
        let all = [results("redb", 900.0), results("SlateDB", 200.0), results("BucketDB", 100.0)];
        let [rates, times] = &tables(&all, "files")[..] else { unreachable!("two tables") };
        assert_eq!(rates.header, ["workload", "BucketDB", "SlateDB", "redb"]);
        assert_eq!(rates.rows, [["point reads, operations/s", "100", "**200**", "900"]]);
        assert!(rates.notes.iter().any(|note| note.contains("point reads (SlateDB)")));
        assert_eq!(times.rows[0][2], "1.50 / – / –");
        assert!(tables(&all, "memory").is_empty());
    }
}
