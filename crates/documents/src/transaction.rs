use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bytes::Bytes;

use crate::{EncodedKey, TableId};

const VERB_PUT: u8 = 0;
const VERB_DELETE: u8 = 1;
const CONDITION_ALWAYS: u8 = 0;
const CONDITION_ABSENT: u8 = 1;
const CONDITION_EXISTS: u8 = 2;
const CONDITION_VERSION: u8 = 3;

/// Changes that take effect together, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The changes.
    pub changes: Vec<Change>,
}

/// One change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: TableId,
    /// The row's key.
    pub key: EncodedKey,
    /// What must hold for it.
    pub condition: Condition,
    /// What is done.
    pub kind: ChangeKind,
}

/// What is done to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The row becomes this, whether or not there was one.
    Put(Bytes),
    /// The row goes.
    Delete,
}

/// What must hold of a row before its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// There is no row.
    Absent,
    /// There is a row.
    Exists,
    /// The row was last written at this position; `None` if there must be none.
    Version(Option<Seq>),
}

/// The stored form: the number of changes, then each of them as a byte (verb in the lower four bits, condition in the
/// upper), the table, the expected position if the condition is one of version (0 for none), the key, and the row of a
/// put. Numbers are varints; key and row are preceded by their sizes.
impl Transaction {
    /// The payload of the record's entry.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut payload = Vec::with_capacity(self.size_bytes());
        codec::put_varint(&mut payload, self.changes.len() as u64);
        for change in &self.changes {
            let verb = match change.kind {
                ChangeKind::Put(_) => VERB_PUT,
                ChangeKind::Delete => VERB_DELETE,
            };
            let condition = match change.condition {
                Condition::Always => CONDITION_ALWAYS,
                Condition::Absent => CONDITION_ABSENT,
                Condition::Exists => CONDITION_EXISTS,
                Condition::Version(_) => CONDITION_VERSION,
            };
            payload.push(verb | condition << 4);
            codec::put_varint(&mut payload, u64::from(change.table.0));
            if let Condition::Version(expected) = change.condition {
                codec::put_varint(&mut payload, expected.unwrap_or_default().0);
            }
            codec::put_bytes(&mut payload, change.key.as_bytes());
            if let ChangeKind::Put(row) = &change.kind {
                codec::put_bytes(&mut payload, row);
            }
        }
        payload.into()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If the payload is something else.
    pub fn decode(payload: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let count = reader.length()?;
        // A change takes at least four bytes: a count beyond that is not worth reserving memory for.
        let mut changes = Vec::with_capacity(count.min(reader.remaining() / 4));
        for _ in 0..count {
            changes.push(decode_change(&mut reader)?);
        }
        reader.finish()?;
        Ok(Self { changes })
    }

    /// About how many bytes it takes in a record; never less.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        Change::OVERHEAD_BYTES + self.changes.iter().map(Change::size_bytes).sum::<usize>()
    }
}

impl Change {
    /// What a change takes beside its key and row, at most; also what a transaction takes beside its changes.
    pub const OVERHEAD_BYTES: usize = 32;

    /// About how many bytes it takes in a record; never less.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let row_bytes = match &self.kind {
            ChangeKind::Put(row) => row.len(),
            ChangeKind::Delete => 0,
        };
        self.key.as_bytes().len() + row_bytes + Self::OVERHEAD_BYTES
    }
}

fn decode_change(reader: &mut Reader) -> Result<Change, Malformed> {
    let tag = reader.u8()?;
    let table = TableId(u32::try_from(reader.varint()?).map_err(|_| Malformed("a table's number is out of range"))?);
    let condition = match tag >> 4 {
        CONDITION_ALWAYS => Condition::Always,
        CONDITION_ABSENT => Condition::Absent,
        CONDITION_EXISTS => Condition::Exists,
        CONDITION_VERSION => Condition::Version(Some(Seq(reader.varint()?)).filter(|seq| seq.0 > 0)),
        _ => return Err(Malformed("a change has an unknown condition")),
    };
    let key = EncodedKey::from_bytes(reader.bytes()?).map_err(|_| Malformed("a change has an invalid key"))?;
    let kind = match tag & 0x0f {
        VERB_PUT => ChangeKind::Put(reader.bytes()?),
        VERB_DELETE => ChangeKind::Delete,
        _ => return Err(Malformed("a change has an unknown verb")),
    };
    Ok(Change { table, key, condition, kind })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KeyPart;

    fn any_change() -> impl Strategy<Value = Change> {
        let condition = prop_oneof![
            Just(Condition::Always),
            Just(Condition::Absent),
            Just(Condition::Exists),
            Just(Condition::Version(None)),
            (1..u64::MAX).prop_map(|seq| Condition::Version(Some(Seq(seq)))),
        ];
        let kind = prop_oneof![
            Just(ChangeKind::Delete),
            prop::collection::vec(any::<u8>(), 0..50).prop_map(|row| ChangeKind::Put(row.into())),
        ];
        (any::<u32>(), "[a-z]{0,8}", condition, kind).prop_map(|(table, key, condition, kind)| Change {
            table: TableId(table),
            key: EncodedKey::new(&[KeyPart::Text(key)]).unwrap(),
            condition,
            kind,
        })
    }

    proptest! {
        #[test]
        fn transactions_round_trip_within_their_size(changes in prop::collection::vec(any_change(), 0..20)) {
            let transaction = Transaction { changes };
            let payload = transaction.encode();
            prop_assert!(payload.len() <= transaction.size_bytes());
            prop_assert_eq!(Transaction::decode(payload), Ok(transaction));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Transaction::decode(bytes.into());
        }
    }
}
