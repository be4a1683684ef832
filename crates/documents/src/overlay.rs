use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeBounds;

use bucketdb_log::Seq;
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use crate::overlay_index::{Candidate, OverlayIndexes};
use crate::pins::Pins;
use crate::recent_writes::{ClaimHash, claim_hash};
use crate::{EncodedKey, Index, IndexEntry, IndexRange, KeyRange, TableEntry, TableId, indexed_document};

/// The rows of all tables in memory, in the order of their keys, with the versions that open snapshots still read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    tables: BTreeMap<TableId, Rows>,
    indexes: OverlayIndexes,
    pins: Pins,
    /// Whether there may be rows elsewhere, which a deletion here has to hide.
    over_runs: bool,
    size_bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Rows {
    by_key: BTreeMap<EncodedKey, Versions>,
    live: u64,
    live_bytes: u64,
}

/// What a key held, newest last; never empty. Most often it is one, which needs no memory of its own.
#[derive(Clone, Debug)]
struct Versions(SmallVec<[Version; 1]>);

/// What one write left of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) seq: Seq,
    /// `None` if the row was deleted.
    pub(crate) row: Option<Bytes>,
}

/// What a version takes in memory beside its key and row, about.
const OVERHEAD_BYTES: usize = 120;

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
    /// What was here of the row; `None` if nothing was.
    pub(crate) version: Option<Version>,
}

/// What nobody reads any more. Freeing it takes a millisecond for a few thousand rows, which nobody is to wait for.
#[derive(Clone, Debug, Default)]
pub struct Leftover {
    rows: Vec<(EncodedKey, Versions)>,
    indexes: OverlayIndexes,
}

impl Leftover {
    /// Whether it is freed in less time than it takes to hand it on.
    pub(crate) fn is_small(&self) -> bool {
        self.rows.len() <= SMALL_LEFTOVER_ROWS
    }

    /// Frees so many rows, or what is left; tells whether there is more.
    pub fn free_some(&mut self, rows: usize) -> bool {
        self.rows.truncate(self.rows.len().saturating_sub(rows));
        !self.rows.is_empty() || self.indexes.free_some(rows)
    }
}

/// So many rows are freed in about 0.1 ms.
const SMALL_LEFTOVER_ROWS: usize = 256;

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

/// A row that was written behind the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRow {
    /// Its key.
    pub key: EncodedKey,
    /// The row; `None` if it was deleted.
    pub row: Option<Bytes>,
    /// The position of the record that wrote it.
    pub version: Seq,
}

impl Version {
    pub(crate) fn found(self) -> Option<Found> {
        let version = self.seq;
        self.row.map(|row| Found { row, version })
    }
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
    /// An empty one, behind which there may be rows in runs.
    pub(crate) fn over_runs() -> Self {
        Self { over_runs: true, ..Self::default() }
    }

    /// From now on there may be rows in runs.
    pub(crate) fn set_over_runs(&mut self) {
        self.over_runs = true;
    }

    /// What its keys and rows take in memory, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes + self.indexes.size_bytes()
    }

    /// Notes where a row stands in the indexes of its table that the record at `seq` wrote, and what it replaced. Gives what
    /// it has in unique ones.
    pub(crate) fn index_row(
        &mut self,
        table: &TableEntry,
        row: &Bytes,
        seq: Seq,
        replaced: &Replaced,
    ) -> Vec<ClaimHash> {
        let mut claims = Vec::new();
        self.doubt_earlier(table, seq, replaced);
        let document = indexed_document(row, &table.layouts(), table.indexes());
        let by = replaced.version.as_ref().is_none_or(|version| version.seq != seq).then_some(seq);
        for index in table.indexes() {
            let values = index.values(&document);
            if index.is_unique {
                claims.extend(values.iter().map(|values| claim_hash(index.id, &values.bytes)));
            }
            self.indexes.add(table.id, index, (&replaced.key, row), values, by);
        }
        claims
    }

    /// After the record at `seq` wrote a row, or removed it, that it had written before: it does not say any more which of
    /// its rows stands in an index.
    pub(crate) fn doubt_earlier(&mut self, table: &TableEntry, seq: Seq, replaced: &Replaced) {
        let earlier = replaced.version.as_ref().filter(|version| version.seq == seq);
        let Some(earlier) = earlier.and_then(|version| version.row.as_ref()) else { return };
        let document = indexed_document(earlier, &table.layouts(), table.indexes());
        for index in table.indexes() {
            self.indexes.add(table.id, index, (&replaced.key, earlier), index.values(&document), None);
        }
    }

    /// Notes where the rows that are here stand in an index that is new, those of earlier versions included.
    pub(crate) fn index_rows(&mut self, table: &TableEntry, index: &Index) {
        let layouts = table.layouts();
        let Some(rows) = self.tables.get(&table.id) else { return };
        for (key, versions) in &rows.by_key {
            for version in &versions.0 {
                if let Some(row) = &version.row {
                    let values = index.values_of_row(row, &layouts);
                    self.indexes.add(table.id, index, (key, row), values, Some(version.seq));
                }
            }
        }
    }

    /// What an index has of the rows that were written, in order, as of a pinned position.
    pub(crate) fn index_entries(
        &self,
        table: &TableEntry,
        index: &Index,
        range: &IndexRange,
        at: Seq,
    ) -> Vec<IndexEntry> {
        let layouts = table.layouts();
        let ends_ms = |row: &Bytes| table.ttl().and_then(|ttl| ttl.ends_ms(row));
        let there = |Candidate { entry, by }: Candidate| {
            let version = self.at(table.id, &entry.key(), at)?;
            let is_known = by == Some(version.seq);
            let row = version.row.filter(|row| is_known || index.has_values(row, &layouts, entry.values()))?;
            Some(entry.ending(ends_ms(&row)))
        };
        let mut entries: Vec<IndexEntry> = self.indexes.in_range(table.id, index.id, range).filter_map(there).collect();
        let small = entries.len();
        for key in self.indexes.large_rows(table.id, index.id) {
            let Some(row) = self.at(table.id, key, at).and_then(|version| version.row) else { continue };
            let all = index.values_of_row(&row, &layouts).into_iter();
            let all = all.map(|values| IndexEntry::new(&values.bytes, key).ending(ends_ms(&row)));
            entries.extend(all.filter(|entry| range.contains(&entry.bytes)));
        }
        if entries.len() > small {
            // A row may have been small before it was large.
            entries.sort_unstable();
            entries.dedup();
        }
        entries
    }

    /// How many entries an index has in a range, `most` at most; those that rows had before they were written again count as well.
    pub(crate) fn count_index_entries(&self, table: TableId, index: &Index, range: &IndexRange, most: usize) -> usize {
        let small = self.indexes.in_range(table, index.id, range).take(most).count();
        small + self.indexes.large_rows(table, index.id).take(most.saturating_sub(small)).count()
    }

    /// Whether an index has a value that was cut.
    pub(crate) fn has_cut_values(&self, table: TableId, index: &Index) -> bool {
        self.indexes.has_cut_values(table, index.id)
    }

    /// What was written last of a key.
    pub(crate) fn newest(&self, table: TableId, key: &EncodedKey) -> Option<&Version> {
        self.tables.get(&table)?.by_key.get(key)?.newest()
    }

    /// What was written of a key as of a pinned position, or the last one.
    pub(crate) fn at(&self, table: TableId, key: &EncodedKey, at: Seq) -> Option<Version> {
        self.tables.get(&table)?.by_key.get(key)?.at(at).cloned()
    }

    /// What was written, in ascending order of the keys, as of a pinned position.
    pub(crate) fn scan(&self, scan: &Scan) -> Vec<WrittenRow> {
        let Some(rows) = self.tables.get(&scan.range.table) else { return Vec::new() };
        if scan.range.is_empty() {
            return Vec::new();
        }
        let range = rows.by_key.range::<EncodedKey, _>(scan.range.bounds());
        let visible = range.filter_map(|(key, versions)| {
            let version = versions.at(scan.at)?.clone();
            Some(WrittenRow { key: key.clone(), row: version.row, version: version.seq })
        });
        visible.take(scan.limit).collect()
    }

    /// How many rows of a table are here, how many bytes they and their keys take, and how many keys are here as deleted.
    pub(crate) fn size(&self, table: TableId) -> (u64, u64, u64) {
        self.tables.get(&table).map_or((0, 0, 0), |rows| {
            (rows.live, rows.live_bytes, (rows.by_key.len() as u64).saturating_sub(rows.live))
        })
    }

    /// The tables of which something is here, in order.
    pub(crate) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.keys().copied()
    }

    /// Writes a row, or removes it. Gives the key, and what was there before, in memory of their own.
    pub(crate) fn write(&mut self, table: TableId, key: &EncodedKey, row: Option<Bytes>, seq: Seq) -> Replaced {
        let rows = self.tables.entry(table).or_default();
        let size = |row: &Bytes| (key.as_bytes().len() + row.len()) as u64;
        if let Some(row) = &row {
            rows.live += 1;
            rows.live_bytes += size(row);
        }
        // Keys and rows get memory of their own: a slice would keep its whole record alive.
        let version = Version { seq, row: row.map(own) };
        match rows.by_key.entry(key.detached()) {
            Entry::Vacant(place) => {
                let key = place.key().clone();
                if version.row.is_some() || self.over_runs {
                    self.size_bytes += memory(&key, &version);
                    place.insert(Versions(smallvec![version]));
                }
                Replaced { key, version: None }
            }
            Entry::Occupied(mut place) => {
                let key = place.key().clone();
                let versions = place.get_mut();
                let before_is_read = versions.newest().is_some_and(|before| self.pins.any_in(before.seq, seq));
                let before = if before_is_read { versions.newest().cloned() } else { versions.0.pop() };
                if let Some(before) = &before {
                    if let Some(old) = &before.row {
                        rows.live -= 1;
                        rows.live_bytes -= size(old);
                    }
                    if before_is_read {
                        self.pins.keep(table, &key, before.seq, seq);
                    } else {
                        self.size_bytes -= memory(&key, before);
                    }
                }
                self.size_bytes += memory(&key, &version);
                let is_plain = versions.0.is_empty() && version.row.is_some();
                versions.0.push(version);
                if !is_plain {
                    let (has_some, freed_bytes) = drop_unread(&key, versions, &self.pins, self.over_runs);
                    self.size_bytes -= freed_bytes;
                    if !has_some {
                        place.remove();
                    }
                }
                Replaced { key, version: before }
            }
        }
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
            let (has_some, freed_bytes) = drop_unread(&key, versions, &self.pins, self.over_runs);
            self.size_bytes -= freed_bytes;
            if !has_some {
                rows.by_key.remove(&key);
                continue;
            }
            for (version, next) in versions.0.iter().zip(versions.0.iter().skip(1)) {
                self.pins.keep(table, &key, version.seq, next.seq);
            }
        }
    }

    /// Whether anybody reads here.
    pub(crate) fn is_pinned(&self) -> bool {
        !self.pins.is_empty()
    }

    /// Takes out what was written behind `covers`, with those who read there. What stays is for those who read before; they
    /// see as much as they did. If there are none, nothing stays but what is to be freed.
    pub(crate) fn split_off(&mut self, covers: Seq) -> (Self, Leftover) {
        let mut later = Self::over_runs();
        later.pins = self.pins.split_off(covers);
        let is_read = self.is_pinned();
        let mut leftover = Leftover::default();
        for (table, rows) in &mut self.tables {
            let mut new = Vec::with_capacity(rows.by_key.len());
            let mut take = |key: EncodedKey, versions: SmallVec<[Version; 1]>| {
                if !versions.is_empty() {
                    new.push((key, Versions(versions)));
                }
            };
            let first = |versions: &Versions| versions.0.partition_point(|version| version.seq <= covers);
            if is_read {
                for (key, versions) in &rows.by_key {
                    take(key.clone(), versions.0.iter().skip(first(versions)).cloned().collect());
                }
            } else {
                leftover.rows.reserve(rows.by_key.len());
                for (key, mut versions) in std::mem::take(&mut rows.by_key) {
                    let earlier = first(&versions);
                    if earlier == 0 {
                        take(key, versions.0);
                    } else {
                        take(key.clone(), versions.0.drain(earlier..).collect());
                        leftover.rows.push((key, versions));
                    }
                }
            }
            later.insert(*table, new);
        }
        later.indexes = self.indexes.behind(covers, |table, key| later.newest(table, key).is_some());
        if !is_read {
            leftover.indexes = std::mem::take(&mut self.indexes);
            self.tables.clear();
        }
        (later, leftover)
    }

    /// Rows of a table, in order, which are all that it has.
    fn insert(&mut self, table: TableId, rows: Vec<(EncodedKey, Versions)>) {
        if rows.is_empty() {
            return;
        }
        let (mut live, mut live_bytes) = (0, 0);
        for (key, versions) in &rows {
            if let Some(row) = versions.newest().and_then(|newest| newest.row.as_ref()) {
                live += 1;
                live_bytes += (key.as_bytes().len() + row.len()) as u64;
            }
            self.size_bytes += versions.0.iter().map(|version| memory(key, version)).sum::<usize>();
            for (version, next) in versions.0.iter().zip(versions.0.iter().skip(1)) {
                self.pins.keep(table, key, version.seq, next.seq);
            }
        }
        self.tables.insert(table, Rows { by_key: rows.into_iter().collect(), live, live_bytes });
    }

    /// All of it, to be freed.
    pub(crate) fn into_leftover(self) -> Leftover {
        let rows = self.tables.into_values().flat_map(|rows| rows.by_key).collect();
        Leftover { rows, indexes: self.indexes }
    }
}

fn memory(key: &EncodedKey, version: &Version) -> usize {
    OVERHEAD_BYTES + key.as_bytes().len() + version.row.as_ref().map_or(0, Bytes::len)
}

fn own(row: Bytes) -> Bytes {
    Bytes::copy_from_slice(&row)
}

/// Drops the versions that no pin reads; tells whether anything is left that must be kept, and how much memory was freed.
fn drop_unread(key: &EncodedKey, versions: &mut Versions, pins: &Pins, over_runs: bool) -> (bool, usize) {
    let before: usize = versions.0.iter().map(|version| memory(key, version)).sum();
    let mut next: Option<Seq> = None;
    let mut kept: SmallVec<[Version; 1]> = SmallVec::new();
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
    while !over_runs && kept.first().is_some_and(|oldest| oldest.row.is_none()) {
        kept.remove(0);
    }
    versions.0 = kept;
    let after: usize = versions.0.iter().map(|version| memory(key, version)).sum();
    (!versions.0.is_empty(), before - after)
}

#[cfg(test)]
mod tests;
