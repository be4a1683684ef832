use std::collections::BTreeMap;

use crate::{EncodedKey, IndexId, KeyRange, TableId};

/// The rows that the members of a group leave: whether each is there. In the order of their keys, so that what a later
/// member read can be looked for by range.
#[derive(Debug, Default)]
pub struct Group {
    tables: BTreeMap<TableId, BTreeMap<EncodedKey, bool>>,
    /// Which rows have what values of unique indexes.
    claims: BTreeMap<(IndexId, Vec<u8>), (TableId, EncodedKey)>,
}

impl Group {
    /// Whether the row is there behind the members; `None` if none of them wrote it.
    pub(crate) fn exists(&self, table: TableId, key: &EncodedKey) -> Option<bool> {
        self.tables.get(&table)?.get(key).copied()
    }

    /// The row that has these values of a unique index, if a member wrote it.
    pub(crate) fn holder(&self, index: IndexId, values: &[u8]) -> Option<&EncodedKey> {
        self.claims.get(&(index, values.to_vec())).map(|(_, key)| key)
    }

    /// Notes that a row that a member wrote has these values of a unique index. Gives the one that had them.
    pub(crate) fn claim(
        &mut self,
        index: IndexId,
        values: Vec<u8>,
        table: TableId,
        key: EncodedKey,
    ) -> Option<EncodedKey> {
        self.claims.insert((index, values), (table, key)).map(|(_, key)| key)
    }

    pub(crate) fn write(&mut self, table: TableId, key: EncodedKey, exists: bool) {
        self.tables.entry(table).or_default().insert(key, exists);
    }

    /// The first key in the range that a member wrote.
    pub(crate) fn written_in(&self, range: &KeyRange) -> Option<&EncodedKey> {
        if range.is_empty() {
            return None;
        }
        let written = self.tables.get(&range.table)?.range::<EncodedKey, _>(range.bounds()).next();
        written.map(|(key, _)| key)
    }

    /// Takes in what another group left behind this one.
    pub(crate) fn merge(&mut self, later: Self) {
        // What a later member wrote again has what it has now.
        if !self.claims.is_empty() {
            self.claims.retain(|_, (table, key)| later.exists(*table, key).is_none());
        }
        self.claims.extend(later.claims);
        for (table, rows) in later.tables {
            self.tables.entry(table).or_default().extend(rows);
        }
    }
}
