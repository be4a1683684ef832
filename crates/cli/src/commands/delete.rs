use std::collections::BTreeSet;

use serde_json::json;

use super::table::existing_table;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, plural};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, table: &str, keys: &[String], output: &mut Output) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Change).await?;
    let (collection, _) = existing_table(&db, table).await?;
    let mut batch = db.batch();
    let distinct: BTreeSet<&String> = keys.iter().collect();
    for key in &distinct {
        batch.delete_from_by_text(&collection, key)?;
    }
    let commit = batch.commit().await?;
    db.close().await?;
    let deleted = distinct.len() as u64;
    if output.is_json() {
        output.value(&json!({"table": table, "deleted": deleted, "seq": commit.seq.0}))?;
    } else {
        output.line(format_args!("deleted {} from {table}", plural(deleted, "document")))?;
    }
    Ok(())
}
