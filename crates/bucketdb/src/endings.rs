use std::collections::BTreeMap;
use std::sync::Arc;

use bucketdb_documents::{
    Catalogue, Documents, MOST_SKEW_MS, Proposal, TableId, Ttl, index_run_entry_ends_ms, is_index_group,
};
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_runs::RunEntry;

use crate::database::Inner;
use crate::{Collection, Database, Document, Error, Result, Table};

/// Which entries of runs have ended: merges leave them out.
pub(crate) struct Endings {
    ttls: BTreeMap<TableId, Arc<Ttl>>,
    /// In milliseconds since 1970.
    ended_ms: u64,
}

impl Endings {
    pub(crate) fn new(catalogue: &Catalogue, ended_ms: u64) -> Self {
        Self { ttls: catalogue.ttls().map(|(table, ttl)| (table, ttl.clone())).collect(), ended_ms }
    }

    pub(crate) fn has_ended(&self, entry: &RunEntry) -> bool {
        if self.ttls.is_empty() {
            return false;
        }
        let Some(row) = &entry.row else { return false };
        let Some(group) = entry.key.first_chunk().map(|group| u32::from_be_bytes(*group)) else { return false };
        let ends_ms = match is_index_group(group) {
            true => index_run_entry_ends_ms(entry),
            false => self.ttls.get(&TableId(group)).and_then(|ttl| ttl.ends_ms(row)),
        };
        ends_ms.is_some_and(|ends_ms| ends_ms <= self.ended_ms)
    }
}

impl Inner {
    /// Up to when documents that ended may be left out for good, in milliseconds since 1970: no later than the time in the
    /// record that a checkpoint covers, nor than the store's clock says, where it tells it (H13). No clock of this process
    /// has a say.
    pub(crate) async fn ended_ms(&self, catalogue: &Catalogue, record_ms: u64) -> Result<u64> {
        if !catalogue.has_ttls() {
            return Ok(0);
        }
        if is_planted(PlantedBug::EndedByLocalClock) {
            return Ok(self.wall_ms());
        }
        Ok(self.log.settled_time_ms(record_ms).await)
    }

    /// Before a condition is judged that may rest on whether a document has ended, which this machine's clock says.
    ///
    /// # Errors
    /// [`Error::WrongClock`] if that is far from the store's (H13). A store that does not tell the time is no judge.
    pub(crate) async fn check_clock(&self, mut tables: impl Iterator<Item = TableId>) -> Result<()> {
        let mut has_end = |documents: &Documents, _| {
            let has_end = |table| documents.catalogue().table(table).is_some_and(|entry| entry.ttl().is_some());
            documents.catalogue().has_ttls() && tables.any(has_end)
        };
        if !self.log.read(&mut has_end)? || is_planted(PlantedBug::WriteByWrongClock) {
            return Ok(());
        }
        match self.log.clock_ahead_ms().await {
            Some(ahead_ms) if ahead_ms.unsigned_abs() > MOST_SKEW_MS => Err(Error::WrongClock { ahead_ms }),
            _ => Ok(()),
        }
    }
}

impl Database {
    /// Says which field of a table's documents says when they end, in seconds since 1970: `expires_at`, `session.ends`;
    /// `None`: they do not end any more. One put, and no request if it is so already.
    ///
    /// From then on nobody sees a document that has ended, in whichever process: not by its key, in no query, and another
    /// one may take its unique values. Merges of runs leave it out: until then it takes room, and counts in
    /// [`stats`](Self::stats). A feed tells nothing when a document ends. A document in which the field is missing,
    /// or no number, does not end. Indexes of the table are built anew: until they are, queries take other ways, and unique ones
    /// refuse nothing.
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) if there is no such table, or if that is not one field.
    pub async fn set_ttl(&self, table: &str, field: Option<&str>) -> Result<()> {
        let proposal = Proposal::ChangeTtl { table: table.to_owned(), field: field.map(str::to_owned) };
        self.inner.change_catalogue(proposal).await.map(|_| ())
    }

    /// The field of a table's documents that says when they end, as far as this process knows.
    ///
    /// # Errors
    /// If the log is broken.
    pub fn ttl(&self, table: &str) -> Result<Option<String>> {
        let field = self.inner.log.read(|documents, _| {
            documents.catalogue().by_name(table).and_then(|entry| entry.ttl().map(|ttl| ttl.field()))
        });
        Ok(field?)
    }
}

impl<T: Document> Table<T> {
    /// As [`Database::set_ttl`].
    ///
    /// # Errors
    /// As [`Database::set_ttl`].
    pub async fn set_ttl(&self, field: Option<&str>) -> Result<()> {
        self.database().set_ttl(self.name(), field).await
    }
}

impl Collection {
    /// As [`Database::set_ttl`].
    ///
    /// # Errors
    /// As [`Database::set_ttl`].
    pub async fn set_ttl(&self, field: Option<&str>) -> Result<()> {
        self.database().set_ttl(self.name(), field).await
    }
}
