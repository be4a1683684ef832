use std::error::Error;

use bucketdb_system_tests::{Entry, Line};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{Arguments, say, with_sources};

/// Opens the database at the first line, and inserts an entry for each further line until there are no more. A failed
/// insertion is told, and is no reason to stop: what the ones after it say is of interest.
pub(crate) async fn insert(arguments: &Arguments, worker: u32) -> Result<(), Box<dyn Error>> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    if orders.next_line().await?.is_none() {
        return Ok(());
    }
    let db = arguments.open().await?;
    let entries = db.table::<Entry>().await?;
    say(&Line::Opened(db.stats()?.database.to_string()))?;
    while let Some(id) = orders.next_line().await? {
        let outcome = entries.insert(&Entry { id: id.clone(), worker }).await;
        say(&match outcome {
            Ok(commit) => Line::Inserted { id, position: commit.seq.0, session: commit.id.session.to_string() },
            Err(error) => Line::Failed { id, reason: with_sources(&error) },
        })?;
    }
    db.close().await?;
    Ok(())
}
