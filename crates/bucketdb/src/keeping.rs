use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bucketdb_documents::row::{self, Keep};
use bucketdb_documents::{Change, ChangeKind, Condition, Documents, EncodedKey, Layouts, TableId, Transaction};
use bucketdb_log::Freshness;
use bytes::Bytes;

use crate::database::Inner;
use crate::rows::{TableRef, check_size};
use crate::{Error, Result};

/// What a program of an earlier version writes, with what it does not know of the documents that it replaces.
pub(crate) struct Kept {
    pub(crate) transaction: Arc<Transaction>,
    /// The rows of which an earlier version was kept: if they have changed meanwhile, what is kept has to be looked up
    /// again.
    rests_on: HashSet<(TableId, EncodedKey)>,
}

impl Kept {
    pub(crate) fn rests_on(&self, table: TableId, key: &EncodedKey) -> bool {
        self.rests_on.contains(&(table, key.clone()))
    }
}

impl Inner {
    /// Looks up what the documents of earlier versions in a transaction replace, and keeps of it what only newer versions
    /// know. `None` if there are none: programs that are up to date read nothing here. Also how many versions of schemas that
    /// rests on.
    ///
    /// # Errors
    /// [`Error::OutdatedSchema`] if what is replaced was written behind a step that the program does not have;
    /// [`Error::NotFound`].
    pub(crate) async fn keeping(
        self: &Arc<Self>,
        transaction: &Transaction,
        freshness: Freshness,
    ) -> Result<(Option<Kept>, u32)> {
        let (outdated, known_versions) =
            self.log.read(|documents, _| (outdated(documents, transaction), documents.catalogue().known_versions()))?;
        let Some(outdated) = outdated else { return Ok((None, known_versions)) };
        let mut rests_on = HashSet::new();
        // What each row was before the change at hand; `None` if it was not there, or what it was does not matter.
        let mut before: HashMap<(TableId, EncodedKey), Option<Bytes>> = HashMap::new();
        let mut changes = Vec::with_capacity(transaction.changes.len());
        for (change, table) in transaction.changes.iter().zip(outdated) {
            let mut change = change.clone();
            let place = (change.table, change.key.clone());
            if let (ChangeKind::Put(row), Some(table)) = (&change.kind, table) {
                let replaced = match before.get(&place) {
                    Some(replaced) => replaced.clone(),
                    None => {
                        let (replaced, condition) = self.replaced(&table, &change, freshness).await?;
                        if condition != change.condition {
                            rests_on.insert(place.clone());
                        }
                        change.condition = condition;
                        replaced
                    }
                };
                if let Some(replaced) = replaced {
                    change.kind = ChangeKind::Put(table.keep(&change.key, row, &replaced)?);
                }
            }
            let row = match &change.kind {
                ChangeKind::Put(row) => Some(row.clone()),
                ChangeKind::Delete => None,
            };
            before.insert(place, row);
            changes.push(change);
        }
        let transaction = Transaction { changes };
        check_size(&transaction)?;
        Ok((Some(Kept { transaction: Arc::new(transaction), rests_on }), known_versions))
    }

    /// The row that a change replaces, and the condition that holds only as long as it is that one.
    async fn replaced(
        self: &Arc<Self>,
        table: &TableRef,
        change: &Change,
        freshness: Freshness,
    ) -> Result<(Option<Bytes>, Condition)> {
        let (id, key, condition) = (change.table, &change.key, change.condition);
        Ok(match condition {
            Condition::Absent | Condition::Version(None) => (None, condition),
            Condition::Version(Some(version)) => {
                let mut found = self.newest(id, key).await?;
                if found.as_ref().is_none_or(|found| found.version < version) {
                    // Somebody has seen it.
                    found = self.get(id, key, Freshness::Strict).await?;
                }
                (found.map(|found| found.row), condition)
            }
            // What rests on something that is too old is refused, and looked up again.
            Condition::Always => match self.newest(id, key).await? {
                Some(found) => (Some(found.row), Condition::Version(Some(found.version))),
                None => (None, Condition::Version(None)),
            },
            Condition::Exists => match self.get(id, key, freshness).await? {
                Some(found) => (Some(found.row), Condition::Version(Some(found.version))),
                None => return Err(table.not_found(key)),
            },
        })
    }
}

/// For each change, its table as the program has it, if it writes a document of a version that is not the newest. `None` if
/// there is none.
fn outdated(documents: &Documents, transaction: &Transaction) -> Option<Vec<Option<TableRef>>> {
    let table = |change: &Change| {
        let entry = documents.catalogue().table(change.table).filter(|entry| entry.versions().len() > 1)?;
        let ChangeKind::Put(row) = &change.kind else { return None };
        let version = row::schema_version(row).ok().filter(|version| *version < entry.schema().version())?;
        let mut table = TableRef::from(entry);
        table.layouts = entry.layouts().for_version(version);
        table.schema = entry.versions().iter().find(|schema| schema.version() == version)?.clone().into();
        Some(table)
    };
    // Most often there is none, and then nothing is gathered.
    let is_any = transaction.changes.iter().any(|change| table(change).is_some());
    is_any.then(|| transaction.changes.iter().map(table).collect())
}

impl TableRef {
    /// A row that was made of an earlier one, or takes its place, with what it keeps of it.
    ///
    /// # Errors
    /// [`Error::OutdatedSchema`] if the earlier one was written behind a step that the program does not have.
    pub(crate) fn keep(&self, key: &EncodedKey, row: &Bytes, replaced: &Bytes) -> Result<Bytes> {
        let damaged = |error| self.invalid_document(key, error);
        let written = row::schema_version(replaced).map_err(damaged)?;
        let own = self.layouts.version();
        if let Some(step) = self.layouts.step_between(own, written) {
            return Err(self.outdated(format!(
                "the document {key} was written under version {written}, and what version {step} made of documents would be \
                 lost"
            )));
        }
        let keep = if steps_lead(&self.layouts, written) { Keep::Undeclared } else { Keep::Others };
        let kept = row::keep(row, replaced, &self.layouts, keep).map_err(damaged)?;
        Ok(kept.unwrap_or_else(|| row.clone()))
    }

    /// As [`keep`](Self::keep), of a change that was made of an earlier row.
    pub(crate) fn keep_in(&self, change: &mut Change, replaced: &Bytes) -> Result<()> {
        if let ChangeKind::Put(row) = &change.kind {
            change.kind = ChangeKind::Put(self.keep(&change.key, row, replaced)?);
        }
        Ok(())
    }

    pub(crate) fn outdated(&self, reason: String) -> Error {
        Error::OutdatedSchema { table: self.name().to_owned(), version: self.layouts.version(), reason }
    }
}

fn steps_lead(layouts: &Layouts, written: u32) -> bool {
    layouts.step_between(written, layouts.version()).is_some()
}
