use std::sync::Arc;

use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_log::{RecordKind, Seq, Validated};
use bucketdb_lsm::{Tier, Tree};
use bytes::Bytes;

use super::Documents;
use crate::{
    Change, ChangeKind, Condition, EncodedKey, Facts, Group, Loaded, Migrated, ReadSet, Refusal, Schema, TableEntry,
    TableId, Transaction, row,
};

/// A change that somebody wants to commit.
#[derive(Clone, Debug)]
pub enum Proposal {
    /// Changes of rows.
    Write(Write),
    /// Another field says when the documents of a table end; `None`: they do not.
    ChangeTtl {
        /// The name of the table.
        table: String,
        /// The field.
        field: Option<String>,
    },
    /// A table, or a new version of its schema.
    Register(Schema),
    /// An index goes.
    DropIndex {
        /// The name of its table.
        table: String,
        /// Its fields.
        fields: String,
    },
    /// The position of the record is to be readable under a name, until that is dropped.
    CreateSnapshot {
        /// The name.
        name: String,
    },
    /// A name of a position goes.
    DropSnapshot {
        /// The name.
        name: String,
    },
    /// A branch is to begin, at a position; `None`: right before the record.
    CreateBranch {
        /// The name.
        name: String,
        /// Tells it apart from others that had the same name.
        id: [u8; 16],
        /// The position.
        at: Option<Seq>,
    },
    /// A branch is gone.
    DropBranch {
        /// The name.
        name: String,
        /// Which of that name.
        id: [u8; 16],
    },
    /// Documents of a table have come to a newer version of its schema.
    Migrate {
        /// The table.
        table: TableId,
        /// How far.
        migrated: Migrated,
    },
    /// Runs that were bulk-loaded join, and their rows replace what was there.
    Ingest {
        /// The runs, newest first.
        tiers: Vec<Tier>,
        /// What they rest on; `None` if they replace whatever is there.
        reads: Option<ReadSet>,
        /// The position at which the load was announced.
        begun: Seq,
        /// Whose rows they hold, and the version of the schema that these were written under.
        written_under: (TableId, u32),
    },
}

/// Changes of rows as somebody proposes them.
#[derive(Clone, Debug)]
pub struct Write {
    transaction: Arc<Transaction>,
    /// The changes as the log holds them. Made where they are proposed: what is validated waits for all before it.
    payload: Bytes,
    /// What they rest on; `None` if they were made without reading.
    pub reads: Option<ReadSet>,
    /// What is known of the rows that their conditions are about; needed only where rows are in runs.
    pub facts: Option<Facts>,
    known_versions: u32,
    wall_ms: u64,
}

impl Write {
    /// Changes that rest on nothing. `known_versions` is how many versions of schemas are known where they were made: whoever
    /// writes documents of earlier versions must have looked at what they replace. `wall_ms` is what the clock there says, in
    /// milliseconds since 1970: documents that have ended by then are absent.
    #[must_use]
    pub fn new(transaction: Arc<Transaction>, known_versions: u32, wall_ms: u64) -> Self {
        let payload = transaction.encode();
        Self { transaction, payload, reads: None, facts: None, known_versions, wall_ms }
    }
}

impl Documents {
    /// Whether everything that was read is still as it was read.
    ///
    /// # Errors
    /// [`Refusal::ReadChanged`], [`Refusal::TableCreated`] or [`Refusal::ReadsTooOld`].
    pub fn check_reads(&self, reads: &ReadSet) -> Result<(), Refusal> {
        self.check_reads_behind(&mut Group::default(), reads)
    }

    fn check_reads_behind(&self, group: &mut Group, reads: &ReadSet) -> Result<(), Refusal> {
        if reads.is_empty() || is_planted(PlantedBug::SkipValidation) {
            return Ok(());
        }
        let group = group.written();
        let at = reads.at;
        self.recent.covers(at).map_err(|_| Refusal::ReadsTooOld { at })?;
        for (table, key) in &reads.keys {
            if group.exists(*table, key).is_some() || self.recent.is_written(*table, key, at) {
                return Err(Refusal::ReadChanged { table: *table, key: key.clone() });
            }
        }
        let ranges = if is_planted(PlantedBug::MissRangeRead) { &[] } else { reads.ranges.as_slice() };
        if !ranges.is_empty() {
            let recent = self.recent.written_since(at);
            for range in ranges {
                if let Some(key) = group.written_in(range).or_else(|| recent.first_in(range)) {
                    return Err(Refusal::ReadChanged { table: range.table, key: key.clone() });
                }
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

    /// When a row was last written, before the group; `None` if there is none.
    fn version(
        &self,
        table: TableId,
        key: &EncodedKey,
        facts: Option<&Facts>,
        wall_ms: u64,
    ) -> Result<Option<Seq>, Refusal> {
        let written = self.present.overlay.newest(table, key);
        let last_ingest = self.present.last_ingest();
        if let Some(written) = written
            && last_ingest.is_none_or(|ingest| written.seq > ingest)
        {
            let expiry = self.expiry(table, Seq(u64::MAX), wall_ms);
            let has_ended = |row: &Bytes| expiry.as_ref().is_some_and(|expiry| expiry.has_ended(row));
            return Ok(written.row.as_ref().filter(|row| !has_ended(row)).map(|_| written.seq));
        }
        if self.present.is_in_memory() {
            return Ok(None);
        }
        // Nothing behind what was read may have been written without being at hand here.
        let read = facts.filter(|facts| facts.at >= self.ttls_since).filter(|facts| {
            let holds = facts.at >= self.present.base.covers && last_ingest.is_none_or(|ingest| facts.at >= ingest);
            holds || self.recent.covers(facts.at).is_ok() && !self.recent.is_written(table, key, facts.at)
        });
        // The map's key owns its parts; cloning them costs two counters.
        let version = read.and_then(|facts| facts.versions.get(&(table, key.clone())).copied());
        version.ok_or(Refusal::FactsTooOld)
    }

    /// Whether a document may be written as one of its version of the schema.
    fn check_version(&self, change: &Change, knows_all: bool) -> Result<(), Refusal> {
        if change.table == TableId::BLOBS {
            return Ok(());
        }
        let entry = self.catalogue.table(change.table).ok_or(Refusal::UnknownTable(change.table))?;
        let ChangeKind::Put(row) = &change.kind else { return Ok(()) };
        if entry.versions().len() == 1 {
            return Ok(());
        }
        // A row of an unknown kind is refused by whoever reads it.
        let version = row::schema_version(row).unwrap_or(u32::MAX);
        entry.check_accepted(version)?;
        // It was not known that there is something to keep of what it replaces.
        if version < entry.schema().version() && !knows_all { Err(Refusal::FactsTooOld) } else { Ok(()) }
    }

    fn check(
        &self,
        group: &mut Group,
        own: &mut Group,
        change: &Change,
        facts: Option<&Facts>,
        wall_ms: u64,
    ) -> Result<(), Refusal> {
        let Change { table, key, condition, .. } = change;
        if *condition == Condition::Always {
            return Ok(());
        }
        let written = own.written().exists(*table, key).or_else(|| group.written().exists(*table, key));
        let version = match written {
            // What was there before does not matter.
            Some(_) => None,
            None => self.version(*table, key, facts, wall_ms)?,
        };
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

    pub(super) fn validate_proposal(&self, group: &mut Group, proposal: &Proposal) -> Result<Validated, Refusal> {
        match proposal {
            Proposal::Register(schema) => {
                let payload = self.catalogue.register(schema)?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::DropIndex { table, fields } => {
                let unknown = || Refusal::UnknownIndex { table: table.clone(), fields: fields.clone() };
                let payload = self.catalogue.drop_index(table, fields).ok_or_else(unknown)?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::ChangeTtl { table, field } => {
                let payload = self.catalogue.change_ttl(table, field.as_deref())?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::CreateSnapshot { name } => {
                let payload = self.catalogue.create_snapshot(name)?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::DropSnapshot { name } => {
                let payload = self.catalogue.drop_snapshot(name)?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::CreateBranch { name, id, at } => {
                let given_up = || Refusal::InvalidBranch {
                    name: name.clone(),
                    reason: "the position was given up meanwhile".to_owned(),
                };
                // By what is known right before the record: a checkpoint that comes later covers more than the fork, so that this
                // stays the one that it is made from.
                let begin = |fork: Seq| {
                    let base = self.base().made_from(fork, self.catalogue.kept_positions());
                    base.map(|base| (fork, base)).ok_or_else(given_up)
                };
                let payload = self.catalogue.create_branch(name, *id, at.map(begin).transpose()?)?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::DropBranch { name, id } => {
                let payload = self.catalogue.drop_branch(name, *id)?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::Migrate { table, migrated } => {
                let payload = self.catalogue.migrate(*table, *migrated)?;
                Ok(Validated::new(RecordKind::Schema, payload))
            }
            Proposal::Ingest { tiers, reads, begun, written_under: (table, version) } => {
                let entry = self.catalogue.table(*table).ok_or(Refusal::UnknownTable(*table))?;
                entry.check_accepted(*version)?;
                let newest = entry.schema().version();
                if reads.is_none() && *version < newest {
                    // It would replace what it does not know.
                    let table = entry.schema().table().to_owned();
                    return Err(Refusal::OutdatedVersion { table, version: *version, accepts: newest });
                }
                if let Some(reads) = reads {
                    self.check_reads_behind(group, reads)?;
                }
                let tree = Tree::new(tiers.clone(), None);
                let may_replace = reads.is_none() && self.may_replace(tiers.iter().flat_map(Tier::runs));
                let payload = Loaded::encode(&tree, may_replace);
                let brings = tree.runs().map(|run| run.meta().name.to_string()).collect();
                Ok(Validated { kind: RecordKind::Ingest, payload, brings, ends: Some(*begun) })
            }
            Proposal::Write(write) => self.validate_write(group, write),
        }
    }

    fn validate_write(&self, group: &mut Group, write: &Write) -> Result<Validated, Refusal> {
        let Write { transaction, payload, reads, facts, known_versions, wall_ms } = write;
        let knows_all = *known_versions == self.catalogue.known_versions();
        if let Some(reads) = reads {
            self.check_reads_behind(group, reads)?;
        }
        let mut own = Group::default();
        for change in &transaction.changes {
            self.check_version(change, knows_all)?;
            self.check(group, &mut own, change, facts.as_ref(), *wall_ms)?;
            let exists = matches!(change.kind, ChangeKind::Put(_));
            own.write(change.table, change.key.clone(), exists);
        }
        self.check_unique(group, &mut own, transaction, facts.as_ref(), *wall_ms)?;
        group.merge(own);
        let brings = transaction.claimed_blobs();
        Ok(Validated { brings, ..Validated::new(RecordKind::Transactions, payload.clone()) })
    }
}
