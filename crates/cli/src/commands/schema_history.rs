//! The versions of a table's schema, and how far its documents have come to the newest.

use std::collections::BTreeMap;

use bucketdb::{Environment, Field, Migration, Schema};
use serde_json::{Value, json};

use super::table::existing_table;
use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, count, duration, message_progress, plural, requests_text, table};
use crate::session::{self, Access};

/// Shows them.
pub(super) async fn show(global: &Global, name: &str, output: &mut Output) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Read).await?;
    existing_table(&db, name).await?;
    let progress = message_progress();
    progress.set_message("counting the documents of each version");
    let migration = db.migration(name).await;
    progress.finish_and_clear();
    let migration = migration?;
    let documents = |schema: &Schema| migration.documents.get(&schema.version()).copied().unwrap_or_default();
    let changes = changes(&migration.versions);
    let versions = || migration.versions.iter().zip(&changes);
    if output.is_json() {
        let version = |(schema, changes): (&Schema, &Vec<String>)| {
            json!({
                "version": schema.version(),
                "changes": changes,
                "step": schema.has_step(),
                "documents": documents(schema),
            })
        };
        return Ok(output.value(&json!({
            "table": name,
            "versions": versions().map(version).collect::<Value>(),
            "accepts": migration.accepts,
            "finished": migration.is_finished(),
        }))?);
    }
    let rows = versions().flat_map(|(schema, changes)| {
        let first = [schema.version().to_string(), count(documents(schema))];
        let others = std::iter::repeat([String::new(), String::new()]);
        let changes = if changes.is_empty() { vec![String::new()] } else { changes.clone() };
        std::iter::once(first)
            .chain(others)
            .zip(changes)
            .map(|([version, documents], change)| vec![version, documents, change])
    });
    output.line(table(&["version", "documents", "change"], rows, output.width()))?;
    Ok(output.line(format_args!("{}", state(&migration)))?)
}

fn state(migration: &Migration) -> String {
    let newest = migration.versions.last().map_or(0, Schema::version);
    match (migration.is_finished(), migration.accepts) {
        (true, 0) => "there was nothing to migrate yet".to_owned(),
        (true, accepts) => {
            format!("all documents are of version {newest}; programs below version {accepts} are refused")
        }
        (false, accepts) if accepts == newest => {
            format!(
                "being migrated to version {newest}: programs below it are refused, and documents are written again"
            )
        }
        (false, _) => {
            format!("programs of all versions read and write; `--finish` ends that in favour of version {newest}")
        }
    }
}

/// What each version is to the one before it.
fn changes(versions: &[Schema]) -> Vec<Vec<String>> {
    let mut before: Option<&Schema> = None;
    let mut all = Vec::new();
    for schema in versions {
        all.push(changes_of(before, schema));
        before = Some(schema);
    }
    all
}

fn changes_of(before: Option<&Schema>, schema: &Schema) -> Vec<String> {
    let mut changes = Vec::new();
    let mut gone: BTreeMap<&str, &Field> =
        before.iter().flat_map(|before| before.fields()).map(|field| (field.name.as_str(), field)).collect();
    if schema.has_step() {
        changes.push("a program's own step makes documents of the earlier ones".to_owned());
    }
    for field in schema.fields() {
        let (name, holds) = (&field.name, field.field_type);
        let default = field.default.as_ref().map(|value| format!(", {} where it is missing", value.to_value()));
        let default = default.unwrap_or_default();
        let earlier = gone.remove(name.as_str());
        let renamed = field.renamed_from.as_deref().filter(|_| earlier.is_none());
        let renamed = renamed.and_then(|from| gone.remove(from));
        match (earlier, renamed) {
            (Some(earlier), _) if earlier.field_type == holds => {}
            (Some(earlier), _) => changes.push(format!("{name} {holds}, was {}", earlier.field_type)),
            (None, Some(earlier)) => {
                changes.push(format!("{name} {holds}, was {} {}", earlier.name, earlier.field_type));
            }
            (None, None) => changes.push(format!("+ {name} {holds}{default}")),
        }
    }
    let known = before.map(Schema::nested).unwrap_or_default();
    let nested = schema.nested().iter().filter(|nested| !known.contains(nested));
    changes.extend(nested.map(|nested| format!("{} compares as {}", nested.path, nested.field_type)));
    for name in gone.keys() {
        let removed = schema.removed().iter().find(|removed| removed.name == **name);
        let value = removed.and_then(|removed| removed.value.as_ref());
        let value = value.map(|value| format!(", {} to earlier programs", value.to_value()));
        changes.push(format!("- {name}{}", value.unwrap_or_default()));
    }
    changes
}

/// Makes all documents ones of the newest version.
pub(super) async fn finish(global: &Global, name: &str, output: &mut Output) -> Result<(), Failure> {
    let (db, store) = session::open(global, Access::Change).await?;
    let (_, schema) = existing_table(&db, name).await?;
    let (started, before) = (store.env.monotonic(), store.meter.usage());
    let progress = message_progress();
    progress.set_message("looking for documents of earlier versions");
    let outcome = db.finish_migration(name, |done| {
        let (documents, rewritten) = (plural(done.documents, "document"), count(done.rewritten));
        progress.set_message(format!("{documents} read, {rewritten} written again"));
    });
    let outcome = outcome.await;
    progress.finish_and_clear();
    let done = outcome?;
    db.close().await?;
    let (took, used) = (store.env.monotonic().saturating_sub(started), store.used_since(&before));
    if output.is_json() {
        return Ok(output.value(&json!({
            "table": name,
            "version": schema.version(),
            "documents": done.documents,
            "rewritten": done.rewritten,
            "seconds": took.as_secs_f64(),
            "requests": used.total_requests(),
        }))?);
    }
    let (version, read) = (schema.version(), plural(done.documents, "document"));
    output
        .line(format_args!("{name} is of version {version}: {read} read, {} written again", count(done.rewritten)))?;
    Ok(output.line(format_args!("{}, {}", duration(took), requests_text(&used)))?)
}
