use serde_json::json;

use super::table::existing_table;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, table: &str, field: Option<&str>, output: &mut Output) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Change).await?;
    existing_table(&db, table).await?;
    db.set_ttl(table, field).await?;
    db.close().await?;
    if output.is_json() {
        return Ok(output.value(&json!({"table": table, "ttl": field}))?);
    }
    match field {
        Some(field) => output.line(format_args!("documents of {table} end when {field} says so"))?,
        None => output.line(format_args!("documents of {table} do not end"))?,
    }
    Ok(())
}
