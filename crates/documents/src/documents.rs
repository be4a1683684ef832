use bucketdb_log::codec::Malformed;
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_log::{Record, RecordKind, Seq, StateMachine, Validated};

use crate::overlay::{Overlay, Replaced};
use crate::recent_writes::RecentWrites;
use crate::{
    Before, Catalogue, Change, ChangeKind, Condition, EncodedKey, Found, Group, ReadSet, Refusal, Scan, ScanRow,
    Schema, TableEntry, TableId, Transaction,
};

/// The state of a database: its catalogue and every row.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    catalogue: Catalogue,
    overlay: Overlay,
    recent: RecentWrites,
}

/// A change that somebody wants to commit.
#[derive(Clone, Debug)]
pub enum Proposal {
    /// Changes of rows.
    Write {
        /// The changes.
        transaction: Transaction,
        /// What they rest on; `None` if they were made without reading.
        reads: Option<ReadSet>,
    },
    /// A table, or a new version of its schema.
    Register(Schema),
}

/// How much a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// How many documents.
    pub documents: u64,
    /// How many bytes their keys and rows take, uncompressed.
    pub size_bytes: u64,
}

impl Documents {
    /// The tables.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The newest row of a key.
    #[must_use]
    pub fn newest(&self, table: TableId, key: &EncodedKey) -> Option<Found> {
        self.overlay.newest(table, key)
    }

    /// The row of a key as of a position that is pinned.
    #[must_use]
    pub fn at(&self, table: TableId, key: &EncodedKey, at: Seq) -> Option<Found> {
        self.overlay.at(table, key, at)
    }

    /// Rows in ascending order of their keys, as of a position that is pinned.
    #[must_use]
    pub fn scan(&self, scan: &Scan) -> Vec<ScanRow> {
        self.overlay.scan(scan)
    }

    /// How much a table holds.
    #[must_use]
    pub fn stats(&self, table: TableId) -> TableStats {
        let (documents, size_bytes) = self.overlay.size(table);
        TableStats { documents, size_bytes }
    }

    /// Keeps what is visible at `seq` until it is unpinned as often.
    pub fn pin(&mut self, seq: Seq) {
        self.overlay.pin(seq);
    }

    /// Ends one [`pin`](Self::pin).
    pub fn unpin(&mut self, seq: Seq) {
        self.overlay.unpin(seq);
    }

    /// What the row of a change was before it: the change at `place`, from 0, of the record at `seq`.
    #[must_use]
    pub fn before(&self, seq: Seq, place: usize) -> Before {
        self.recent.before(seq, place)
    }

    /// Whether everything that was read is still as it was read.
    ///
    /// # Errors
    /// [`Refusal::ReadChanged`], [`Refusal::TableCreated`] or [`Refusal::ReadsTooOld`].
    pub fn check_reads(&self, reads: &ReadSet) -> Result<(), Refusal> {
        self.check_reads_behind(&Group::default(), reads)
    }

    fn check_reads_behind(&self, group: &Group, reads: &ReadSet) -> Result<(), Refusal> {
        if reads.is_empty() || is_planted(PlantedBug::SkipValidation) {
            return Ok(());
        }
        let at = reads.at;
        self.recent.covers(at).map_err(|_| Refusal::ReadsTooOld { at })?;
        for (table, key) in &reads.keys {
            if group.exists(*table, key).is_some() || self.recent.is_written(*table, key, at) {
                return Err(Refusal::ReadChanged { table: *table, key: key.clone() });
            }
        }
        let ranges = if is_planted(PlantedBug::MissRangeRead) { &[] } else { reads.ranges.as_slice() };
        for range in ranges {
            if let Some(key) = group.written_in(range).or_else(|| self.recent.written_in(range, at)) {
                return Err(Refusal::ReadChanged { table: range.table, key: key.clone() });
            }
        }
        let has_version = |(name, version): &&(String, u32)| {
            let versions = self.catalogue.by_name(name).map(TableEntry::versions).unwrap_or_default();
            versions.iter().any(|schema| schema.version() == *version)
        };
        let created = reads.absent_tables.iter().find(|name| self.catalogue.by_name(name).is_some());
        let registered = || reads.absent_versions.iter().find(has_version).map(|(name, _)| name);
        match created.or_else(registered) {
            Some(name) => Err(Refusal::TableCreated(name.clone())),
            None => Ok(()),
        }
    }

    fn check(&self, group: &Group, own: &Group, change: &Change) -> Result<(), Refusal> {
        let Change { table, key, condition, .. } = change;
        if self.catalogue.table(*table).is_none() {
            return Err(Refusal::UnknownTable(*table));
        }
        if *condition == Condition::Always {
            return Ok(());
        }
        let written = own.exists(*table, key).or_else(|| group.exists(*table, key));
        let version = self.overlay.version(*table, key);
        let exists = written.unwrap_or(version.is_some());
        let (table, key) = (*table, key.clone());
        match condition {
            Condition::Absent if exists => Err(Refusal::AlreadyExists { table, key }),
            Condition::Exists if !exists => Err(Refusal::NotFound { table, key }),
            Condition::Version(expected) if written.is_some() || *expected != version => {
                Err(Refusal::Changed { table, key, expected: *expected })
            }
            Condition::Always | Condition::Absent | Condition::Exists | Condition::Version(_) => Ok(()),
        }
    }
}

impl StateMachine for Documents {
    type Proposal = Proposal;
    type Refusal = Refusal;
    type Group = Group;

    fn validate(&self, group: &mut Group, proposal: &Proposal) -> Result<Validated, Refusal> {
        match proposal {
            Proposal::Register(schema) => {
                let payload = self.catalogue.register(schema)?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::Write { transaction, reads } => {
                if let Some(reads) = reads {
                    self.check_reads_behind(group, reads)?;
                }
                let mut own = Group::default();
                for change in &transaction.changes {
                    self.check(group, &own, change)?;
                    let exists = matches!(change.kind, ChangeKind::Put(_));
                    own.write(change.table, change.key.clone(), exists);
                }
                group.merge(own);
                Ok(Validated::new(RecordKind::Transactions, transaction.encode()))
            }
        }
    }

    fn apply(&mut self, record: &Record) -> Result<(), Malformed> {
        if record.kind == RecordKind::Schema {
            let payload = record.entries.first().map(|entry| entry.payload.clone()).unwrap_or_default();
            return self.catalogue.apply(payload);
        }
        let transactions: Vec<Transaction> =
            record.entries.iter().map(|entry| Transaction::decode(entry.payload.clone())).collect::<Result<_, _>>()?;
        self.recent.begin(record.seq);
        for change in transactions.into_iter().flat_map(|transaction| transaction.changes) {
            let row = match change.kind {
                ChangeKind::Put(row) => Some(row),
                ChangeKind::Delete => None,
            };
            let Replaced { key, row } = self.overlay.write(change.table, &change.key, row, record.seq);
            self.recent.push(change.table, key, row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
