use serde_json::{Value, json};

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::session::{self, Access, Store};

pub(super) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    session::check_options(global)?;
    let store = Store::of(global, Access::Read).await?;
    let found = store.builder(global, Access::Read)?.list_databases().await?;
    if output.is_json() {
        let rows = found.iter().map(|found| {
            let id = found.database.map(|id| id.to_string());
            json!({"name": found.name, "prefix": found.prefix, "id": id, "dropped": found.is_dropped})
        });
        return Ok(output.value(&rows.collect::<Value>())?);
    }
    if found.is_empty() {
        return Ok(output.line("no databases")?);
    }
    let rows = found.into_iter().map(|found| {
        let id = found.database.map_or_else(|| "cannot be read".to_owned(), |id| id.to_string());
        let state = if found.is_dropped { "dropped" } else { "" };
        vec![found.prefix, found.name, id, state.to_owned()]
    });
    let shown = table(&["prefix", "name", "id", "state"], rows, output.width());
    Ok(output.line(shown)?)
}
