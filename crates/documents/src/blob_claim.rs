//! Which row a blob belongs to: rows of a table of its own, [`TableId::BLOBS`], which no catalogue has and no user sees.
//! Whoever writes a document that refers to a blob for the first time claims it in the same transaction, so the two are never
//! apart, whatever becomes of the commit.
//!
//! ```text
//! key                       row
//! (0, name of the blob)     claim: format version (1), state (1: live or released), table (varint), key (bytes)
//! (1, name of the blob)     empty: it is released and not given up yet
//! (2, number of a table)    empty: rows of the table referred to blobs
//! ```
//!
//! A claim is *live* until somebody finds that its row does not refer to the blob any more, and then *released*, for ever:
//! from there on no row can refer to it. The position at which that was written is the one from which on nobody needs it.
//! A name begins with the position at which its upload began, so claims are in the order of these.

use std::ops::Bound;

use bucketdb_log::codec::{self, Malformed, Reader};
use bytes::Bytes;

use crate::{Blob, Change, ChangeKind, Condition, EncodedKey, KeyPart, KeyRange, TableId, Transaction, blob_name};

const FORMAT_VERSION: u8 = 1;

const CLAIMS: i128 = 0;
const RELEASED: i128 = 1;
const TABLES: i128 = 2;

impl TableId {
    /// Where it stands which row each blob belongs to. The last number in front of those of indexes.
    pub const BLOBS: Self = Self(crate::base_index::FIRST_INDEX_GROUP - 1);
}

/// Which row a blob belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobClaim {
    /// The row's table.
    pub table: TableId,
    /// Its key.
    pub key: EncodedKey,
    /// Whether the row refers to the blob no more, and nothing ever will.
    pub is_released: bool,
}

impl BlobClaim {
    /// What stands in the table.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut row = vec![FORMAT_VERSION, u8::from(self.is_released)];
        codec::put_varint(&mut row, u64::from(self.table.0));
        codec::put_bytes(&mut row, self.key.as_bytes());
        row.into()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn decode(row: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        if reader.u8()? != FORMAT_VERSION {
            return Err(Malformed("whom a blob belongs to is written in a newer format"));
        }
        let is_released = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed("a blob is neither in use nor released")),
        };
        let table = u32::try_from(reader.varint()?).map_err(|_| Malformed("a table's number is out of range"))?;
        let key = EncodedKey::from_bytes(reader.bytes()?).map_err(|_| Malformed("a blob belongs to no valid key"))?;
        reader.finish()?;
        Ok(Self { table: TableId(table), key, is_released })
    }
}

/// A row of [`TableId::BLOBS`], by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimRow {
    /// The claim on the blob of that name.
    Claim(String),
    /// That the blob of that name is released and not given up yet.
    Released(String),
    /// That rows of a table referred to blobs.
    Table(TableId),
}

impl ClaimRow {
    /// The claim on a blob.
    #[must_use]
    pub fn of(blob: &Blob) -> Self {
        Self::Claim(blob_name(blob))
    }

    /// Its key; `None` if the name is too long for one, as none of a blob is.
    #[must_use]
    pub fn key(&self) -> Option<EncodedKey> {
        let parts = match self {
            Self::Claim(name) => [KeyPart::Integer(CLAIMS), KeyPart::Text(name.clone())],
            Self::Released(name) => [KeyPart::Integer(RELEASED), KeyPart::Text(name.clone())],
            Self::Table(table) => [KeyPart::Integer(TABLES), KeyPart::Integer(table.0.into())],
        };
        EncodedKey::new(&parts).ok()
    }

    /// Its table and key; `None` as for [`key`](Self::key).
    #[must_use]
    pub fn place(&self) -> Option<(TableId, EncodedKey)> {
        Some((TableId::BLOBS, self.key()?))
    }

    /// The row that has a key; `None` if none can have it.
    #[must_use]
    pub fn of_key(key: &EncodedKey) -> Option<Self> {
        let parts: [KeyPart; 2] = key.parts().ok()?.try_into().ok()?;
        match parts {
            [KeyPart::Integer(CLAIMS), KeyPart::Text(name)] => Some(Self::Claim(name)),
            [KeyPart::Integer(RELEASED), KeyPart::Text(name)] => Some(Self::Released(name)),
            [KeyPart::Integer(TABLES), KeyPart::Integer(table)] => {
                u32::try_from(table).ok().map(TableId).map(Self::Table)
            }
            _ => None,
        }
    }

    /// The change that writes it; `None` as for [`key`](Self::key).
    #[must_use]
    pub fn put(&self, row: Bytes, condition: Condition) -> Option<Change> {
        Some(Change { table: TableId::BLOBS, key: self.key()?, condition, kind: ChangeKind::Put(row) })
    }

    /// The change that removes it; `None` as for [`key`](Self::key).
    #[must_use]
    pub fn delete(&self) -> Option<Change> {
        Some(Change { table: TableId::BLOBS, key: self.key()?, condition: Condition::Always, kind: ChangeKind::Delete })
    }

    /// Where the claims stand.
    #[must_use]
    pub fn claims() -> KeyRange {
        Self::between(CLAIMS)
    }

    /// Where it stands which blobs are released and not given up yet.
    #[must_use]
    pub fn released() -> KeyRange {
        Self::between(RELEASED)
    }

    /// Where it stands which tables referred to blobs.
    #[must_use]
    pub fn tables() -> KeyRange {
        Self::between(TABLES)
    }

    fn between(kind: i128) -> KeyRange {
        let bound = |kind| EncodedKey::new(&[KeyPart::Integer(kind)]).map_or(Bound::Unbounded, Bound::Excluded);
        KeyRange { table: TableId::BLOBS, start: bound(kind), end: bound(kind + 1) }
    }
}

impl Transaction {
    /// The names of the blobs that it makes part of the log: which it claims, and nobody did before.
    pub(crate) fn claimed_blobs(&self) -> Vec<String> {
        let is_first = |change: &&Change| change.table == TableId::BLOBS && change.condition == Condition::Absent;
        let claims = self.changes.iter().filter(is_first).filter_map(|change| ClaimRow::of_key(&change.key));
        claims
            .filter_map(|row| match row {
                ClaimRow::Claim(name) => Some(name),
                ClaimRow::Released(_) | ClaimRow::Table(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn claims_come_back(table: u32, key in "[a-z]{0,9}", is_released: bool) {
            let key = EncodedKey::new(&[KeyPart::Text(key)]).unwrap();
            let claim = BlobClaim { table: TableId(table), key, is_released };
            prop_assert_eq!(BlobClaim::decode(claim.encode()), Ok(claim));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = BlobClaim::decode(bytes.into());
        }

        #[test]
        fn each_row_lies_in_its_range(name in "[a-z/0-9-]{0,40}", table: u32) {
            let rows = [ClaimRow::Claim(name.clone()), ClaimRow::Released(name), ClaimRow::Table(TableId(table))];
            let ranges = [ClaimRow::claims(), ClaimRow::released(), ClaimRow::tables()];
            for (at, row) in rows.iter().enumerate() {
                let key = row.key().unwrap();
                prop_assert_eq!(&ClaimRow::of_key(&key).unwrap(), row);
                for (other, range) in ranges.iter().enumerate() {
                    let inside = std::ops::RangeBounds::contains(&range.bounds(), &key);
                    prop_assert_eq!(inside, at == other);
                }
            }
        }
    }

    #[test]
    fn claims_are_in_the_order_of_positions() {
        let key = |name: &str| ClaimRow::Claim(name.to_owned()).key().unwrap();
        assert!(key("blob/00000000000000000009-f") < key("blob/00000000000000000010-0"));
    }
}
