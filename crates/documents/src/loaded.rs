//! What the record of a bulk load says, behind what the log itself reads of it:
//!
//! ```text
//! size   what
//!    1   0 if no table had any of its keys before, 1 if that was not known
//!    …   the runs, as a tree of the crate bucketdb-lsm; each of their entries counts as written at the record's position
//! ```

use std::ops::Bound;
use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_log::codec::{Malformed, Reader};
use bucketdb_lsm::{Tier, TierRun, Tree, TreeScan};
use bucketdb_runs::{RunEntry, RunError, RunMeta, RunStore, ScanOptions};
use bytes::Bytes;

use crate::{EncodedKey, KeyRange, TableId, run_key};

/// What all tiers of a load that is read have together in memory, about, in bytes; a tier takes twice what it asks for.
const READ_BYTES: u64 = 8 << 20;

/// What a tier asks for at least: less at a time makes many requests.
const LEAST_READ_BYTES: u64 = 256 << 10;

/// The runs that one record brought.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Newest first.
    tiers: Vec<Tier>,
    may_replace: bool,
}

impl Loaded {
    /// What the record says of runs, newest first.
    pub(crate) fn encode(tree: &Tree, may_replace: bool) -> Bytes {
        let mut payload = vec![u8::from(may_replace)];
        tree.encode(&mut payload);
        payload.into()
    }

    /// Reads what the record at `seq` says.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn decode(seq: Seq, payload: Bytes, store: &RunStore) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let may_replace = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed("a bulk load neither replaces rows nor leaves them alone")),
        };
        let tree = Tree::decode(&mut reader, store)?;
        reader.finish()?;
        let with_version = |run: &TierRun| {
            let meta = RunMeta { version: Some(seq), ..run.meta().clone() };
            run.with_run(store.open(Arc::new(meta)))
        };
        let tiers = tree.tiers().iter().map(|tier| Tier::new(tier.runs().iter().map(with_version).collect())).collect();
        Ok(Self { tiers, may_replace })
    }

    pub(crate) fn into_tiers(self) -> Vec<Tier> {
        self.tiers
    }

    /// Whether rows of it may have replaced others. If not, none of its keys was there before.
    #[must_use]
    pub fn may_replace(&self) -> bool {
        self.may_replace
    }

    /// Its rows in the order of their tables and keys, without the first `place`; those of one table, if one is given, which
    /// are counted among those of all tables.
    #[must_use]
    pub fn scan(self, table: Option<TableId>, place: u64) -> LoadScan {
        let (scan, next) = begin(&self.tiers, table, place);
        LoadScan { tiers: self.tiers, table, scan, next, wanted: place, is_torn: false }
    }
}

/// A row of a bulk load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedRow {
    /// How many rows of the load lie before it.
    pub place: u64,
    /// Its table.
    pub table: TableId,
    /// Its key.
    pub key: EncodedKey,
    /// What it is; `None` if it says that there is none.
    pub row: Option<Bytes>,
}

/// The rows of a bulk load, one after the other, in bounded memory.
///
/// What is passed over in the beginning is not read but for a part of one run, if the load is one tier, which it is unless it
/// was to replace what is there and came in an order that is not that of the keys.
#[derive(Debug)]
pub struct LoadScan {
    tiers: Vec<Tier>,
    table: Option<TableId>,
    scan: TreeScan,
    /// The place of what the scan gives next.
    next: u64,
    /// What lies before this place is passed over.
    wanted: u64,
    /// Whether a look at several tiers was not brought to its end, so that the scan may have lost something.
    is_torn: bool,
}

impl LoadScan {
    /// The next row. Who stops waiting, or gets an error, may ask again, and misses nothing.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn next(&mut self) -> Result<Option<LoadedRow>, RunError> {
        if self.is_torn {
            (self.scan, self.next) = begin(&self.tiers, self.table, self.wanted);
            self.is_torn = false;
        }
        loop {
            let entry = match self.scan.next_ready() {
                Some(entry) => entry,
                None => {
                    self.is_torn = self.tiers.len() > 1;
                    let next = self.scan.next().await?;
                    self.is_torn = false;
                    let Some(entry) = next else { return Ok(None) };
                    entry
                }
            };
            let place = self.next;
            self.next += 1;
            if place < self.wanted {
                continue;
            }
            self.wanted = self.next;
            if let Some(row) = row(place, entry)
                && self.table.is_none_or(|table| table == row.table)
            {
                return Ok(Some(row));
            }
        }
    }
}

/// A scan for what lies behind a place, and the place where it begins, which may be before that.
fn begin(tiers: &[Tier], table: Option<TableId>, place: u64) -> (TreeScan, u64) {
    let share = READ_BYTES / 2 / tiers.len().max(1) as u64;
    let usual = ScanOptions { fill_cache: false, ..ScanOptions::default() };
    let options = ScanOptions { read_ahead_bytes: share.clamp(LEAST_READ_BYTES, usual.read_ahead_bytes), ..usual };
    let scan = |tiers: &[Tier], range| TreeScan::new(tiers.iter(), &range, options.clone()).with_deletions();
    let (from, to) = match table {
        Some(table) => run_key::range(&KeyRange::all(table)),
        None => (Bound::Unbounded, Bound::Unbounded),
    };
    if scan(tiers, (from.clone(), to.clone())).is_empty() {
        return (scan(&[], (from, to)), 0);
    }
    // Where tiers overlap, it takes a look at their keys to tell how many rows they are.
    let [tier] = tiers else { return (scan(tiers, (Bound::Unbounded, to)), 0) };
    let (mut first, mut before) = (0, 0);
    for run in tier.runs() {
        let meta = run.meta();
        let is_before = |bound: &Bound<Bytes>| match bound {
            Bound::Unbounded => false,
            Bound::Included(key) => meta.last_key < *key,
            Bound::Excluded(key) => meta.last_key <= *key,
        };
        let is_passed = before + meta.entries <= place || is_before(&from);
        if !is_passed || !run.covers(&meta.first_key) {
            break;
        }
        (first, before) = (first + 1, before + meta.entries);
    }
    let rest = Tier::new(tier.runs().get(first..).unwrap_or_default().to_vec());
    (scan(&[rest], (Bound::Unbounded, to)), before)
}

fn row(place: u64, entry: RunEntry) -> Option<LoadedRow> {
    let table = run_key::table(&entry.key)?;
    Some(LoadedRow { place, table, key: run_key::decode(entry.key)?, row: entry.row })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let mut runs = Vec::new();
        Tree::default().encode(&mut runs);
        assert_eq!(Loaded::encode(&Tree::default(), false), [&[0], runs.as_slice()].concat());
        assert_eq!(Loaded::encode(&Tree::default(), true), [&[1], runs.as_slice()].concat());
    }
}
