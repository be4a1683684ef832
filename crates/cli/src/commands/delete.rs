use bucketdb::{Error, Freshness};
use serde_json::json;

use super::table::existing_table;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, plural};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, table: &str, keys: &[String], output: &mut Output) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Change).await?;
    let (collection, _) = existing_table(&db, table).await?;
    let collection = collection.with_freshness(Freshness::Local);
    // A mistyped key is found before anything is removed.
    for key in keys {
        if collection.get_by_text(key).await?.is_none() {
            return Err(Error::NotFound { table: table.to_owned(), key: key.clone() }.into());
        }
    }
    let mut last = None;
    for key in keys {
        last = Some(collection.delete_by_text(key).await?);
    }
    db.close().await?;
    let deleted = keys.len() as u64;
    if output.is_json() {
        output.value(&json!({"table": table, "deleted": deleted, "seq": last.map(|commit| commit.seq.0)}))?;
    } else {
        output.line(format_args!("deleted {} from {table}", plural(deleted, "document")))?;
    }
    Ok(())
}
