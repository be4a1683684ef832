//! The keys under which runs hold rows: four bytes of the table's number, big-endian, one that says that it is a row, then
//! the row's own key. So a table's rows lie together, in their order, and there is room for what is no row.

use std::ops::Bound;

use bucketdb_lsm::GROUP_BYTES;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::base_index::FIRST_INDEX_GROUP;
use crate::{EncodedKey, IndexRange, KeyRange, TableId};

const ROWS: u8 = 0;

/// What is in front of a row's own key.
pub(crate) const PREFIX_BYTES: usize = GROUP_BYTES + 1;

/// The group of a table's entries in a tree.
pub(crate) fn group(table: TableId) -> [u8; GROUP_BYTES] {
    table.0.to_be_bytes()
}

/// The key under which a run holds a row.
pub(crate) fn encode(table: TableId, key: &EncodedKey) -> Bytes {
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + key.as_bytes().len());
    put_run_key(&mut bytes, table, key);
    bytes.into()
}

/// Appends the key under which a run holds a row.
pub fn put_run_key(buffer: &mut Vec<u8>, table: TableId, key: &EncodedKey) {
    buffer.put_slice(&group(table));
    buffer.put_u8(ROWS);
    buffer.put_slice(key.as_bytes());
}

/// The row's own key in one that [`put_run_key`] made, in the same memory; `None` if that is no row's.
#[must_use]
pub fn of_run_key(run_key: Bytes) -> Option<EncodedKey> {
    decode(run_key)
}

/// Keys up to this length are put together without asking for memory.
const SHORT_KEY_BYTES: usize = 64;

/// Calls `read` with the key under which a run holds a row. For reads that need it for no longer.
pub(crate) fn with<T>(table: TableId, key: &EncodedKey, read: impl FnOnce(&[u8]) -> T) -> T {
    let mut short = [0; SHORT_KEY_BYTES];
    let own = key.as_bytes();
    if let Some(bytes) = short.get_mut(..PREFIX_BYTES + own.len()) {
        let (front, back) = bytes.split_at_mut(PREFIX_BYTES);
        if let [group_bytes @ .., kind] = front {
            group_bytes.copy_from_slice(&group(table));
            *kind = ROWS;
        }
        back.copy_from_slice(own);
        return read(bytes);
    }
    read(&encode(table, key))
}

/// The row's own key, in the memory of `bytes`; `None` if that is no row's.
pub(crate) fn decode(mut bytes: Bytes) -> Option<EncodedKey> {
    (bytes.get(GROUP_BYTES) == Some(&ROWS)).then(|| {
        bytes.advance(PREFIX_BYTES);
        EncodedKey::from_checked(bytes)
    })
}

/// The table whose entry has that key.
pub(crate) fn table(run_key: &[u8]) -> Option<TableId> {
    run_key.first_chunk().map(|group| TableId(u32::from_be_bytes(*group)))
}

/// The keys of a range of rows.
pub(crate) fn range(range: &KeyRange) -> (Bound<Bytes>, Bound<Bytes>) {
    let table = range.table;
    let bound = |bound: &Bound<EncodedKey>, open: u8| match bound {
        Bound::Included(key) => Bound::Included(encode(table, key)),
        Bound::Excluded(key) => Bound::Excluded(encode(table, key)),
        Bound::Unbounded => {
            let edge = edge(group(table), open);
            if open == ROWS { Bound::Included(edge) } else { Bound::Excluded(edge) }
        }
    };
    (bound(&range.start, ROWS), bound(&range.end, ROWS + 1))
}

/// The key under which a run holds an entry of an index: its group, the same byte as of a row, the entry.
pub(crate) fn index_key(group: u32, entry: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + entry.len());
    bytes.put_slice(&group.to_be_bytes());
    bytes.put_u8(ROWS);
    bytes.put_slice(entry);
    bytes.into()
}

/// The keys of a range of an index.
pub(crate) fn index_range(group: u32, range: &IndexRange) -> (Bound<Bytes>, Bound<Bytes>) {
    let key = |entry: &Bytes| index_key(group, entry);
    let end = match range.1.as_ref().map(key) {
        Bound::Unbounded => Bound::Excluded(edge(group.to_be_bytes(), ROWS + 1)),
        end => end,
    };
    let start = match range.0.as_ref().map(key) {
        Bound::Unbounded => Bound::Included(edge(group.to_be_bytes(), ROWS)),
        start => start,
    };
    (start, end)
}

/// Where a range of an index lies in a tree: the group, and the keys.
#[must_use]
pub fn run_group(group: u32, range: &IndexRange) -> ([u8; GROUP_BYTES], (Bound<Bytes>, Bound<Bytes>)) {
    (group.to_be_bytes(), index_range(group, range))
}

/// Whether a group of a tree holds entries of an index, and not rows of a table.
#[must_use]
pub fn is_index_group(group: u32) -> bool {
    group >= FIRST_INDEX_GROUP
}

fn edge(group: [u8; GROUP_BYTES], kind: u8) -> Bytes {
    let mut edge = BytesMut::with_capacity(PREFIX_BYTES);
    edge.put_slice(&group);
    edge.put_u8(kind);
    edge.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyPart;

    #[test]
    fn short_and_long_keys_are_put_together_alike() {
        for length in (0..100).chain([4000]) {
            let key = EncodedKey::new(&[KeyPart::Text("k".repeat(length))]).unwrap();
            let table = TableId(0x0102_0304);
            assert!(with(table, &key, |bytes| bytes == encode(table, &key)), "{length}");
            assert_eq!(decode(encode(table, &key)), Some(key));
        }
    }
}
