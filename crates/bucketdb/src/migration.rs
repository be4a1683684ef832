use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{
    Change, ChangeKind, Condition, EncodedKey, InvalidSchema, KeyRange, Migrated, Proposal, Schema, row,
};
use bucketdb_log::Freshness;

use crate::database::Inner;
use crate::origin::{Origin, View};
use crate::row_scan::RowScan;
use crate::rows::{Reading, TableRef};
use crate::{Collection, Database, Document, Error, Result, Snapshot, Table};

/// How far the documents of a table have come to the newest version of its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// The table.
    pub table: String,
    /// Every version of its schema, oldest first.
    pub versions: Vec<Schema>,
    /// The lowest version of which documents may still be written.
    pub accepts: u32,
    /// The lowest version of which there may be documents; 0 if nothing was migrated yet.
    pub has: u32,
    /// How many documents there are of each version.
    pub documents: BTreeMap<u32, u64>,
}

impl Migration {
    /// Whether all documents are of the newest version, and no others may be written: also if there was never another one.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let newest = self.versions.last().map_or(0, Schema::version);
        self.has == newest || self.versions.len() == 1
    }
}

/// How far [`Database::finish_migration`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationProgress {
    /// How many documents were looked at.
    pub documents: u64,
    /// How many of them were of an earlier version, or had what only that declares, and were written again.
    pub rewritten: u64,
}

/// So many documents are written again with one commit, at most, and so many bytes.
const PIECE_ROWS: usize = 512;
const PIECE_BYTES: usize = 1 << 20;

/// So many documents are looked at while one moment is held.
const MOST_ROWS: usize = 1 << 16;

impl Database {
    /// The versions of a table's schema, and how many documents there are of each: all are looked at.
    ///
    /// # Errors
    /// [`Error::UnknownTable`], or if the store fails.
    pub async fn migration(&self, table: &str) -> Result<Migration> {
        count(Origin::Live(self.clone(), self.freshness()).open().await?, table).await
    }

    /// Makes all documents of a table ones of the newest version of its schema, and refuses programs of earlier versions from
    /// then on: neither can they [open](Self::table) the table, nor does what they write get in, be they running already.
    ///
    /// Documents are written again in pieces of at most 512, each a commit of its own, which feeds show as puts; whoever
    /// reads and writes goes on. What is interrupted is finished by another call. What a new version removed is gone then.
    ///
    /// # Errors
    /// [`Error::UnknownTable`]. [`Error::Schema`] if only a step of a program's own makes documents that are there ones of the
    /// newest version: [`Table::finish_migration`] has it. [`Error::UniqueViolation`] if two documents have the same values in a unique index
    /// where they did not before.
    pub async fn finish_migration(
        &self,
        table: &str,
        progress: impl FnMut(MigrationProgress) + Send,
    ) -> Result<MigrationProgress> {
        self.inner.log.refresh(Freshness::Strict).await?;
        let found = self.inner.log.read(|documents, _| TableRef::find(documents.catalogue(), table))?;
        let table = found.ok_or_else(|| Error::UnknownTable { table: table.to_owned() })?;
        finish(self, &table, progress).await
    }
}

impl<T: Document> Table<T> {
    /// As [`Database::finish_migration`], by the steps of the type, which must be of the newest version.
    ///
    /// # Errors
    /// As [`Database::finish_migration`]; [`Error::OutdatedSchema`] if there is a newer version than the type's.
    pub async fn finish_migration(&self, progress: impl FnMut(MigrationProgress) + Send) -> Result<MigrationProgress> {
        self.database().inner.log.refresh(Freshness::Strict).await?;
        finish(self.database(), self.table_ref(), progress).await
    }

    /// As [`Database::migration`].
    ///
    /// # Errors
    /// As [`Database::migration`].
    pub async fn migration(&self) -> Result<Migration> {
        self.database().migration(self.name()).await
    }
}

impl Collection {
    /// As [`Database::migration`].
    ///
    /// # Errors
    /// As [`Database::migration`].
    pub async fn migration(&self) -> Result<Migration> {
        self.database().migration(self.name()).await
    }
}

impl Snapshot {
    /// As [`Database::migration`], of the documents that the snapshot shows.
    ///
    /// # Errors
    /// As [`Database::migration`].
    pub async fn migration(&self, table: &str) -> Result<Migration> {
        count(View { moment: self.moment().clone(), transaction: None }, table).await
    }
}

async fn count(view: View, table: &str) -> Result<Migration> {
    let unknown = || Error::UnknownTable { table: table.to_owned() };
    let (id, mut migration) = view
        .moment
        .read(|documents, _| {
            let entry = documents.catalogue().by_name(table)?;
            let Migrated { accepts, has } = entry.migrated();
            let (table, versions, documents) = (table.to_owned(), entry.versions().to_vec(), BTreeMap::new());
            Some((entry.id, Migration { table, versions, accepts, has, documents }))
        })?
        .ok_or_else(unknown)?;
    let mut rows = RowScan::live(view, KeyRange::all(id))?;
    while let Some(row) = rows.next().await? {
        // A row of an unknown kind is none of this count's business.
        if let Ok(version) = row::schema_version(&row.row) {
            *migration.documents.entry(version).or_default() += 1;
        }
    }
    Ok(migration)
}

async fn finish(
    db: &Database,
    table: &TableRef,
    mut progress: impl FnMut(MigrationProgress) + Send,
) -> Result<MigrationProgress> {
    let inner = &db.inner;
    let own = table.layouts.version();
    let (newest, migrated, step) = inner
        .log
        .read(|documents, _| {
            let entry = documents.catalogue().table(table.id)?;
            let (newest, migrated) = (entry.schema().version(), entry.migrated());
            let steps = entry.versions().iter().filter(|schema| schema.has_step()).map(Schema::version);
            Some((newest, migrated, steps.max().filter(|step| *step > migrated.has)))
        })?
        .ok_or_else(|| Error::UnknownTable { table: table.name().to_owned() })?;
    if own < newest {
        return Err(table.outdated(format!("version {newest} is there, and documents are migrated to the newest only")));
    }
    if let Some(step) = step.filter(|_| !matches!(table.reading, Reading::Version(_, Some(_))))
        && has_before(db, table, step).await?
    {
        let reason = format!(
            "only a program's own step leads to version {step}: finish the migration there, with `Table::finish_migration`"
        );
        return Err(InvalidSchema { table: table.name().to_owned(), reason }.into());
    }
    let mut done = MigrationProgress::default();
    if migrated.has >= newest {
        return Ok(done);
    }
    // First nobody writes what would have to be written again, then there is nothing left of it.
    inner.mark_migrated(table, Migrated { accepts: newest, has: migrated.has }).await?;
    let mut range = KeyRange::all(table.id);
    loop {
        let view = Origin::Live(db.clone(), Freshness::Local).open().await?;
        let mut rows = RowScan::live(view, range.clone())?;
        let (mut outdated, mut bytes, mut last) = (Vec::new(), 0, None);
        let mut seen = 0;
        while outdated.len() < PIECE_ROWS && bytes < PIECE_BYTES && seen < MOST_ROWS {
            seen += 1;
            last = rows.next().await?;
            let Some(row) = &last else { break };
            done.documents += 1;
            if table.upgraded(&row.key, &row.row)?.is_some() {
                bytes += row.row.len();
                outdated.push(row.key.clone());
            }
        }
        drop(rows);
        done.rewritten += inner.rewrite(table, outdated).await?;
        progress(done);
        match last {
            Some(last) => range.start = Bound::Excluded(last.key),
            None => break,
        }
    }
    inner.mark_migrated(table, Migrated { accepts: newest, has: newest }).await?;
    Ok(done)
}

/// Whether a table has documents of a lower version.
async fn has_before(db: &Database, table: &TableRef, version: u32) -> Result<bool> {
    let view = Origin::Live(db.clone(), Freshness::Local).open().await?;
    let mut rows = RowScan::live(view, KeyRange::all(table.id))?;
    while let Some(row) = rows.next().await? {
        // What is unknown of a row is found out when it is written again.
        if row::schema_version(&row.row).is_ok_and(|written| written < version) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Inner {
    async fn mark_migrated(self: &Arc<Self>, table: &TableRef, migrated: Migrated) -> Result<()> {
        self.change_catalogue(Proposal::Migrate { table: table.id, migrated }).await.map(|_| ())
    }

    /// Writes documents again as ones of the newest version, as far as they are still of an earlier one.
    async fn rewrite(self: &Arc<Self>, table: &TableRef, keys: Vec<EncodedKey>) -> Result<u64> {
        let keys: Vec<_> = keys.into_iter().map(|key| (table.id, key)).collect();
        if keys.is_empty() {
            return Ok(0);
        }
        loop {
            let found = self.newest_many(&keys).await?;
            let mut changes = Vec::new();
            for ((_, key), found) in keys.iter().zip(found) {
                let Some(found) = found else { continue };
                if let Some(newer) = table.upgraded(key, &found.row)? {
                    let (key, condition) = (key.clone(), Condition::Version(Some(found.version)));
                    changes.push(Change { table: table.id, key, condition, kind: ChangeKind::Put(newer) });
                }
            }
            let count = changes.len() as u64;
            if count == 0 {
                return Ok(0);
            }
            match self.write(changes, Freshness::Local).await {
                // Somebody else wrote one of them: that one is done, or is looked at again.
                Err(Error::VersionMismatch { .. }) => {}
                outcome => return outcome.map(|_| count),
            }
        }
    }
}
