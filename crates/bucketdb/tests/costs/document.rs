//! The page that holds the figures.

use std::fmt::Write as _;

use crate::world::Row;

/// A table: its title and its rows.
pub(crate) type Chapter = (&'static str, Vec<Row>);

const PREAMBLE: &str = "\
# What each operation costs

A bucket bills requests, and each takes its time. This page says what BucketDB asks for, exactly: a test measures it anew in
every run of `cargo test` and fails if a single request or byte is more or less than what stands here
(`crates/bucketdb/tests/costs`; `BUCKETDB_WRITE_COSTS=1 cargo test -p bucketdb --test costs` writes the page).

- The database has 40,000 documents with an index over one field, which take 100 bytes each once they are compressed. All
  options are the defaults.
- *Cold* is a process that has just opened the database and has nothing else in memory; *warm* is one that has read the same
  before. Reads are of what the process knows; with the default staleness of a second, one of all reads within a second asks
  what is new, at one GET more.
- A request that finds nothing, and a conditional one that is refused, count: stores bill them. One DELETE removes up to 1,000
  objects, and one LIST names up to 1,000.
- *Round trips* is how long it takes, in requests of which each begins when the one before has ended, where all take the same.
- Bytes are those of objects, without what HTTP and TLS add.
";

const SEALED: &str = "\
## Encrypted

The same, where everything is encrypted before it leaves the process: the requests are the same, and each object is longer by
what seals it.
";

/// What stands before the tables of encrypted databases.
pub(crate) fn in_the_clear(page: &str) -> &str {
    page.split_once(SEALED).map_or(page, |(before, _)| before.trim_end_matches('\n'))
}

pub(crate) fn page(clear: &[Chapter], sealed: Option<&[Chapter]>) -> String {
    let mut page = PREAMBLE.to_owned();
    chapters(&mut page, "##", clear);
    if let Some(sealed) = sealed {
        page += "\n";
        page += SEALED;
        chapters(&mut page, "###", sealed);
    }
    page
}

fn chapters(page: &mut String, level: &str, chapters: &[Chapter]) {
    for (title, rows) in chapters {
        write!(page, "\n{level} {title}\n\n").unwrap();
        page.push_str("| | PUT | GET | LIST | DELETE | round trips | bytes written | bytes read |\n");
        page.push_str("|---|--:|--:|--:|--:|--:|--:|--:|\n");
        rows.iter().for_each(|row| line(page, row));
    }
}

fn line(page: &mut String, row: &Row) {
    let [puts, gets, lists, deletes] = row.cost.requests().map(grouped);
    let (written, read) = (grouped(row.cost.written_bytes()), grouped(row.cost.read_bytes()));
    let trips = if row.is_waiting { String::new() } else { tenths(row.cost.round_trips()) };
    writeln!(page, "| {} | {puts} | {gets} | {lists} | {deletes} | {trips} | {written} | {read} |", row.what).unwrap();
}

/// With a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

fn tenths(number: f64) -> String {
    let tenths = (number * 10.0).round() as u64;
    if tenths.is_multiple_of(10) { grouped(tenths / 10) } else { format!("{}.{}", grouped(tenths / 10), tenths % 10) }
}

/// The lines in which what is written is not what was measured; nothing if all are the same.
pub(crate) fn differences(written: &str, measured: &str) -> String {
    let (mut told, mut written, mut measured) = (String::new(), written.lines(), measured.lines());
    loop {
        let (before, after) = (written.next(), measured.next());
        if before.is_none() && after.is_none() {
            return told;
        }
        if before != after {
            let lines = [("written: ", before), ("measured:", after)];
            for (name, line) in lines.into_iter().filter_map(|(name, line)| Some((name, line?))) {
                writeln!(told, "  {name} {line}").unwrap();
            }
        }
    }
}
