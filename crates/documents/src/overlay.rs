use std::collections::BTreeMap;
use std::ops::Bound;

use bucketdb_log::Seq;
use bytes::Bytes;

use crate::pins::Pins;
use crate::{EncodedKey, KeyRange, TableId};

/// The rows of all tables in memory, in the order of their keys, with the versions that open snapshots still read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    tables: BTreeMap<TableId, Rows>,
    pins: Pins,
}

#[derive(Clone, Debug, Default)]
struct Rows {
    by_key: BTreeMap<EncodedKey, Versions>,
    live: u64,
    live_bytes: u64,
}

/// What a key held, newest last; never empty.
#[derive(Clone, Debug)]
struct Versions(Vec<Version>);

#[derive(Clone, Debug)]
struct Version {
    seq: Seq,
    /// `None` if the row was deleted.
    row: Option<Bytes>,
}

/// A row that was found, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The row.
    pub row: Bytes,
    /// The position of the record that wrote it.
    pub version: Seq,
}

/// What a write replaced.
#[derive(Debug)]
pub(crate) struct Replaced {
    /// The key.
    pub(crate) key: EncodedKey,
    /// The row that was there.
    pub(crate) row: Option<Bytes>,
}

/// What to read of a table.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The table and its keys.
    pub range: KeyRange,
    /// The position to read at.
    pub at: Seq,
    /// How many rows at most.
    pub limit: usize,
}

/// One row of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRow {
    /// Its key.
    pub key: EncodedKey,
    /// The row.
    pub row: Bytes,
}

impl Versions {
    fn at(&self, seq: Seq) -> Option<&Version> {
        self.0.iter().rev().find(|version| version.seq <= seq)
    }

    fn newest(&self) -> Option<&Version> {
        self.0.last()
    }
}

impl Overlay {
    /// The newest row of a key.
    pub(crate) fn newest(&self, table: TableId, key: &EncodedKey) -> Option<Found> {
        let version = self.tables.get(&table)?.by_key.get(key)?.newest()?;
        Some(Found { row: version.row.clone()?, version: version.seq })
    }

    /// The position at which a key's row was last written; `None` if there is no row.
    pub(crate) fn version(&self, table: TableId, key: &EncodedKey) -> Option<Seq> {
        let version = self.tables.get(&table)?.by_key.get(key)?.newest()?;
        version.row.as_ref().map(|_| version.seq)
    }

    /// The row of a key as of a pinned position.
    pub(crate) fn at(&self, table: TableId, key: &EncodedKey, at: Seq) -> Option<Found> {
        let version = self.tables.get(&table)?.by_key.get(key)?.at(at)?;
        Some(Found { row: version.row.clone()?, version: version.seq })
    }

    /// Rows in ascending order of their keys, as of a pinned position.
    pub(crate) fn scan(&self, scan: &Scan) -> Vec<ScanRow> {
        let Some(rows) = self.tables.get(&scan.range.table) else { return Vec::new() };
        if scan.range.is_empty() {
            return Vec::new();
        }
        let range = rows.by_key.range::<EncodedKey, _>(scan.range.bounds());
        let visible = range.filter_map(|(key, versions)| {
            let row = versions.at(scan.at)?.row.clone()?;
            Some(ScanRow { key: key.clone(), row })
        });
        visible.take(scan.limit).collect()
    }

    /// How many rows a table has, and how many bytes they and their keys take.
    pub(crate) fn size(&self, table: TableId) -> (u64, u64) {
        self.tables.get(&table).map_or((0, 0), |rows| (rows.live, rows.live_bytes))
    }

    /// Writes a row, or removes it. Gives the key and the row that was there before, in memory of their own.
    pub(crate) fn write(&mut self, table: TableId, key: &EncodedKey, row: Option<Bytes>, seq: Seq) -> Replaced {
        let rows = self.tables.entry(table).or_default();
        let size = |row: &Bytes| (key.as_bytes().len() + row.len()) as u64;
        if let Some(row) = &row {
            rows.live += 1;
            rows.live_bytes += size(row);
        }
        let one_key = (Bound::Included(key), Bound::Included(key));
        let Some((key, versions)) = rows.by_key.range_mut::<EncodedKey, _>(one_key).next() else {
            // Keys and rows get memory of their own: a slice would keep its whole record alive.
            let key = EncodedKey::from_checked(Bytes::copy_from_slice(key.as_bytes()));
            if row.is_some() {
                rows.by_key.insert(key.clone(), Versions(vec![Version { seq, row: row.map(own) }]));
            }
            return Replaced { key, row: None };
        };
        let key = key.clone();
        let before = versions.newest().map(|version| version.seq);
        let replaced = versions.newest().and_then(|version| version.row.clone());
        if let Some(old) = &replaced {
            rows.live -= 1;
            rows.live_bytes -= size(old);
        }
        versions.0.push(Version { seq, row: row.map(own) });
        if !drop_unread(versions, &self.pins) {
            rows.by_key.remove(&key);
        } else if let Some(before) = before {
            self.pins.keep(table, &key, before, seq);
        }
        Replaced { key, row: replaced }
    }

    /// Keeps what is visible at `seq` until it is unpinned as often.
    pub(crate) fn pin(&mut self, seq: Seq) {
        self.pins.add(seq);
    }

    /// Lets go of what only the reader at `seq` needed.
    pub(crate) fn unpin(&mut self, seq: Seq) {
        for (table, key) in self.pins.remove(seq) {
            let Some(rows) = self.tables.get_mut(&table) else { continue };
            let Some(versions) = rows.by_key.get_mut(&key) else { continue };
            if !drop_unread(versions, &self.pins) {
                rows.by_key.remove(&key);
                continue;
            }
            for (version, next) in versions.0.iter().zip(versions.0.iter().skip(1)) {
                self.pins.keep(table, &key, version.seq, next.seq);
            }
        }
    }
}

fn own(row: Bytes) -> Bytes {
    Bytes::copy_from_slice(&row)
}

/// Drops the versions that no pin reads; tells whether anything is left that must be kept.
fn drop_unread(versions: &mut Versions, pins: &Pins) -> bool {
    let mut next: Option<Seq> = None;
    let mut kept: Vec<Version> = Vec::with_capacity(1);
    for version in versions.0.drain(..).rev() {
        let read = match next {
            None => true,
            // A version is visible from its own position up to just before the next one's. Two writes of one record
            // have one position: only the later is visible.
            Some(next) => pins.any_in(version.seq, next),
        };
        if read {
            next = Some(version.seq);
            kept.push(version);
        }
    }
    kept.reverse();
    // A deletion hides what lies below it; when nothing does, it says nothing.
    while kept.first().is_some_and(|oldest| oldest.row.is_none()) {
        kept.remove(0);
    }
    versions.0 = kept;
    !versions.0.is_empty()
}

#[cfg(test)]
mod tests;
