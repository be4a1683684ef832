//! The schema that the documents of a table suggest.

use bucketdb::Presence;
use serde_json::{Value, json};

use super::table::existing_table;
use crate::arguments::{Global, Schema};
use crate::failure::Failure;
use crate::output::{Output, count, plural, table};
use crate::session::{self, Access};

/// Shows it, or registers it.
pub(super) async fn run(global: &Global, asked: &Schema, output: &mut Output) -> Result<(), Failure> {
    let access = if asked.apply { Access::Change } else { Access::Read };
    let (db, _) = session::open(global, access).await?;
    let (collection, schema) = existing_table(&db, &asked.table).await?;
    let inferred = collection.infer_schema(asked.sample).await?;
    let is_new = inferred.schema.version() > schema.version();
    let is_registered = asked.apply && is_new;
    if is_registered {
        db.create_collection(inferred.schema.clone()).await?;
        db.close().await?;
    }
    let fields = || inferred.fields.iter().zip(inferred.schema.fields());
    let is_optional = |presence: Presence| presence == Presence::Optional;
    if output.is_json() {
        let fields = fields().map(|(found, field)| {
            json!({
                "name": found.name,
                "type": found.field_type.to_string(),
                "optional": is_optional(field.presence),
                "documents": found.documents,
                "declared": found.is_declared,
            })
        });
        return Ok(output.value(&json!({
            "table": asked.table,
            "version": inferred.schema.version(),
            "documents": inferred.documents,
            "fields": fields.collect::<Value>(),
            "registered": is_registered,
        }))?);
    }
    let rows = fields().map(|(found, field)| {
        let optional = if is_optional(field.presence) { "yes" } else { "" };
        let declared = if found.is_declared { "yes" } else { "" };
        let holds = found.field_type.to_string();
        vec![found.name.clone(), holds, optional.to_owned(), count(found.documents), declared.to_owned()]
    });
    output.line(table(&["field", "type", "optional", "documents", "declared"], rows, output.width()))?;
    let (looked_at, version) = (plural(inferred.documents, "document"), inferred.schema.version());
    let outcome = match () {
        () if is_registered => format!("registered as version {version}"),
        () if is_new => format!("`--apply` registers it as version {version}"),
        () => format!("version {version} declares all of it"),
    };
    Ok(output.line(format_args!("of {looked_at}; {outcome}"))?)
}
