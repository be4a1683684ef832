use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::{Bound, RangeBounds};

use bucketdb_log::Seq;
use bytes::Bytes;
use foldhash::quality::RandomState;

use crate::{EncodedKey, IndexId, KeyRange, TableId};

/// The most writes that are remembered.
const MAX_WRITES: usize = 100_000;

/// The most bytes that remembered keys and rows may take, about.
const MAX_BYTES: usize = 16 << 20;

/// What a remembered write takes beside its key and row, about.
const OVERHEAD_BYTES: usize = 160;

/// The newest writes of the log, with the rows that they replaced: tells what was written since a position, and what a
/// changed row was before.
///
/// Bounded: the oldest records are forgotten first, whole, and it is known up to where. The newest record is always
/// kept, so that a single large one does not fail everybody; if its rows are over the limit, they are left out.
#[derive(Clone, Debug)]
pub(crate) struct RecentWrites {
    records: VecDeque<RecordWrites>,
    /// For every key that occurs in `records`, the position of its last write.
    last: BTreeMap<TableId, HashMap<EncodedKey, Seq, RandomState>>,
    /// For the values of unique indexes that writes in `records` left, the position of the last one.
    claimed: HashMap<ClaimHash, Seq>,
    /// Everything that was written behind this position is at hand.
    known_since: Seq,
    writes: usize,
    bytes: usize,
    max_writes: usize,
    max_bytes: usize,
}

#[derive(Clone, Debug)]
struct RecordWrites {
    seq: Seq,
    /// In the order of the record.
    writes: Vec<Write>,
    claims: Vec<ClaimHash>,
    bytes: usize,
}

/// An index, and the hash of values in it: two that differ may have the same, which is taken for a claim too many.
pub(crate) type ClaimHash = (IndexId, u64);

/// What stands for values of an index here.
pub(crate) fn claim_hash(index: IndexId, values: &[u8]) -> ClaimHash {
    let mut hasher = DefaultHasher::new();
    values.hash(&mut hasher);
    (index, hasher.finish())
}

/// What a remembered claim takes, about.
const CLAIM_BYTES: usize = 56;

#[derive(Clone, Debug)]
struct Write {
    table: TableId,
    key: EncodedKey,
    before: Before,
}

/// The keys that were written since some position, in order.
#[derive(Debug)]
pub(crate) struct WrittenSince<'a> {
    keys: Vec<(TableId, &'a EncodedKey)>,
}

impl<'a> WrittenSince<'a> {
    /// The first one in the range.
    pub(crate) fn first_in(&self, range: &KeyRange) -> Option<&'a EncodedKey> {
        if range.is_empty() {
            return None;
        }
        let (start, end) = range.bounds();
        let is_before = |key: &EncodedKey| match start {
            Bound::Included(start) => key < start,
            Bound::Excluded(start) => key <= start,
            Bound::Unbounded => false,
        };
        let first =
            self.keys.partition_point(|(table, key)| *table < range.table || *table == range.table && is_before(key));
        let (table, key) = *self.keys.get(first)?;
        (table == range.table && (Bound::Unbounded, end).contains(key)).then_some(key)
    }
}

/// What a row was before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// The change is too old, or its record too large, to tell.
    Unknown,
    /// There was none.
    Absent,
    /// This.
    Row(Bytes),
    /// Whatever runs had at that time.
    InRuns,
}

/// Too much was written since a position to tell what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forgotten;

impl Default for RecentWrites {
    fn default() -> Self {
        Self::with_limits(MAX_WRITES, MAX_BYTES)
    }
}

impl RecentWrites {
    pub(crate) fn with_limits(max_writes: usize, max_bytes: usize) -> Self {
        Self {
            records: VecDeque::new(),
            last: BTreeMap::new(),
            claimed: HashMap::new(),
            known_since: Seq::default(),
            writes: 0,
            bytes: 0,
            max_writes,
            max_bytes,
        }
    }

    /// Forgets everything; nothing is known of what was written up to `seq`.
    pub(crate) fn forget_up_to(&mut self, seq: Seq) {
        let (max_writes, max_bytes) = (self.max_writes, self.max_bytes);
        *self = Self { known_since: seq, ..Self::with_limits(max_writes, max_bytes) };
    }

    /// What it takes in memory, about.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Begins a record of so many writes, behind all others.
    pub(crate) fn begin(&mut self, seq: Seq, writes: usize) {
        self.records.push_back(RecordWrites { seq, writes: Vec::with_capacity(writes), claims: Vec::new(), bytes: 0 });
    }

    /// The next write of the record that was begun. The key should not be a part of a larger piece of memory.
    pub(crate) fn push(&mut self, table: TableId, key: EncodedKey, before: Before) {
        let Some(record) = self.records.back_mut() else { return };
        let row_bytes = if let Before::Row(row) = &before { row.len() } else { 0 };
        let (before, row_bytes) =
            if record.bytes + row_bytes > self.max_bytes { (Before::Unknown, 0) } else { (before, row_bytes) };
        let bytes = key.as_bytes().len() + row_bytes + OVERHEAD_BYTES;
        record.bytes += bytes;
        self.bytes += bytes;
        self.writes += 1;
        self.last.entry(table).or_default().insert(key.clone(), record.seq);
        record.writes.push(Write { table, key, before });
        while self.records.len() > 1 && (self.writes > self.max_writes || self.bytes > self.max_bytes) {
            self.forget_oldest();
        }
    }

    /// Of the record that was begun: a row that it writes has such values. To be told before that write.
    pub(crate) fn claim(&mut self, claim: ClaimHash) {
        let Some(record) = self.records.back_mut() else { return };
        record.claims.push(claim);
        record.bytes += CLAIM_BYTES;
        self.bytes += CLAIM_BYTES;
        self.claimed.insert(claim, record.seq);
    }

    /// Whether a row that was written behind `at`, which must be [covered](Self::covers), may have had such values.
    pub(crate) fn is_claimed(&self, claim: &ClaimHash, at: Seq) -> bool {
        self.claimed.get(claim).is_some_and(|seq| *seq > at)
    }

    fn forget_oldest(&mut self) {
        let Some(RecordWrites { seq, writes, claims, bytes }) = self.records.pop_front() else { return };
        for claim in claims {
            if self.claimed.get(&claim) == Some(&seq) {
                self.claimed.remove(&claim);
            }
        }
        self.known_since = seq;
        self.writes -= writes.len();
        self.bytes -= bytes;
        for Write { table, key, .. } in writes {
            let Some(last) = self.last.get_mut(&table) else { continue };
            if last.get(&key) == Some(&seq) {
                last.remove(&key);
            }
        }
    }

    /// Whether everything that was written behind `at` is at hand.
    pub(crate) fn covers(&self, at: Seq) -> Result<(), Forgotten> {
        if at < self.known_since { Err(Forgotten) } else { Ok(()) }
    }

    /// Whether the key was written behind `at`, which must be [covered](Self::covers).
    pub(crate) fn is_written(&self, table: TableId, key: &EncodedKey, at: Seq) -> bool {
        self.last.get(&table).and_then(|last| last.get(key)).is_some_and(|seq| *seq > at)
    }

    /// What was written behind `at`, which must be [covered](Self::covers), to be looked for by range. Costs as much as there
    /// is: whoever commits what it read a moment ago has little.
    pub(crate) fn written_since(&self, at: Seq) -> WrittenSince<'_> {
        let records = self.records.iter().rev().take_while(|record| record.seq > at);
        let mut keys: Vec<(TableId, &EncodedKey)> =
            records.flat_map(|record| &record.writes).map(|write| (write.table, &write.key)).collect();
        keys.sort_unstable();
        WrittenSince { keys }
    }

    /// What the row of the change at `place` (from 0) of the record at `seq` was before it.
    pub(crate) fn before(&self, seq: Seq, place: usize) -> Before {
        let record = self.records.binary_search_by_key(&seq, |record| record.seq);
        let record = record.ok().and_then(|index| self.records.get(index));
        let write = record.and_then(|record| record.writes.get(place));
        write.map_or(Before::Unknown, |write| write.before.clone())
    }
}

#[cfg(test)]
mod tests;
