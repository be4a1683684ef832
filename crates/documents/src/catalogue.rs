mod branches;
mod named_snapshots;
mod table_entry;

use std::collections::BTreeMap;
use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_log::format::chain_hash;
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_query::TextTypes;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::layout::AllLayouts;
use crate::succession::check_succession;
use crate::ttl::{check_end_type, ttl_field};
use crate::{Index, IndexDefinition, IndexId, InvalidSchema, Refusal, Schema, Ttl};

pub use self::branches::{BranchPin, BranchPins, MAX_BRANCHES};
pub use self::named_snapshots::{MAX_SNAPSHOT_NAME_BYTES, MAX_SNAPSHOTS, NamedPosition, NamedSnapshots};
pub use self::table_entry::{Migrated, TableEntry};

/// A table, for ever: its number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u32);

/// All tables and all versions of their schemas.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    tables: BTreeMap<TableId, TableEntry>,
    by_name: BTreeMap<String, TableId>,
    /// The highest number that an index ever had.
    last_index: u32,
    has_ttls: bool,
    /// How many versions of schemas there are.
    known_versions: u32,
    snapshots: NamedSnapshots,
    branches: BranchPins,
    /// Shared with every catalogue that was made from this one, and with whoever reads rows.
    layouts: AllLayouts,
}

const REGISTER: u8 = 0;
const DROP_INDEX: u8 = 1;
const CHANGE_TTL: u8 = 2;
const MIGRATE: u8 = 3;

impl Catalogue {
    /// The table of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&TableEntry> {
        self.by_name.get(name).and_then(|id| self.tables.get(id))
    }

    /// The table of that number.
    #[must_use]
    pub fn table(&self, id: TableId) -> Option<&TableEntry> {
        self.tables.get(&id)
    }

    /// The tables in the order of their names.
    pub fn tables(&self) -> impl Iterator<Item = &TableEntry> {
        self.by_name.values().filter_map(|id| self.tables.get(id))
    }

    /// The tables whose documents have an end, and the fields that say so.
    pub fn ttls(&self) -> impl Iterator<Item = (TableId, &Arc<Ttl>)> {
        self.tables.values().filter_map(|entry| Some((entry.id, entry.ttl()?)))
    }

    /// Stands for which fields say when documents end; 0 if none does.
    #[must_use]
    pub fn ttls_hash(&self) -> u64 {
        let mut named = Vec::new();
        for (table, ttl) in self.ttls() {
            codec::put_varint(&mut named, u64::from(table.0));
            codec::put_bytes(&mut named, ttl.field().as_bytes());
        }
        if named.is_empty() {
            return 0;
        }
        let hash = chain_hash(&named).0;
        hash.first_chunk().map_or(1, |first| u64::from_le_bytes(*first).max(1))
    }

    /// Whether there is a table whose documents have an end.
    #[must_use]
    pub fn has_ttls(&self) -> bool {
        self.has_ttls
    }

    /// The highest number that an index ever had; 0 if there was none.
    #[must_use]
    pub fn last_index(&self) -> u32 {
        self.last_index
    }

    /// How many versions of schemas there are, of all tables together.
    #[must_use]
    pub fn known_versions(&self) -> u32 {
        self.known_versions
    }

    /// The tables that have indexes.
    pub fn indexed_tables(&self) -> impl Iterator<Item = &TableEntry> {
        self.tables.values().filter(|entry| !entry.indexes.is_empty())
    }

    /// All indexes, with their tables.
    pub fn indexes(&self) -> impl Iterator<Item = (&TableEntry, &Index)> {
        self.tables.values().flat_map(|entry| entry.indexes.iter().map(move |index| (entry, index)))
    }

    /// The positions of the log that have a name.
    #[must_use]
    pub fn snapshots(&self) -> &NamedSnapshots {
        &self.snapshots
    }

    /// The branches that there are.
    #[must_use]
    pub fn branches(&self) -> &BranchPins {
        &self.branches
    }

    /// The positions that are kept for as long as somebody says so: those that have a name, and those at which branches fork.
    pub fn kept_positions(&self) -> impl Iterator<Item = Seq> {
        let forks = self.branches.iter().map(|(_, pin)| pin.fork);
        self.snapshots.positions().chain(forks.filter(|_| !is_planted(PlantedBug::BranchForgotten)))
    }

    /// Becomes that of a branch: what was kept for others is the parent's.
    pub(crate) fn begin_branch(&mut self) {
        (self.snapshots, self.branches) = Default::default();
    }

    /// All of it, as a manifest has it: the number of versions of schemas, each as a record registers it; the highest number
    /// that an index ever had; the number of indexes, each as its table, its number, whether it is unique (0 or 1), and its
    /// fields as text; the number of tables whose documents have an end, each as its number and the field; the number of tables
    /// of which documents were migrated, each with the lowest version that is accepted, and the lowest that there is; the number
    /// of snapshots, each as its name, its position and the time there; the number of branches, each as its name, its id, where it
    /// forks, what the checkpoint covers that it begins with, and the position and the time of the record that brought it.
    /// Numbers are varints; texts have their sizes before them.
    pub(crate) fn encode(&self) -> Bytes {
        let versions = || self.tables.values().flat_map(|entry| entry.versions.iter().map(|schema| (entry.id, schema)));
        let mut buffer = Vec::new();
        codec::put_varint(&mut buffer, versions().count() as u64);
        for (id, schema) in versions() {
            codec::put_bytes(&mut buffer, &registration(id, schema));
        }
        codec::put_varint(&mut buffer, u64::from(self.last_index));
        codec::put_varint(&mut buffer, self.indexes().count() as u64);
        for (table, index) in self.indexes() {
            codec::put_varint(&mut buffer, u64::from(table.id.0));
            codec::put_varint(&mut buffer, u64::from(index.id.0));
            buffer.push(u8::from(index.is_unique));
            codec::put_bytes(&mut buffer, index.order.to_string().as_bytes());
        }
        codec::put_varint(&mut buffer, self.ttls().count() as u64);
        for (table, ttl) in self.ttls() {
            codec::put_varint(&mut buffer, u64::from(table.0));
            codec::put_bytes(&mut buffer, ttl.field().as_bytes());
        }
        let migrated = || self.tables.values().filter(|entry| entry.migrated != Migrated::default());
        codec::put_varint(&mut buffer, migrated().count() as u64);
        for TableEntry { id, migrated, .. } in migrated() {
            for number in [id.0, migrated.accepts, migrated.has] {
                codec::put_varint(&mut buffer, u64::from(number));
            }
        }
        self.snapshots.encode(&mut buffer);
        self.branches.encode(&mut buffer);
        buffer.into()
    }

    /// One without tables, of the same database.
    pub(crate) fn fresh(&self) -> Self {
        Self { layouts: self.layouts.clone(), ..Self::default() }
    }

    /// Reads what [`encode`](Self::encode) wrote, of the same database.
    pub(crate) fn decode(&self, bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut catalogue = self.fresh();
        for _ in 0..reader.length()? {
            catalogue.apply(reader.bytes()?)?;
        }
        catalogue.last_index = number(&mut reader)?;
        for _ in 0..reader.length()? {
            let (table, id) = (TableId(number(&mut reader)?), IndexId(number(&mut reader)?));
            let is_unique = reader.u8()? != 0;
            let fields = reader.text()?;
            let entry = catalogue.tables.get_mut(&table).ok_or(Malformed("an index is of no table"))?;
            entry.indexes.push(entry.new_index(id, &IndexDefinition { fields, is_unique })?);
        }
        for _ in 0..reader.length()? {
            let table = TableId(number(&mut reader)?);
            let entry = catalogue.tables.get_mut(&table).ok_or(Malformed("an end of documents is of no table"))?;
            entry.set_ttl(Some(&reader.text()?))?;
            catalogue.has_ttls = true;
        }
        for _ in 0..reader.length()? {
            let table = TableId(number(&mut reader)?);
            let migrated = Migrated { accepts: number(&mut reader)?, has: number(&mut reader)? };
            let entry = catalogue.tables.get_mut(&table).ok_or(Malformed("what was migrated is of no table"))?;
            entry.migrated = migrated;
        }
        catalogue.snapshots = NamedSnapshots::decode(&mut reader)?;
        catalogue.branches = BranchPins::decode(&mut reader)?;
        reader.finish()?;
        Ok(catalogue)
    }

    /// The payload of the record that registers `schema`.
    pub(crate) fn register(&self, schema: &Schema) -> Result<Bytes, Refusal> {
        schema.check().map_err(Refusal::Schema)?;
        let id = match self.by_name(schema.table()) {
            None => TableId(self.tables.last_key_value().map_or(1, |(last, _)| last.0 + 1)),
            Some(entry) => {
                entry.check_accepted(schema.version())?;
                entry.check_indexes(schema).map_err(Refusal::Schema)?;
                let known = entry.versions.iter().find(|known| known.version() == schema.version());
                if let Some(known) = known {
                    known.check_successor(schema).map_err(Refusal::Schema)?;
                    if entry.has(schema) && !entry.lacks_ttl(schema) {
                        return Err(Refusal::AlreadyRegistered(entry.id));
                    }
                    return Ok(registration(entry.id, schema).into());
                }
                let newest = entry.schema();
                if schema.version() < newest.version() {
                    let reason = format!(
                        "version {} was never registered, and version {} is; only higher versions can be added",
                        schema.version(),
                        newest.version()
                    );
                    return Err(Refusal::Schema(InvalidSchema { table: schema.table().to_owned(), reason }));
                }
                check_succession(newest, &entry.evolution, schema).map_err(Refusal::Schema)?;
                entry.id
            }
        };
        Ok(registration(id, schema).into())
    }

    /// The payload of the record that drops an index; `None` if there is none over these fields.
    pub(crate) fn drop_index(&self, table: &str, fields: &str) -> Option<Bytes> {
        let entry = self.by_name(table)?;
        let index = entry.index(fields)?;
        let mut payload = Vec::new();
        codec::put_varint(&mut payload, u64::from(entry.id.0));
        payload.push(DROP_INDEX);
        codec::put_varint(&mut payload, u64::from(index.id.0));
        Some(payload.into())
    }

    /// The payload of the record that says which field of a table's documents says when they end; `None`: they do not.
    pub(crate) fn change_ttl(&self, table: &str, field: Option<&str>) -> Result<Bytes, Refusal> {
        let unknown = || InvalidSchema { table: table.to_owned(), reason: "there is no such table".to_owned() };
        let entry = self.by_name(table).ok_or_else(|| Refusal::Schema(unknown()))?;
        if let Some(field) = field {
            let is_possible = ttl_field(table, field).and_then(|field| check_end_type(table, &field, &entry.types));
            is_possible.map_err(Refusal::Schema)?;
        }
        if field.map_or(entry.ttl.is_none(), |field| entry.ends_by(field)) {
            return Err(Refusal::AlreadyRegistered(entry.id));
        }
        let mut payload = Vec::new();
        codec::put_varint(&mut payload, u64::from(entry.id.0));
        payload.push(CHANGE_TTL);
        payload.extend_from_slice(field.unwrap_or_default().as_bytes());
        Ok(payload.into())
    }

    /// The payload of the record that gives its own position a name.
    pub(crate) fn create_snapshot(&self, name: &str) -> Result<Bytes, Refusal> {
        self.snapshots.create(name)
    }

    /// The payload of the record that takes the name of a position away.
    pub(crate) fn drop_snapshot(&self, name: &str) -> Result<Bytes, Refusal> {
        self.snapshots.drop(name)
    }

    /// The payload of the record that brings a branch.
    pub(crate) fn create_branch(&self, name: &str, id: [u8; 16], at: Option<(Seq, Seq)>) -> Result<Bytes, Refusal> {
        self.branches.create(name, id, at)
    }

    /// The payload of the record that says that a branch is gone.
    pub(crate) fn drop_branch(&self, name: &str, id: [u8; 16]) -> Result<Bytes, Refusal> {
        self.branches.drop(name, id)
    }

    /// The payload of the record that says how far the documents of a table have come.
    pub(crate) fn migrate(&self, table: TableId, wanted: Migrated) -> Result<Bytes, Refusal> {
        let entry = self.table(table).ok_or(Refusal::UnknownTable(table))?;
        let Migrated { accepts, has } = entry.migrated;
        let next = Migrated { accepts: accepts.max(wanted.accepts), has: has.max(wanted.has) };
        if next == entry.migrated {
            return Err(Refusal::AlreadyRegistered(table));
        }
        let invalid = |reason: String| Refusal::Schema(entry.schema().invalid(reason));
        if !entry.versions.iter().any(|known| known.version() == next.accepts) {
            return Err(invalid(format!("version {} is not registered: nothing can be migrated to it", next.accepts)));
        }
        if next.has > next.accepts {
            return Err(invalid(format!("documents of versions below {} are still accepted", next.has)));
        }
        let mut payload = Vec::new();
        codec::put_varint(&mut payload, u64::from(table.0));
        payload.push(MIGRATE);
        codec::put_varint(&mut payload, u64::from(next.accepts));
        codec::put_varint(&mut payload, u64::from(next.has));
        Ok(payload.into())
    }

    /// Takes in what the record at a position says, where the last checkpoint covers `covers`.
    pub(crate) fn apply_at(
        &mut self,
        payload: Bytes,
        at: NamedPosition,
        covers: Seq,
    ) -> Result<Vec<(TableId, Index)>, Malformed> {
        if self.snapshots.apply(&payload, at)? || self.branches.apply(&payload, at, covers)? {
            return Ok(Vec::new());
        }
        self.apply(payload)
    }

    /// Takes in what [`register`](Self::register), [`drop_index`](Self::drop_index) or [`migrate`](Self::migrate) wrote.
    /// Gives the indexes that are new.
    pub(crate) fn apply(&mut self, payload: Bytes) -> Result<Vec<(TableId, Index)>, Malformed> {
        let mut reader = Reader::new(payload);
        let id = TableId(number(&mut reader)?);
        match reader.u8()? {
            REGISTER => {}
            DROP_INDEX => {
                let dropped = IndexId(number(&mut reader)?);
                reader.finish()?;
                let entry = self.tables.get_mut(&id).ok_or(Malformed("an index is of no table"))?;
                entry.indexes.retain(|index| index.id != dropped);
                return Ok(Vec::new());
            }
            CHANGE_TTL => {
                let length = reader.remaining();
                let field = reader.take(length)?;
                let field = std::str::from_utf8(&field).map_err(|_| Malformed("a field's name is no text"))?;
                let entry = self.tables.get_mut(&id).ok_or(Malformed("an end of documents is of no table"))?;
                entry.set_ttl(Some(field).filter(|field| !field.is_empty()))?;
                let has_ttls = self.ttls().next().is_some();
                self.has_ttls = has_ttls;
                return Ok(Vec::new());
            }
            MIGRATE => {
                let migrated = Migrated { accepts: number(&mut reader)?, has: number(&mut reader)? };
                reader.finish()?;
                let entry = self.tables.get_mut(&id).ok_or(Malformed("what was migrated is of no table"))?;
                entry.migrated = migrated;
                return Ok(Vec::new());
            }
            _ => return Err(Malformed("a change of the catalogue is of an unknown kind")),
        }
        let length = reader.remaining();
        let schema: Schema =
            rmp_serde::from_slice(&reader.take(length)?).map_err(|_| Malformed("a schema does not decode"))?;
        self.by_name.insert(schema.table().to_owned(), id);
        let layouts = self.layouts.clone();
        let entry = self.tables.entry(id).or_insert_with(|| TableEntry {
            id,
            versions: Vec::new(),
            indexes: Vec::new(),
            ttl: None,
            types: TextTypes::default(),
            layouts,
            evolution: Arc::default(),
            migrated: Migrated::default(),
        });
        let mut wanted = Vec::new();
        let is_new = !entry.versions.iter().any(|known| known.version() == schema.version());
        if is_new {
            self.known_versions += 1;
            wanted = entry.add_version(schema.clone().declaration());
        }
        if schema.ttl().is_some() && (is_new || entry.ttl.is_none()) {
            entry.set_ttl(schema.ttl())?;
            self.has_ttls = true;
        }
        wanted.extend_from_slice(schema.indexes());
        let mut added = Vec::new();
        for wanted in &wanted {
            if entry.index(&wanted.fields).is_none() {
                self.last_index += 1;
                let index = entry.new_index(IndexId(self.last_index), wanted)?;
                entry.indexes.push(index.clone());
                added.push((id, index));
            }
        }
        Ok(added)
    }
}

fn number(reader: &mut Reader) -> Result<u32, Malformed> {
    u32::try_from(reader.varint()?).map_err(|_| Malformed("the number of a table or an index is out of range"))
}

/// A table's number and a version of its schema, as a record has them.
fn registration(id: TableId, schema: &Schema) -> Vec<u8> {
    let mut payload = Vec::new();
    codec::put_varint(&mut payload, u64::from(id.0));
    payload.push(REGISTER);
    #[expect(clippy::expect_used, reason = "a schema is texts and numbers, which always serialise")]
    payload.extend(rmp_serde::to_vec_named(schema).expect("a schema serialises"));
    payload
}

#[cfg(test)]
mod tests;
