//! What each operation costs in requests and bytes, exactly, as docs/costs.md says it to users: a difference fails, in either
//! direction. Nothing but the code changes a figure: time is virtual, chance comes from seeds, the store is memory, and one
//! thread does it all. `BUCKETDB_WRITE_COSTS=1` writes the document anew.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it fails")]

mod document;
mod environment;
mod keeping;
mod opening;
mod person;
mod reading;
mod store;
mod waiting;
mod world;
mod writing;

use crate::document::{Chapter, differences, in_the_clear, page};
use crate::person::loaded;
use crate::world::World;

/// Where the figures are kept.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/costs.md");

/// All that is measured, on databases that are encrypted or not.
fn measure(is_encrypted: bool) -> Vec<Chapter> {
    let (load, base) = loaded(&World::new(is_encrypted));
    vec![
        ("Opening and closing", opening::rows(&base)),
        ("Reading", reading::rows(&base)),
        ("Writing", [writing::rows(&base), vec![load]].concat()),
        ("Snapshots, branches and blobs", keeping::rows(&base)),
        ("Maintenance and waiting", waiting::rows(&base)),
    ]
}

fn requests(chapters: &[Chapter]) -> Vec<(&str, [u64; 4])> {
    let rows = chapters.iter().flat_map(|(_, rows)| rows);
    rows.map(|row| (row.what, row.cost.requests())).collect()
}

#[test]
fn operations_cost_what_the_documentation_says() {
    let (clear, sealed) = std::thread::scope(|scope| {
        let sealed = cfg!(feature = "encryption").then(|| scope.spawn(|| measure(true)));
        (measure(false), sealed.map(|sealed| sealed.join().unwrap()))
    });
    if let Some(sealed) = &sealed {
        assert_eq!(
            requests(sealed),
            requests(&clear),
            "encryption changes requests, and the page says that it does not"
        );
    }
    let measured = page(&clear, sealed.as_deref());
    if std::env::var_os("BUCKETDB_WRITE_COSTS").is_some() {
        assert!(sealed.is_some(), "the page tells of encrypted databases too: write it with the feature `encryption`");
        std::fs::write(PAGE, measured).unwrap();
        return;
    }
    let written = std::fs::read_to_string(PAGE).unwrap();
    let written = if sealed.is_some() { written.as_str() } else { in_the_clear(&written) };
    let differences = differences(written, &measured);
    assert!(
        differences.is_empty(),
        "docs/costs.md is not what was measured:\n{differences}\nIf that is meant, `BUCKETDB_WRITE_COSTS=1 cargo test -p \
         bucketdb --test costs` writes it anew; say in the commit why it costs more or less."
    );
}

#[test]
fn a_figure_that_changed_is_told_with_both_lines() {
    let written = "# Title\n| open | 1 | 2 |\n| close | 1 | 0 |\n";
    assert_eq!(differences(written, written), "");
    let measured = "# Title\n| open | 1 | 3 |\n| close | 1 | 0 |\n| more | 0 | 0 |\n";
    let told = differences(written, measured);
    assert_eq!(told, "  written:  | open | 1 | 2 |\n  measured: | open | 1 | 3 |\n  measured: | more | 0 | 0 |\n");
}
