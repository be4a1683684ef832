use std::collections::BTreeMap;

use crate::{EncodedKey, IndexId, KeyRange, TableId};

/// The rows that the members of a group leave. Members that rest on nothing are only noted: what they wrote is put in order
/// when another one first asks.
#[derive(Debug, Default)]
pub struct Group {
    /// What was written behind what is in order.
    noted: Vec<(TableId, EncodedKey, bool)>,
    written: Written,
}

type Row = (TableId, EncodedKey);

/// Values of a unique index.
type ClaimedValues = (IndexId, Vec<u8>);

/// What members wrote, in the order of the keys, so that what a later member read can be looked for by range.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Whether each row is there.
    tables: BTreeMap<TableId, BTreeMap<EncodedKey, bool>>,
    /// Which rows have what values of unique indexes.
    claims: BTreeMap<ClaimedValues, Row>,
    /// The same by row.
    claims_of: BTreeMap<Row, Vec<ClaimedValues>>,
}

impl Written {
    /// Whether the row is there behind the members; `None` if none of them wrote it.
    pub(crate) fn exists(&self, table: TableId, key: &EncodedKey) -> Option<bool> {
        self.tables.get(&table)?.get(key).copied()
    }

    /// The row that has these values of a unique index, if a member wrote it.
    pub(crate) fn holder(&self, index: IndexId, values: &[u8]) -> Option<&EncodedKey> {
        self.claims.get(&(index, values.to_vec())).map(|(_, key)| key)
    }

    /// The first key in the range that a member wrote.
    pub(crate) fn written_in(&self, range: &KeyRange) -> Option<&EncodedKey> {
        if range.is_empty() {
            return None;
        }
        let written = self.tables.get(&range.table)?.range::<EncodedKey, _>(range.bounds()).next();
        written.map(|(key, _)| key)
    }

    fn claim(&mut self, index: IndexId, values: Vec<u8>, row: Row) -> Option<EncodedKey> {
        self.claims_of.entry(row.clone()).or_default().push((index, values.clone()));
        self.claims.insert((index, values), row).map(|(_, key)| key)
    }

    /// What a row had is not its own any more.
    fn release(&mut self, row: &Row) {
        for claim in self.claims_of.remove(row).into_iter().flatten() {
            if self.claims.get(&claim) == Some(row) {
                self.claims.remove(&claim);
            }
        }
    }
}

impl Group {
    /// What was written so far.
    pub(crate) fn written(&mut self) -> &Written {
        for (table, key, exists) in self.noted.drain(..) {
            self.written.tables.entry(table).or_default().insert(key, exists);
        }
        &self.written
    }

    /// Notes that a row that a member wrote has these values of a unique index. Gives the one that had them.
    pub(crate) fn claim(
        &mut self,
        index: IndexId,
        values: Vec<u8>,
        table: TableId,
        key: EncodedKey,
    ) -> Option<EncodedKey> {
        self.written.claim(index, values, (table, key))
    }

    pub(crate) fn write(&mut self, table: TableId, key: EncodedKey, exists: bool) {
        self.noted.push((table, key, exists));
    }

    /// Takes in what another group left behind this one.
    pub(crate) fn merge(&mut self, later: Self) {
        let Self { noted, written: Written { tables, claims, .. } } = later;
        let ordered =
            tables.into_iter().flat_map(|(table, rows)| rows.into_iter().map(move |(key, is)| (table, key, is)));
        let first = self.noted.len();
        self.noted.extend(ordered);
        self.noted.extend(noted);
        // What a later member wrote again has what it has now.
        if !self.written.claims_of.is_empty() {
            for (table, key, _) in self.noted.iter().skip(first) {
                self.written.release(&(*table, key.clone()));
            }
        }
        for ((index, values), row) in claims {
            self.written.claim(index, values, row);
        }
    }
}
