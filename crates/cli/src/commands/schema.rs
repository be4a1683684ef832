use bucketdb::{IndexInfo, IndexProgress};
use serde_json::{Value, json};

use super::table::existing_table;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, name: &str, output: &mut Output) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Read).await?;
    let (collection, schema) = existing_table(&db, name).await?;
    let (indexes, ttl) = (collection.indexes()?, db.ttl(name)?);
    let key: Vec<(&str, String)> =
        schema.key().iter().map(|field| (field.name.as_str(), field.key_type.to_string())).collect();
    if output.is_json() {
        let key: Vec<Value> = key.iter().map(|(name, holds)| json!({"field": name, "type": holds})).collect();
        let fields: Vec<Value> = schema
            .fields()
            .iter()
            .map(|field| json!({"name": field.name, "type": field.field_type.to_string()}))
            .collect();
        let nested: Vec<Value> = schema
            .nested()
            .iter()
            .map(|nested| json!({"path": nested.path, "type": nested.field_type.to_string()}))
            .collect();
        return Ok(output.value(&json!({
            "table": name,
            "version": schema.version(),
            "key": key,
            "fields": fields,
            "nested": nested,
            "ttl": ttl,
            "indexes": indexes.iter().map(index_value).collect::<Value>(),
        }))?);
    }
    let version = match schema.version() {
        0 => "any fields".to_owned(),
        version => format!("version {version}"),
    };
    let key: Vec<String> = key.into_iter().map(|(name, holds)| format!("{name} {holds}")).collect();
    output.line(format_args!("table {name}, {version}, key ({})", key.join(", ")))?;
    if let Some(field) = &ttl {
        output.line(format_args!("documents end when {field} says so, in seconds since 1970"))?;
    }
    if !schema.fields().is_empty() {
        let fields = schema.fields().iter().map(|field| vec![field.name.clone(), field.field_type.to_string()]);
        let nested = schema.nested().iter().map(|nested| vec![nested.path.clone(), nested.field_type.to_string()]);
        let rows = fields.chain(nested);
        output.line(table(&["field", "type"], rows, output.width()))?;
    }
    if !indexes.is_empty() {
        let rows = indexes.iter().map(|index| {
            let kind = if index.is_unique { "unique" } else { "" };
            vec![index.fields.clone(), kind.to_owned(), state(index)]
        });
        output.line(table(&["index", "kind", "state"], rows, output.width()))?;
    }
    Ok(())
}

fn index_value(index: &IndexInfo) -> Value {
    json!({
        "fields": index.fields,
        "unique": index.is_unique,
        "usable": index.progress == IndexProgress::Usable,
        "state": state(index),
        "built": index.built.map(|built| json!({"documents": built.documents, "of": built.of})),
    })
}

fn state(index: &IndexInfo) -> String {
    match (&index.progress, &index.duplicate) {
        (IndexProgress::Usable, Some((first, second))) => {
            format!("usable; documents {first} and {second} have the same")
        }
        (IndexProgress::Usable, None) => "usable".to_owned(),
        (IndexProgress::Building(Some(key)), _) => match index.built {
            Some(built) => format!("being built, {:.0} %, up to key {key}", 100.0 * built.share()),
            None => format!("being built, up to key {key}"),
        },
        (_, _) => "to be built".to_owned(),
    }
}
