//! A whole database as one stream of NDJSON, from which `import --database` makes another one.
//!
//! ```text
//! {"bucketdb_export":1,"position":17,"tables":["users"]}          the first line: form, moment, tables
//! {"table":"users","schema":{…},"indexes":[…],"ttl":null}         a table, before its documents; "earlier":[…] has the earlier
//!                                                                 versions of its schema, "accepts":2 the lowest of which
//!                                                                 documents may be written
//! {"table":"users","document":{…}}                                 a document
//! {"documents":1}                                                  the last line: how many there were
//! ```
//!
//! With what blobs hold, the form is 2, and a document that refers to blobs says what is in which file of the folder beside:
//!
//! ```text
//! {"table":"users","document":{…},"blobs":[{"blob":"blob:…","hash":"…","length":5,"file":"…"}]}
//! ```

use std::io::{self, Write};
use std::pin::pin;

use bucketdb::{Blob, Database, Schema, Snapshot, TableDefinition};
use futures::stream::StreamExt;
use serde_json::{Map, Value, json};

use super::blob_folder::{self, BlobFolder};
use crate::failure::Failure;

/// The form of the stream without what blobs hold, and with it: a program that reads the first one only would lose them.
pub(super) const FORM: u64 = 1;
pub(super) const FORM_WITH_BLOBS: u64 = 2;

/// All tables as they were at one moment.
#[derive(Debug)]
pub(super) struct DatabaseExport {
    db: Database,
    snapshot: Snapshot,
    /// Name and definition.
    tables: Vec<(String, Value)>,
}

impl DatabaseExport {
    pub(super) async fn new(db: &Database) -> Result<Self, Failure> {
        // From here on, nothing is asked for that could be of a later moment.
        let (snapshot, definitions) = db.snapshot_with_definitions().await?;
        let mut tables = Vec::new();
        for TableDefinition { name, schema, mut versions, accepts, indexes, ttl, .. } in definitions {
            check_steps(&snapshot, &schema).await?;
            let indexes: Vec<Value> =
                indexes.iter().map(|index| json!({"fields": index.fields, "unique": index.is_unique})).collect();
            versions.pop();
            let declared = |schema: &Schema| declared(schema).map_err(|error| unwritable(&name, &error.to_string()));
            let mut definition = json!({"table": name, "schema": declared(&schema)?, "indexes": indexes, "ttl": ttl});
            if let Some(entry) = definition.as_object_mut().filter(|_| !versions.is_empty()) {
                let earlier = versions.iter().map(declared).collect::<Result<Vec<Value>, Failure>>()?;
                entry.insert("earlier".to_owned(), earlier.into());
                entry.insert("accepts".to_owned(), accepts.into());
            }
            tables.push((name, definition));
        }
        Ok(Self { db: db.clone(), snapshot, tables })
    }

    /// The names of the tables.
    pub(super) fn names(&self) -> Vec<&str> {
        self.tables.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Writes all of it, and what blobs hold into the folder. Documents with blobs are refused if there is none: what they hold
    /// would be lost.
    pub(super) async fn write<W: Write>(
        &self,
        mut out: W,
        mut folder: Option<&mut BlobFolder>,
    ) -> Result<(u64, W), Failure> {
        let position = self.snapshot.position().0;
        let form = if folder.is_some() { FORM_WITH_BLOBS } else { FORM };
        let mut line = |value: &Value| -> Result<(), Failure> {
            serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
            Ok(out.write_all(b"\n")?)
        };
        line(&json!({"bucketdb_export": form, "position": position, "tables": self.names()}))?;
        let mut written = 0_u64;
        for (name, definition) in &self.tables {
            line(definition)?;
            let mut documents = pin!(self.snapshot.collection(name).query().stream().await?);
            while let Some(document) = documents.next().await {
                let document = document?;
                let blobs = blobs_of(&self.db, &document);
                if !blobs.is_empty() {
                    save(&self.db, folder.as_deref_mut(), name, &blobs).await?;
                }
                let mut entry = Map::new();
                entry.insert("table".to_owned(), name.as_str().into());
                entry.insert("document".to_owned(), document);
                if !blobs.is_empty() {
                    entry.insert("blobs".to_owned(), blobs.iter().map(blob_folder::describe).collect());
                }
                line(&Value::Object(entry))?;
                written += 1;
            }
        }
        line(&json!({"documents": written}))?;
        out.flush()?;
        Ok((written, out))
    }
}

/// What a version of a schema declares.
fn declared(schema: &Schema) -> serde_json::Result<Value> {
    let mut declared = serde_json::to_value(schema)?;
    if let Some(declared) = declared.as_object_mut() {
        // What counts is which there are now, and it follows.
        declared.insert("indexes".to_owned(), json!([]));
        declared.remove("ttl");
    }
    Ok(declared)
}

/// The blobs to which a document refers, wherever the text is.
pub(super) fn blobs_of(db: &Database, document: &Value) -> Vec<Blob> {
    if has_blob_text(document) { db.blobs().find_in(&document.to_string()) } else { Vec::new() }
}

/// Whether it is worth a search.
fn has_blob_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("blob:"),
        Value::Array(elements) => elements.iter().any(has_blob_text),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains("blob:") || has_blob_text(value)),
        _ => false,
    }
}

/// What a blob holds is not in its document, and another database does not have it.
pub(super) async fn save(
    db: &Database,
    folder: Option<&mut BlobFolder>,
    table: &str,
    blobs: &[Blob],
) -> Result<(), Failure> {
    let Some(folder) = folder else {
        let message = format!(
            "table {table} has documents with blobs, whose content is not part of the documents: say with --blobs FOLDER where \
             to write it"
        );
        return Err(Failure::new("unsupported", message).with("table", table));
    };
    folder.save(db, blobs).await.map_err(|failure| failure.about(&format!("table {table}")).with("table", table))
}

/// Documents that only a program makes ones of the newest version would be taken for such ones.
async fn check_steps(snapshot: &Snapshot, schema: &Schema) -> Result<(), Failure> {
    if schema.version() < 2 {
        return Ok(());
    }
    let migration = snapshot.migration(schema.table()).await?;
    let last_step = migration.versions.iter().filter(|version| version.has_step()).map(Schema::version).max();
    let is_behind = |version: &u32| last_step.is_some_and(|step| *version < step);
    if migration.documents.iter().any(|(version, documents)| is_behind(version) && *documents > 0) {
        let reason = "it has documents of earlier versions, which only a program can make ones of the newest: let it migrate \
                      them first";
        return Err(unwritable(schema.table(), reason));
    }
    Ok(())
}

fn unwritable(table: &str, reason: &str) -> Failure {
    Failure::new("unsupported", format!("table {table} cannot be exported: {reason}"))
}

#[cfg(test)]
mod tests {
    use bucketdb::{KeyType, MemoryDriver};

    use super::*;

    async fn open(store: &MemoryDriver) -> Database {
        Database::builder().driver(store.clone()).staleness(std::time::Duration::ZERO).open().await.unwrap()
    }

    /// A table that is created while others are exported is part of the export, or none of what was written later is.
    #[expect(clippy::disallowed_methods, reason = "another user's task")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn tables_and_documents_are_those_of_one_moment() {
        let store = MemoryDriver::new();
        let (writer, reader) = (open(&store).await, open(&store).await);
        let log = writer.create_collection(Schema::open("log", "id", KeyType::Integer)).await.unwrap();
        let writing = tokio::spawn(async move {
            for id in 1..=300 {
                let name = format!("t{id}");
                writer.create_collection(Schema::open(&name, "id", KeyType::Integer)).await.unwrap();
                log.insert(&json!({"id": id})).await.unwrap();
            }
        });
        while !writing.is_finished() {
            let export = DatabaseExport::new(&reader).await.unwrap();
            let (documents, _) = export.write(Vec::new(), None).await.unwrap();
            let created = export.names().len() as u64 - 1;
            assert!((documents..=documents + 1).contains(&created), "{created} tables, and {documents} documents");
        }
        writing.await.unwrap();
    }
}
