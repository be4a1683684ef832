//! What the tables of a database are declared as, beside what is in them at the same moment.

use bucketdb_documents::{Documents, Schema, TableEntry};

use crate::indexes::info;
use crate::{Database, IndexInfo, Result, Snapshot};

/// What a table was declared as at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableDefinition {
    /// Its name.
    pub name: String,
    /// The newest version of its schema.
    pub schema: Schema,
    /// Every version of its schema, oldest first: names and types of fields that only an earlier one declares hold on.
    pub versions: Vec<Schema>,
    /// The lowest version of which documents may still be written; 0 if nothing was [migrated](Database::finish_migration) yet.
    pub accepts: u32,
    /// Its indexes, oldest first.
    pub indexes: Vec<IndexInfo>,
    /// The field that holds when its documents end, if they do.
    pub ttl: Option<String>,
}

impl TableDefinition {
    fn of(documents: &Documents, entry: &TableEntry) -> Self {
        Self {
            name: entry.schema().table().to_owned(),
            schema: entry.schema().clone(),
            versions: entry.versions().to_vec(),
            accepts: entry.migrated().accepts,
            indexes: entry.indexes().iter().map(|index| info(documents, entry, index)).collect(),
            ttl: entry.ttl().map(|ttl| ttl.field()),
        }
    }
}

impl Database {
    /// As [`snapshot`](Self::snapshot), with what all tables are declared as at that very moment, in the order of their names:
    /// whatever is registered meanwhile, the two belong together.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub async fn snapshot_with_definitions(&self) -> Result<(Snapshot, Vec<TableDefinition>)> {
        self.refresh(self.freshness()).await?;
        let all = |documents: &Documents| -> Vec<TableDefinition> {
            documents.catalogue().tables().map(|entry| TableDefinition::of(documents, entry)).collect()
        };
        loop {
            let moment = self.inner.pin()?;
            // Another record may have come since.
            if let Some(definitions) = moment.present(all)? {
                return Ok((self.show(moment).await?, definitions));
            }
        }
    }
}
