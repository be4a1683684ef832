use std::time::Duration;

use bucketdb::{Database, Environment};
use futures::future::{Either, select};
use serde_json::json;

use crate::arguments::{Global, Index};
use crate::failure::Failure;
use crate::output::{Output, duration, message_progress, requests_text};
use crate::session::{self, Access};

const MESSAGE: &str = "putting the documents that are there into it";

/// How often it is shown how far it is.
const SHOWN_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn run(global: &Global, action: &Index, output: &mut Output) -> Result<(), Failure> {
    let (db, store) = session::open(global, Access::Change).await?;
    let (started, before) = (store.env.monotonic(), store.meter.usage());
    let (table, fields, done) = match action {
        Index::Create { table, fields, unique } => {
            match unique {
                true => db.create_unique_index(table, fields).await?,
                false => db.create_index(table, fields).await?,
            }
            let progress = message_progress();
            progress.set_message(MESSAGE);
            let built = {
                let mut building = std::pin::pin!(db.build_indexes());
                loop {
                    match select(building.as_mut(), store.env.sleep(SHOWN_EVERY)).await {
                        Either::Left((built, _)) => break built,
                        Either::Right(_) => progress.set_message(message(&db, table)),
                    }
                }
            };
            progress.finish_and_clear();
            built?;
            (table, fields, "created")
        }
        Index::Drop { table, fields } => {
            db.drop_index(table, fields).await?;
            (table, fields, "dropped")
        }
    };
    db.close().await?;
    let (took, used) = (store.env.monotonic().saturating_sub(started), store.used_since(&before));
    if output.is_json() {
        return Ok(output.value(&json!({
            "table": table,
            "index": fields,
            "done": done,
            "seconds": took.as_secs_f64(),
            "requests": used.total_requests(),
        }))?);
    }
    output.line(format_args!("{done} the index of {table} on {fields}"))?;
    Ok(output.line(format_args!("{}, {}", duration(took), requests_text(&used)))?)
}

/// How far the first index of a table is that is not whole.
fn message(db: &Database, table: &str) -> String {
    let indexes = db.indexes(table).unwrap_or_default();
    match indexes.iter().find_map(|index| index.built) {
        Some(built) => format!("{MESSAGE}: {:.0} %", 100.0 * built.share()),
        None => MESSAGE.to_owned(),
    }
}
