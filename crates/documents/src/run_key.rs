//! The keys under which runs hold rows: four bytes of the table's number, big-endian, one that says that it is a row, then
//! the row's own key. So a table's rows lie together, in their order, and there is room for what is no row.

use std::ops::Bound;

use bucketdb_lsm::GROUP_BYTES;
use bytes::{BufMut, Bytes, BytesMut};

use crate::{EncodedKey, KeyRange, TableId};

const ROWS: u8 = 0;

/// What is in front of a row's own key.
const PREFIX_BYTES: usize = GROUP_BYTES + 1;

/// The group of a table's entries in a tree.
pub(crate) fn group(table: TableId) -> [u8; GROUP_BYTES] {
    table.0.to_be_bytes()
}

/// The key under which a run holds a row.
pub(crate) fn encode(table: TableId, key: &EncodedKey) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + key.as_bytes().len());
    bytes.put_slice(&group(table));
    bytes.put_u8(ROWS);
    bytes.put_slice(key.as_bytes());
    bytes.freeze()
}

/// The row's own key, which shares the memory of `bytes`; `None` if that is no row's.
pub(crate) fn decode(bytes: &Bytes) -> Option<EncodedKey> {
    (bytes.get(GROUP_BYTES) == Some(&ROWS)).then(|| EncodedKey::from_checked(bytes.slice(PREFIX_BYTES..)))
}

/// The keys of a range of rows.
pub(crate) fn range(range: &KeyRange) -> (Bound<Bytes>, Bound<Bytes>) {
    let table = range.table;
    let bound = |bound: &Bound<EncodedKey>, open: u8| match bound {
        Bound::Included(key) => Bound::Included(encode(table, key)),
        Bound::Excluded(key) => Bound::Excluded(encode(table, key)),
        Bound::Unbounded => {
            let mut edge = BytesMut::with_capacity(PREFIX_BYTES);
            edge.put_slice(&group(table));
            edge.put_u8(open);
            let edge = edge.freeze();
            if open == ROWS { Bound::Included(edge) } else { Bound::Excluded(edge) }
        }
    };
    (bound(&range.start, ROWS), bound(&range.end, ROWS + 1))
}
