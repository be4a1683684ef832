use serde_json::{Value, json};

use super::table::{existing_table, key_names};
use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, document_count, stored_size, table};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Read).await?;
    let mut found = Vec::new();
    for entry in db.stats()?.tables {
        let (_, schema) = existing_table(&db, &entry.name).await?;
        found.push((entry, key_names(&schema)));
    }
    if output.is_json() {
        let rows = found.iter().map(|(entry, key)| {
            json!({
                "name": entry.name,
                "documents": entry.stats.documents,
                "bytes": entry.stats.size_bytes,
                "exact": entry.stats.is_exact,
                "schema_version": entry.schema_version,
                "key": key,
            })
        });
        return Ok(output.value(&rows.collect::<Value>())?);
    }
    if found.is_empty() {
        return Ok(output.line("no tables")?);
    }
    let rows = found.into_iter().map(|(entry, key)| {
        let version = entry.schema_version.to_string();
        let (documents, size) = (document_count(&entry.stats), stored_size(&entry.stats));
        vec![entry.name, documents, size, version, key.join(", ")]
    });
    let shown = table(&["table", "#documents", "#bytes", "#schema version", "key"], rows, output.width());
    Ok(output.line(shown)?)
}
