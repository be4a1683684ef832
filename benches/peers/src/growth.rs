//! What opening, reading and committing cost in requests with ten times as many documents each time: exact, in virtual time.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::latency::Latency;
use crate::ledger::{Ledger, Totals};
use crate::record::{Record, key};
use crate::requests::bucket::Bucket;
use crate::requests::slate::Slate;
use crate::requests::{Cost, Peer, cost};
use crate::results::{Results, Row, row};

const SMALLEST: u32 = 4;

/// Its compaction writes everything several times over, which for ten million was not tried.
const LARGEST_OF_SLATEDB: u32 = 6;

/// What does something now and then by itself has it in some of them.
const COMMITS: u32 = 20;

/// Up to ten to the power of `largest` documents.
pub fn run(largest: u32, folder: &Path) -> Result<()> {
    keep::<Bucket>(largest, folder)?;
    keep::<Slate>(largest.min(LARGEST_OF_SLATEDB), folder)
}

fn keep<P: Peer>(largest: u32, folder: &Path) -> Result<()> {
    let mut results = Results::new(P::PEER, P::PACKAGE, "files, 30 ms PUT, 15 ms GET", "growth", json!({}));
    for exponent in SMALLEST..=largest {
        results.rows.extend(crate::virtual_time::run(measure::<P>(10u64.pow(exponent)))?);
        eprintln!("{}: 10^{exponent} documents are measured", P::PEER);
    }
    results.keep(folder)
}

async fn measure<P: Peer>(documents: u64) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let store = P::store_in(folder.path())?;
    P::load(&store, &Ledger::new(Latency::NONE), documents).await?;
    let add = |rows: &mut Vec<Row>, operation: &str, Cost { totals, .. }: &Cost| {
        let row = row(format!("{operation}, {documents} documents"), "requests", totals.billed());
        let row = row.with("documents", documents).with("operation", operation);
        rows.push(row.with("bytes_down", totals.read_bytes).with("bytes_up", totals.written_bytes));
    };
    let (mut rows, middle) = (Vec::new(), documents / 2);
    let ledger = Ledger::new(Latency::FIXED);
    let (db, used) = cost(&ledger, P::open(&store, &ledger)).await?;
    add(&mut rows, "open", &used);
    let (found, used) = cost(&ledger, db.get(&key(middle))).await?;
    ensure!(found == Some(Record::new(middle, 0)), "the document in the middle is another one");
    add(&mut rows, "first point read", &used);
    let (found, used) = cost(&ledger, async { db.strict_get(&key(middle)).await.transpose() }).await?;
    if let Some(found) = found {
        ensure!(found == Some(Record::new(middle, 0)), "a strict read finds another document");
        add(&mut rows, "strict read", &used);
    }
    let (_, used) = cost(&ledger, async {
        for revision in 1..=COMMITS {
            db.put(Record::new(middle, revision.into())).await?;
        }
        Ok(())
    })
    .await?;
    let totals: Totals = used.totals.times(1.0 / f64::from(COMMITS));
    add(&mut rows, "commit", &Cost { totals, ..used });
    for (operation, used) in db.copies(&ledger).await? {
        add(&mut rows, operation, &used);
    }
    db.close().await?;
    Ok(rows)
}
