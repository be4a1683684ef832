use std::collections::BTreeMap;

use crate::{EncodedKey, KeyRange, TableId};

/// The rows that the members of a group leave: whether each is there. In the order of their keys, so that what a later
/// member read can be looked for by range.
#[derive(Debug, Default)]
pub struct Group {
    tables: BTreeMap<TableId, BTreeMap<EncodedKey, bool>>,
}

impl Group {
    /// Whether the row is there behind the members; `None` if none of them wrote it.
    pub(crate) fn exists(&self, table: TableId, key: &EncodedKey) -> Option<bool> {
        self.tables.get(&table)?.get(key).copied()
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
        for (table, rows) in later.tables {
            self.tables.entry(table).or_default().extend(rows);
        }
    }
}
