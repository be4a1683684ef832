//! A whole database as one stream of NDJSON, from which `import --database` makes another one.
//!
//! ```text
//! {"bucketdb_export":1,"position":17,"tables":["users"]}          the first line: form, moment, tables
//! {"table":"users","schema":{…},"indexes":[…],"ttl":null}         a table, before its documents
//! {"table":"users","document":{…}}                                 a document
//! {"documents":1}                                                  the last line: how many there were
//! ```

use std::io::Write;
use std::pin::pin;

use bucketdb::{Blob, Database, DatabaseId, Schema, Snapshot};
use futures::stream::StreamExt;
use serde_json::{Map, Value, json};

use super::table::existing_table;
use crate::failure::Failure;

/// The form of the stream that this program writes and reads.
pub(super) const FORM: u64 = 1;

/// All tables as they were at one moment.
#[derive(Debug)]
pub(super) struct DatabaseExport {
    database: DatabaseId,
    snapshot: Snapshot,
    /// Name and definition.
    tables: Vec<(String, Value)>,
}

impl DatabaseExport {
    pub(super) async fn new(db: &Database) -> Result<Self, Failure> {
        let stats = db.stats()?;
        let mut tables = Vec::new();
        for name in stats.tables.into_iter().map(|table| table.name) {
            let (collection, schema) = existing_table(db, &name).await?;
            check_steps(db, &schema).await?;
            let indexes: Vec<Value> = collection
                .indexes()?
                .iter()
                .map(|index| json!({"fields": index.fields, "unique": index.is_unique}))
                .collect();
            let mut declared = serde_json::to_value(&schema).map_err(|error| unwritable(&name, &error.to_string()))?;
            if let Some(declared) = declared.as_object_mut() {
                // What counts is which there are now, and it follows.
                declared.insert("indexes".to_owned(), json!([]));
                declared.remove("ttl");
            }
            let definition = json!({"table": name, "schema": declared, "indexes": indexes, "ttl": db.ttl(&name)?});
            tables.push((name, definition));
        }
        Ok(Self { database: stats.database, snapshot: db.snapshot().await?, tables })
    }

    /// The names of the tables.
    pub(super) fn names(&self) -> Vec<&str> {
        self.tables.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) async fn write<W: Write>(&self, mut out: W) -> Result<(u64, W), Failure> {
        let position = self.snapshot.position().0;
        let mut line = |value: &Value| -> Result<(), Failure> {
            serde_json::to_writer(&mut out, value).map_err(std::io::Error::from)?;
            Ok(out.write_all(b"\n")?)
        };
        line(&json!({"bucketdb_export": FORM, "position": position, "tables": self.names()}))?;
        let mut written = 0_u64;
        for (name, definition) in &self.tables {
            line(definition)?;
            let mut documents = pin!(self.snapshot.collection(name).query().stream().await?);
            while let Some(document) = documents.next().await {
                let document = document?;
                self.refuse_blobs(name, &document)?;
                let mut entry = Map::new();
                entry.insert("table".to_owned(), name.as_str().into());
                entry.insert("document".to_owned(), document);
                line(&Value::Object(entry))?;
                written += 1;
            }
        }
        line(&json!({"documents": written}))?;
        out.flush()?;
        Ok((written, out))
    }

    /// What a blob holds is not in its document, and another database does not have it.
    fn refuse_blobs(&self, table: &str, document: &Value) -> Result<(), Failure> {
        if !self.has_blob(document) {
            return Ok(());
        }
        let message = format!(
            "table {table} has documents with blobs, whose content is not part of an export; get it with `blob get`, and \
             export the tables one by one"
        );
        Err(Failure::new("unsupported", message).with("table", table))
    }

    fn has_blob(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => text.parse::<Blob>().is_ok_and(|blob| blob.is_of(self.database)),
            Value::Array(elements) => elements.iter().any(|element| self.has_blob(element)),
            Value::Object(fields) => fields.values().any(|field| self.has_blob(field)),
            _ => false,
        }
    }
}

/// Documents that only a program makes ones of the newest version would be taken for such ones.
async fn check_steps(db: &Database, schema: &Schema) -> Result<(), Failure> {
    if schema.version() < 2 {
        return Ok(());
    }
    let migration = db.migration(schema.table()).await?;
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
