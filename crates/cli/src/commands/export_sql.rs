use std::io::Write;
use std::pin::pin;

use bucketdb::{Database, Error, FieldType, Order, Snapshot, TableDefinition};
use futures::stream::StreamExt;
use serde_json::Value;

use super::blob_folder::{self, BlobFolder};
use super::export_database::{blobs_of, save};
use super::table::key_names;
use crate::failure::Failure;
use crate::sql::{Declared, Dialect, Profiles, Script, TablePlan, WantedIndex};

/// Tables as they were at one moment.
#[derive(Debug)]
pub(super) struct SqlExport {
    db: Database,
    dialect: Dialect,
    snapshot: Snapshot,
    tables: Vec<TableDefinition>,
    /// Whether it is all that the database has.
    is_whole: bool,
}

impl SqlExport {
    /// Of these tables, or of all.
    pub(super) async fn new(db: &Database, names: &[String], dialect: Dialect) -> Result<Self, Failure> {
        let (snapshot, definitions) = db.snapshot_with_definitions().await?;
        let tables = match names {
            [] => definitions,
            names => {
                let find = |name: &String| definitions.iter().find(|table| table.name == *name).cloned();
                let wanted =
                    names.iter().map(|name| find(name).ok_or_else(|| Error::UnknownTable { table: name.clone() }));
                wanted.collect::<Result<_, _>>()?
            }
        };
        Ok(Self { db: db.clone(), dialect, snapshot, tables, is_whole: names.is_empty() })
    }

    /// The names of the tables.
    pub(super) fn names(&self) -> Vec<&str> {
        self.tables.iter().map(|table| table.name.as_str()).collect()
    }

    /// Reads every table twice: first for what its columns hold, then for its rows. What blobs hold goes into the folder, and a
    /// table says which file has it.
    pub(super) async fn write<W: Write>(
        &self,
        out: W,
        mut folder: Option<&mut BlobFolder>,
    ) -> Result<(u64, W), Failure> {
        let about = format!("Tables of a BucketDB database, as of position {} of its log.", self.snapshot.position());
        let mut script = Script::new(self.dialect, out, &about)?;
        let mut of_blobs = match folder {
            Some(_) => Some(self.blob_table(&mut script)?),
            None => None,
        };
        let mut blobs_written = 0_u64;
        for table in &self.tables {
            let profiles = self.profiles(table).await?;
            let planned = script.table(&table.name, &profiles, &key_names(&table.schema), &wanted_indexes(table))?;
            let mut plan = planned.map_err(|reason| Failure::new("unsupported", reason))?;
            let mut documents = pin!(self.snapshot.collection(&table.name).query().stream().await?);
            while let Some(document) = documents.next().await {
                let document = document?;
                // Tables by themselves are exported as they are, like those in other formats.
                if folder.is_some() || self.is_whole {
                    let blobs = blobs_of(&self.db, &document);
                    if !blobs.is_empty() {
                        save(&self.db, folder.as_deref_mut(), &table.name, &blobs).await?;
                    }
                    for blob in &blobs {
                        if let (Some(of_blobs), Value::Object(row)) = (&mut of_blobs, blob_folder::describe(blob)) {
                            script.row(of_blobs, &row)?;
                            blobs_written += 1;
                        }
                    }
                }
                if let Value::Object(document) = document {
                    script.row(&mut plan, &document)?;
                }
            }
            script.end_table(plan)?;
        }
        if let Some(of_blobs) = of_blobs {
            script.end_table(of_blobs)?;
        }
        let (rows, out) = script.finish()?;
        Ok((rows - blobs_written, out))
    }

    /// The table that says of each blob, by the text that documents have, in which file its content is. Not under a name that
    /// another table has.
    fn blob_table<W: Write>(&self, script: &mut Script<W>) -> Result<TablePlan, Failure> {
        let mut profiles = Profiles::default();
        for (name, field_type) in [
            ("blob", FieldType::Blob),
            ("hash", FieldType::Text),
            ("length", FieldType::I64),
            ("file", FieldType::Text),
        ] {
            profiles.expect(name, Declared::Field(field_type));
        }
        let name = script.free_name("blobs", &self.names());
        let planned = script.table(&name, &profiles, &["blob".to_owned()], &[])?;
        planned.map_err(|reason| Failure::new("unsupported", reason))
    }

    async fn profiles(&self, table: &TableDefinition) -> Result<Profiles, Failure> {
        let mut profiles = Profiles::default();
        for key in table.schema.key() {
            profiles.expect(&key.name, Declared::Key(key.key_type));
        }
        let is_key = |name: &str| table.schema.key().iter().any(|key| key.name == name);
        for field in table.schema.fields().iter().filter(|field| !is_key(&field.name)) {
            profiles.expect(&field.name, Declared::Field(field.field_type));
        }
        let mut documents = pin!(self.snapshot.collection(&table.name).query().stream().await?);
        while let Some(document) = documents.next().await {
            let Value::Object(document) = document? else { continue };
            if let Some(field) = profiles.add(&document)
                && self.dialect == Dialect::Postgresql
            {
                let key: Value = table.schema.key().iter().map(|key| document.get(&key.name).cloned()).collect();
                let message = format!(
                    "table {}, document {key}: {field} has a text with a NUL character, which PostgreSQL cannot store; \
                     change the document, or export to another format",
                    table.name
                );
                return Err(Failure::new("unsupported", message));
            }
        }
        Ok(profiles)
    }
}

fn wanted_indexes(table: &TableDefinition) -> Vec<WantedIndex> {
    let wanted = table.indexes.iter().filter_map(|index| {
        let order: Order = index.fields.parse().ok()?;
        Some(WantedIndex { order, is_unique: index.is_unique && index.duplicate.is_none() })
    });
    wanted.collect()
}
