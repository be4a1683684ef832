use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed};

use crate::RunEntry;
use crate::format::Columns;
use crate::key_table::{KeyColumns, KeyLengths, KeyTable};
use crate::strip::{StripId, Strips};

/// How long the keys of one block may be together: a key that shares most of its bytes with the one before takes more
/// memory than it takes in the object.
const MAX_KEYS_BYTES: usize = 64 << 20;

/// Entries of a run in order, in memory.
#[derive(Debug)]
pub(crate) struct Block {
    entries: KeyTable,
    /// Which entries are deletions; empty if none is.
    deleted: Box<[bool]>,
    seqs: Seqs,
    /// The size of the block's part in the object: the next part begins behind it.
    part_bytes: u64,
    strips: Strips,
}

/// The positions that wrote the entries. Often it is one for all.
#[derive(Debug)]
enum Seqs {
    Same(Seq),
    Each(Box<[Seq]>),
}

impl Block {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn keys(&self) -> &KeyTable {
        &self.entries
    }

    pub(crate) fn part_bytes(&self) -> u64 {
        self.part_bytes
    }

    /// As [`read_numbers`](Self::read_numbers), if they were read before.
    pub(crate) fn numbers(&self, id: StripId) -> Option<Arc<[i64]>> {
        self.strips.get(id)
    }

    /// A number of each row, in order, read once and kept; `None` if there is a row without it, or no room.
    pub(crate) fn read_numbers(&self, id: StripId, read: impl Fn(&[u8]) -> Option<i64>) -> Option<Arc<[i64]>> {
        self.strips.get_or_read(id, || self.entries.rows(0..self.len()).map(&read).collect())
    }

    /// How much memory it takes, in bytes, with the room for numbers that are read out of rows.
    pub(crate) fn memory_bytes(&self) -> usize {
        let seqs_bytes = if let Seqs::Each(seqs) = &self.seqs { size_of_val(&**seqs) } else { 0 };
        let strips_bytes = self.strips.room_bytes(self.len());
        size_of::<Self>() + self.entries.memory_bytes() + self.deleted.len() + seqs_bytes + strips_bytes
    }

    /// Entry `index`; `version`, if given, stands for its position.
    pub(crate) fn entry(&self, index: usize, version: Option<Seq>) -> RunEntry {
        let (key, row) = self.entries.entry(index);
        let is_deleted = self.deleted.get(index) == Some(&true);
        RunEntry { key, seq: self.seq(index, version), row: (!is_deleted).then_some(row) }
    }

    /// The key of entry `index`, and its row, or `None` if the key was deleted.
    #[inline]
    pub(crate) fn slices(&self, index: usize) -> (&[u8], Option<&[u8]>) {
        let (key, row) = self.entries.slices(index);
        let is_deleted = self.deleted.get(index) == Some(&true);
        (key, (!is_deleted).then_some(row))
    }

    fn seq(&self, index: usize, version: Option<Seq>) -> Seq {
        match (version, &self.seqs) {
            (Some(seq), _) => seq,
            (None, Seqs::Same(seq)) => *seq,
            (None, Seqs::Each(seqs)) => seqs.get(index).copied().unwrap_or_default(),
        }
    }

    /// Reads a part's body. `part_bytes` is the size of the part.
    pub(crate) fn decode(body: &[u8], part_bytes: u64) -> Result<Self, Malformed> {
        let mut columns = Columns(body);
        let count = columns.count()?;
        if count == 0 {
            return Err(Malformed("a block is empty"));
        }
        let lengths = KeyLengths::read(&mut columns, count, MAX_KEYS_BYTES)?;
        let mut rows = Vec::with_capacity(count);
        let mut deleted = Vec::new();
        for index in 0..count {
            let code = columns.varint()?;
            if code == 0 {
                deleted.resize(count, false);
                if let Some(deleted) = deleted.get_mut(index) {
                    *deleted = true;
                }
            }
            let row_bytes = code.saturating_sub(1);
            if row_bytes > body.len() as u64 {
                return Err(Malformed("a row is longer than there is"));
            }
            rows.push(row_bytes as u32);
        }
        let seqs = read_seqs(&mut columns, count)?;
        let entries = lengths.keys_and_rows(&mut columns, &rows)?;
        if !columns.0.is_empty() {
            return Err(Malformed("there are bytes behind the rows of a block"));
        }
        let strips = Strips::new(count, entries.memory_bytes());
        Ok(Self { entries, deleted: deleted.into(), seqs, part_bytes, strips })
    }
}

fn read_seqs(columns: &mut Columns<'_>, count: usize) -> Result<Seqs, Malformed> {
    let least = columns.varint()?;
    if let Some((zeros, rest)) = columns.0.split_at_checked(count)
        && zeros.iter().all(|byte| *byte == 0)
    {
        columns.0 = rest;
        return Ok(Seqs::Same(Seq(least)));
    }
    let mut seqs = Vec::with_capacity(count);
    for _ in 0..count {
        let seq = least.checked_add(columns.varint()?).ok_or(Malformed("a position is over 64 bits"))?;
        seqs.push(Seq(seq));
    }
    Ok(Seqs::Each(seqs.into()))
}

/// Gathers the entries of a block.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    keys: KeyColumns,
    row_codes: Vec<u8>,
    seqs: Vec<u64>,
    rows: Vec<u8>,
}

impl BlockBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    /// About how long the body is so far, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.keys.size_bytes() + self.row_codes.len() + self.seqs.len() + self.rows.len()
    }

    /// The key that was added last.
    pub(crate) fn last_key(&self) -> &[u8] {
        self.keys.last()
    }

    pub(crate) fn add(&mut self, key: &[u8], seq: Seq, row: Option<&[u8]>) {
        self.keys.push(key);
        codec::put_varint(&mut self.row_codes, row.map_or(0, |row| row.len() as u64 + 1));
        self.seqs.push(seq.0);
        self.rows.extend_from_slice(row.unwrap_or_default());
    }

    /// Writes the body to `body`, and is empty again.
    pub(crate) fn finish(&mut self, body: &mut Vec<u8>) {
        body.clear();
        codec::put_varint(body, self.seqs.len() as u64);
        body.extend_from_slice(self.keys.keys());
        body.extend_from_slice(&self.row_codes);
        let least = self.seqs.iter().copied().min().unwrap_or_default();
        codec::put_varint(body, least);
        for seq in &self.seqs {
            codec::put_varint(body, seq - least);
        }
        body.extend_from_slice(self.keys.own());
        body.extend_from_slice(&self.rows);
        self.keys.clear();
        self.row_codes.clear();
        self.seqs.clear();
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            entries in prop::collection::btree_map(
                prop::collection::vec(any::<u8>(), 0..6),
                (prop_oneof![Just(7u64), any::<u64>()], prop::option::of(prop::collection::vec(any::<u8>(), 0..300))),
                1..40,
            )
        ) {
            let mut builder = BlockBuilder::default();
            for (key, (seq, row)) in &entries {
                builder.add(key, Seq(*seq), row.as_deref());
            }
            let mut body = Vec::new();
            builder.finish(&mut body);
            prop_assert!(builder.is_empty());
            let block = Block::decode(&body, 1).unwrap();
            let read: BTreeMap<_, _> = (0..block.len())
                .map(|index| block.entry(index, None))
                .map(|entry| (entry.key.to_vec(), (entry.seq.0, entry.row.map(|row| row.to_vec()))))
                .collect();
            prop_assert_eq!(read, entries);
            prop_assert_eq!(block.entry(0, Some(Seq(99))).seq, Seq(99));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(0u8..9, 0..80)) {
            let _ = Block::decode(&bytes, 1);
        }
    }
}
