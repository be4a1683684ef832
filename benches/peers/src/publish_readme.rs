//! The table of the README, which is between two comments there.

use std::path::Path;

use anyhow::{Context, Result};

use crate::publish::{node_value, number, of_requests};
use crate::results::Results;

const BEGIN: &str = "<!-- what it costs, written by `cargo xtask bench` -->\n";
const END: &str = "<!-- end of what it costs -->\n";

const NODE_PEERS: [&str; 2] = ["baerly-storage", "s3db.js"];

/// Operations as the tables name them, as the README does, and what is to be said of the figures of the peers for Node.js.
const OPERATIONS: [(&str, &str, [&str; 2]); 5] = [
    ("durable commit", "durable commit", [" (the 100th)", ""]),
    ("strict read, nothing new", "strict read, nothing new", [" (of 100 documents)", ""]),
    ("open after a clean close", "open after a clean close", ["", ""]),
    ("cold scan of 20000 rows", "cold scan of 20,000 rows", ["", ""]),
    ("idle hour", "an hour in which nobody asks", ["", ""]),
];

/// Writes the table anew.
pub(crate) fn write(all: &[Results], readme: &Path) -> Result<()> {
    let text = std::fs::read_to_string(readme)?;
    let (before, rest) = text.split_once(BEGIN).context("the README does not say where its table begins")?;
    let (_, after) = rest.split_once(END).context("the README does not say where its table ends")?;
    Ok(std::fs::write(readme, format!("{before}{BEGIN}{}{END}{after}", table(all)))?)
}

fn table(all: &[Results]) -> String {
    let dash = || "–".to_owned();
    let version = |peer: &str| {
        let version = all.iter().find(|results| results.peer == peer).map(|results| results.version.as_str());
        let parts: Vec<&str> = version.unwrap_or_default().split('.').take(2).collect();
        format!("{peer} {}", parts.join("."))
    };
    let mut rows = vec![
        [String::new(), "BucketDB".to_owned()]
            .into_iter()
            .chain(["SlateDB"].into_iter().chain(NODE_PEERS).map(version))
            .collect(),
        vec!["---".to_owned(); 5],
    ];
    for (what, told, remarks) in OPERATIONS {
        let of = |peer: &str| of_requests(all, peer).and_then(|results| results.value(what)).map_or_else(dash, number);
        let of_node = NODE_PEERS.into_iter().zip(remarks).map(|(peer, remark)| {
            node_value(all, peer, what).map_or_else(dash, |value| format!("{}{remark}", number(value)))
        });
        rows.push([told.to_owned(), of("BucketDB"), of("SlateDB")].into_iter().chain(of_node).collect());
    }
    rows.push(month(all));
    rows.into_iter().map(|row: Vec<String>| format!("| {} |\n", row.join(" | "))).collect()
}

fn month(all: &[Results]) -> Vec<String> {
    let usd = |value: Option<f64>| value.map_or("–".to_owned(), |usd| format!("{usd:.2} USD"));
    let bill = |peer: &str, variant: &str| {
        let of = all.iter().find(|results| results.peer == peer && results.workload == format!("month-{variant}"))?;
        of.row("bill: Amazon S3 Standard")?.number("requests")
    };
    let of_node = |peer: &str| {
        let of = all.iter().find(|results| results.peer == peer && results.workload == "month")?;
        of.rows.first()?.number("usd_on_s3_standard")
    };
    let [baerly, s3db] = NODE_PEERS.map(|peer| usd(of_node(peer)));
    vec![
        "10,000 reads and 500 writes a day of 1 GB, by two instances, in a month".to_owned(),
        format!("{}, with a disk cache {}", usd(bill("BucketDB", "single")), usd(bill("BucketDB", "single-disk"))),
        usd(bill("SlateDB", "single")),
        format!("{baerly}, as 1,000 collections"),
        format!("{s3db}, by key only"),
    ]
}
