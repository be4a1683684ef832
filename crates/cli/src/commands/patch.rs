use serde_json::json;

use super::table::existing_table;
use super::update::parse_patch;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{self, Access};

pub(super) async fn run(
    global: &Global,
    table: &str,
    key: &str,
    patch: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let patch = parse_patch(patch)?;
    let (db, _) = session::open(global, Access::Change).await?;
    let (collection, _) = existing_table(&db, table).await?;
    let document = collection.patch_by_text(key, &patch).await?;
    db.close().await?;
    if output.is_json() {
        output.value(&json!({"table": table, "document": document}))?;
    } else {
        output.line(format_args!("patched {key} in {table}"))?;
    }
    Ok(())
}
