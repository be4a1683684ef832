use bucketdb_log::codec::{self, Malformed};
use bytes::Bytes;

use crate::filter::{self, Filter};
use crate::format::{Columns, MAX_BODY_BYTES, STRETCH_BYTES};
use crate::key_table::{KeyColumns, KeyLengths, KeyTable};

/// A partition is full once it covers this many keys.
const FULL_KEYS: usize = 16 << 10;

/// Or once its part of the index is this many bytes long.
const FULL_INDEX_BYTES: usize = 32 << 10;

/// The index and the filter of a stretch of blocks, in memory.
#[derive(Debug)]
pub(crate) struct Partition {
    separators: KeyTable,
    /// Where each block's part begins in the object, and where the last one ends.
    starts: Box<[u64]>,
    filter: Filter,
}

impl Partition {
    /// How many blocks it covers.
    pub(crate) fn len(&self) -> usize {
        self.separators.len()
    }

    /// The separator of block `index`.
    pub(crate) fn separator(&self, index: usize) -> &[u8] {
        self.separators.key(index)
    }

    /// Where block `index` begins in the object and where it ends.
    pub(crate) fn block(&self, index: usize) -> Option<(u64, u64)> {
        Some((*self.starts.get(index)?, *self.starts.get(index + 1)?))
    }

    /// Where the first block begins in the object and where the last one ends.
    pub(crate) fn data(&self) -> (u64, u64) {
        let [start, .., end] = *self.starts else { return (0, 0) };
        (start, end)
    }

    /// The block that has `key`, if any of this partition has.
    pub(crate) fn block_of(&self, key: &[u8]) -> usize {
        self.separators.lower_bound(key)
    }

    /// Whether a key with this hash may be there.
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        self.filter.may_hold(hash)
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.separators.memory_bytes() + size_of_val(&*self.starts) + self.filter.memory_bytes()
    }

    /// Reads a part's body.
    pub(crate) fn decode(body: &Bytes) -> Result<Self, Malformed> {
        let mut columns = Columns(body);
        let count = columns.count()?;
        if count == 0 {
            return Err(Malformed("a partition covers no block"));
        }
        let mut start = columns.varint()?;
        let mut starts = Vec::with_capacity(count + 1);
        for _ in 0..count {
            starts.push(start);
            let size_bytes = columns.varint()?;
            start = start.checked_add(size_bytes).ok_or(Malformed("a block lies behind every end"))?;
        }
        starts.push(start);
        let separators = KeyLengths::read(&mut columns, count, MAX_BODY_BYTES)?.keys(&mut columns)?;
        let filter = Filter::decode(body.slice(body.len() - columns.0.len()..))?;
        Ok(Self { separators, starts: starts.into(), filter })
    }
}

/// Gathers the index and the filter of a stretch of blocks.
#[derive(Debug, Default)]
pub(crate) struct PartitionBuilder {
    separators: KeyColumns,
    sizes: Vec<u8>,
    blocks: u64,
    data_offset: u64,
    data_bytes: u64,
    hashes: Vec<u64>,
}

impl PartitionBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks == 0
    }

    /// Whether it should end, if another block may come of so many bytes.
    pub(crate) fn is_full(&self, block_bytes: usize) -> bool {
        let keys = self.hashes.len();
        let index_bytes = self.separators.size_bytes() + self.sizes.len();
        // Of short entries, a stretch that is read at once has nearly as many as a partition should.
        let ends_stretch = || {
            let filter_bytes = keys + keys / 3;
            let now = self.data_bytes + (index_bytes + filter_bytes) as u64;
            now <= STRETCH_BYTES && now + block_bytes as u64 > STRETCH_BYTES
        };
        keys >= FULL_KEYS || index_bytes >= FULL_INDEX_BYTES || (keys >= FULL_KEYS / 2 && ends_stretch())
    }

    pub(crate) fn add_key(&mut self, key: &[u8]) {
        self.hashes.push(filter::hash(key));
    }

    pub(crate) fn add_block(&mut self, separator: &[u8], offset: u64, part_bytes: u64) {
        if self.blocks == 0 {
            self.data_offset = offset;
        }
        debug_assert_eq!(self.data_offset + self.data_bytes, offset, "blocks of a partition lie one behind the other");
        self.separators.push(separator);
        codec::put_varint(&mut self.sizes, part_bytes);
        self.blocks += 1;
        self.data_bytes += part_bytes;
    }

    /// The separator of the last block.
    pub(crate) fn last_separator(&self) -> &[u8] {
        self.separators.last()
    }

    /// Where the first block begins, and the size of all of them.
    pub(crate) fn data(&self) -> (u64, u64) {
        (self.data_offset, self.data_bytes)
    }

    /// The body; the builder is empty again.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        codec::put_varint(&mut body, self.blocks);
        codec::put_varint(&mut body, self.data_offset);
        body.extend_from_slice(&self.sizes);
        body.extend_from_slice(self.separators.keys());
        body.extend_from_slice(self.separators.own());
        filter::encode(&mut self.hashes, &mut body);
        *self = Self::default();
        body
    }
}
