use std::collections::HashMap;

use bucketdb_log::codec::Malformed;
use bucketdb_log::{Record, RecordKind, Seq, StateMachine, Validated};

use crate::overlay::Overlay;
use crate::{
    Catalogue, Change, ChangeKind, Condition, EncodedKey, Found, Refusal, Scan, ScanRow, Schema, TableId, Transaction,
};

/// The state of a database: its catalogue and every row.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    catalogue: Catalogue,
    overlay: Overlay,
}

/// A change that somebody wants to commit.
#[derive(Clone, Debug)]
pub enum Proposal {
    /// Changes of rows.
    Write(Transaction),
    /// A table, or a new version of its schema.
    Register(Schema),
}

/// The rows that the members of a group leave: whether each is there.
#[derive(Debug, Default)]
pub struct Group {
    rows: HashMap<(TableId, EncodedKey), bool>,
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

    fn check(&self, group: &Group, own: &Group, change: &Change) -> Result<(), Refusal> {
        let Change { table, key, condition, .. } = change;
        if self.catalogue.table(*table).is_none() {
            return Err(Refusal::UnknownTable(*table));
        }
        if *condition == Condition::Always {
            return Ok(());
        }
        let place = (*table, key.clone());
        let written = own.rows.get(&place).or_else(|| group.rows.get(&place)).copied();
        let version = self.overlay.version(*table, key);
        let exists = written.unwrap_or(version.is_some());
        let (table, key) = (*table, key.clone());
        match condition {
            Condition::Absent if exists => Err(Refusal::AlreadyExists { table, key }),
            Condition::Exists if !exists => Err(Refusal::NotFound { table, key }),
            Condition::Version(expected) if written.is_some() || *expected != version => {
                Err(Refusal::Changed { table, key })
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
                Ok(Validated { kind: RecordKind::Schema, payload })
            }
            Proposal::Write(transaction) => {
                let mut own = Group::default();
                for change in &transaction.changes {
                    self.check(group, &own, change)?;
                    let exists = matches!(change.kind, ChangeKind::Put(_));
                    own.rows.insert((change.table, change.key.clone()), exists);
                }
                group.rows.extend(own.rows);
                Ok(Validated { kind: RecordKind::Transactions, payload: transaction.encode() })
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
        for change in transactions.into_iter().flat_map(|transaction| transaction.changes) {
            let row = match change.kind {
                ChangeKind::Put(row) => Some(row),
                ChangeKind::Delete => None,
            };
            self.overlay.write(change.table, &change.key, row, record.seq);
        }
        Ok(())
    }
}
