use std::collections::BTreeSet;

use bucketdb::{Collection, Database};
use serde_json::json;

use super::found::{Wanted, failure};
use super::table::existing_table;
use crate::arguments::{Delete, Global};
use crate::failure::Failure;
use crate::output::{Output, plural};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, options: &Delete, output: &mut Output) -> Result<(), Failure> {
    if options.keys.is_empty() && options.found.filters.is_empty() {
        return Err(Failure::usage("no document was named: give keys, or say with --where which documents to delete"));
    }
    if !options.keys.is_empty() && (options.found.limit.is_some() || options.found.in_pieces) {
        return Err(Failure::usage("--limit, --order and --in-pieces belong to --where, and keys were given"));
    }
    let wanted = Wanted::parse(&options.found)?;
    let (db, _) = session::open(global, Access::Change).await?;
    let table = &options.table;
    let (collection, _) = existing_table(&db, table).await?;
    let (deleted, report) = if options.keys.is_empty() {
        let deleted = wanted.apply(collection.query(), &options.found).delete().await.map_err(failure)?;
        (deleted, json!({"table": table, "deleted": deleted}))
    } else {
        by_key(&db, &collection, &options.keys).await?
    };
    db.close().await?;
    if output.is_json() {
        output.value(&report)?;
    } else {
        output.line(format_args!("deleted {} from {table}", plural(deleted, "document")))?;
    }
    Ok(())
}

/// All of them or, if one does not exist, none.
async fn by_key(db: &Database, collection: &Collection, keys: &[String]) -> Result<(u64, serde_json::Value), Failure> {
    let mut batch = db.batch();
    let distinct: BTreeSet<&String> = keys.iter().collect();
    for key in &distinct {
        batch.delete_from_by_text(collection, key)?;
    }
    let commit = batch.commit().await?;
    let deleted = distinct.len() as u64;
    Ok((deleted, json!({"table": collection.name(), "deleted": deleted, "seq": commit.seq.0})))
}
