use std::collections::BTreeMap;

use bucketdb_documents::{Change, ChangeKind, Condition, EncodedKey, KeyRange, TableId, Transaction};
use bytes::Bytes;

/// What a transaction wrote so far: for every key the row that it leaves.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    tables: BTreeMap<TableId, BTreeMap<EncodedKey, Written>>,
}

#[derive(Debug)]
struct Written {
    /// `None` if it was removed.
    row: Option<Bytes>,
    /// What must hold of the row before the transaction's first write of it.
    condition: Condition,
}

impl Writes {
    /// Takes in a change; the condition of a key's first change counts, later ones meet the transaction's own row.
    pub(crate) fn add(&mut self, change: Change) {
        let Change { table, key, condition, kind } = change;
        let row = match kind {
            ChangeKind::Put(row) => Some(row),
            ChangeKind::Delete => None,
        };
        let rows = self.tables.entry(table).or_default();
        rows.entry(key).and_modify(|written| written.row.clone_from(&row)).or_insert(Written { row, condition });
    }

    /// The row as the transaction left it; `None` if it did not write it.
    pub(crate) fn get(&self, table: TableId, key: &EncodedKey) -> Option<Option<Bytes>> {
        self.tables.get(&table)?.get(key).map(|written| written.row.clone())
    }

    /// The rows in a range as the transaction left them.
    pub(crate) fn in_range(&self, range: &KeyRange) -> BTreeMap<EncodedKey, Option<Bytes>> {
        let Some(rows) = self.tables.get(&range.table).filter(|_| !range.is_empty()) else { return BTreeMap::new() };
        let written = rows.range((range.start.clone(), range.end.clone()));
        written.map(|(key, written)| (key.clone(), written.row.clone())).collect()
    }

    /// What is to be committed; `None` if nothing was written.
    pub(crate) fn into_transaction(self) -> Option<Transaction> {
        let changes = self.tables.into_iter().flat_map(|(table, rows)| {
            rows.into_iter().map(move |(key, Written { row, condition })| {
                let kind = row.map_or(ChangeKind::Delete, ChangeKind::Put);
                Change { table, key, condition, kind }
            })
        });
        let changes: Vec<Change> = changes.collect();
        (!changes.is_empty()).then_some(Transaction { changes })
    }
}
