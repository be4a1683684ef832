use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bytes::Bytes;

use crate::{EncodedKey, IndexId, TableEntry};

/// The groups of a tree from this one on hold entries of indexes, those below it rows of tables.
pub(crate) const FIRST_INDEX_GROUP: u32 = 1 << 31;

/// What the runs of a checkpoint have of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseIndex {
    /// The index.
    pub id: IndexId,
    /// The group of the tree that holds its entries. An index that is built anew gets another one.
    pub group: u32,
    /// How much of the table is in it.
    pub built: IndexBuilt,
    /// How many rows were put in to come so far; 0 once it is whole.
    pub rows: u64,
    /// Whether a value in it was cut because it is too long, so that its order is not to be relied on.
    pub has_cut_values: bool,
    /// If the index is unique: the position of the checkpoint that built it, as long as it was not looked whether documents
    /// have the same values that were written before everybody knew that it is whole.
    pub unchecked_since: Option<Seq>,
    /// As far as that was done: the last entry that was looked at.
    pub checked_up_to: Option<Bytes>,
    /// The field that says when the documents end, as the entries have it; empty if there was none. If the table has another
    /// one by now, they are out of step.
    pub ttl: String,
    /// The keys of two documents that have the same values, though the index is to be unique: found when it was built.
    pub duplicate: Option<(EncodedKey, EncodedKey)>,
}

/// How much of a table is in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexBuilt {
    /// The rows up to this key, of those up to the position of the checkpoint; `None`: no row yet.
    UpTo(Option<EncodedKey>),
    /// All rows up to the position of the checkpoint.
    Whole,
}

impl BaseIndex {
    /// Whether its entries say of documents when they end as the table has it.
    #[must_use]
    pub fn is_in_step(&self, table: &TableEntry) -> bool {
        self.ttl == table.ttl().map(|ttl| ttl.field()).unwrap_or_default()
    }

    /// It is to be looked for documents with the same values from the beginning, once what is written up to `since` is there.
    pub fn check_again(&mut self, since: Seq) {
        (self.duplicate, self.checked_up_to, self.unchecked_since) = (None, None, Some(since));
    }

    /// Whether what it says of a row is all there is to say.
    #[must_use]
    pub fn has_row(&self, key: &EncodedKey) -> bool {
        match &self.built {
            IndexBuilt::UpTo(last) => last.as_ref().is_some_and(|last| key <= last),
            IndexBuilt::Whole => true,
        }
    }

    /// Whether queries can use it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.built == IndexBuilt::Whole
    }
}

/// The next group, and the number of indexes, each as: its number, its group, flags (1: whole, 2: has a last key, 4: has
/// values that were cut, 8: has duplicates, 16: was not checked for them, 32: was checked in part), how many rows were put in,
/// the last key, the two keys of duplicates, the position since which it was not checked, the last entry that was, and the field that says when
/// documents end. Numbers are varints; keys have their
/// sizes before them.
pub(crate) fn encode(buffer: &mut Vec<u8>, next_group: u32, indexes: &[BaseIndex]) {
    codec::put_varint(buffer, u64::from(next_group));
    codec::put_varint(buffer, indexes.len() as u64);
    for index in indexes {
        codec::put_varint(buffer, u64::from(index.id.0));
        codec::put_varint(buffer, u64::from(index.group));
        let (is_whole, last) = match &index.built {
            IndexBuilt::Whole => (true, None),
            IndexBuilt::UpTo(last) => (false, last.as_ref()),
        };
        let is_unchecked = index.unchecked_since.is_some();
        let is_checked_in_part = index.checked_up_to.is_some();
        let flags = [
            is_whole,
            last.is_some(),
            index.has_cut_values,
            index.duplicate.is_some(),
            is_unchecked,
            is_checked_in_part,
        ];
        buffer.push(flags.iter().rev().fold(0, |flags, flag| flags << 1 | u8::from(*flag)));
        codec::put_varint(buffer, index.rows);
        let duplicates = index.duplicate.iter().flat_map(|(first, second)| [first, second]);
        for key in last.into_iter().chain(duplicates) {
            codec::put_bytes(buffer, key.as_bytes());
        }
        if let Some(since) = index.unchecked_since {
            codec::put_varint(buffer, since.0);
        }
        if let Some(entry) = &index.checked_up_to {
            codec::put_bytes(buffer, entry);
        }
        codec::put_bytes(buffer, index.ttl.as_bytes());
    }
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(reader: &mut Reader) -> Result<(u32, Vec<BaseIndex>), Malformed> {
    let out_of_range = |_| Malformed("the number of an index is out of range");
    let next_group = u32::try_from(reader.varint()?).map_err(out_of_range)?;
    let mut indexes = Vec::new();
    for _ in 0..reader.length()? {
        let id = IndexId(u32::try_from(reader.varint()?).map_err(out_of_range)?);
        let group = u32::try_from(reader.varint()?).map_err(out_of_range)?;
        if group < FIRST_INDEX_GROUP || group >= next_group {
            return Err(Malformed("an index lies where no index can be"));
        }
        let flags = reader.u8()?;
        let rows = reader.varint()?;
        let last = if flags & 2 > 0 { Some(key(reader.bytes()?)?) } else { None };
        let duplicate = if flags & 8 > 0 { Some((key(reader.bytes()?)?, key(reader.bytes()?)?)) } else { None };
        let unchecked_since = if flags & 16 > 0 { Some(Seq(reader.varint()?)) } else { None };
        let checked_up_to = if flags & 32 > 0 { Some(reader.bytes()?) } else { None };
        let ttl = reader.text()?;
        let has_cut_values = flags & 4 > 0;
        let built = if flags & 1 > 0 { IndexBuilt::Whole } else { IndexBuilt::UpTo(last) };
        indexes.push(BaseIndex {
            id,
            group,
            built,
            rows,
            has_cut_values,
            unchecked_since,
            checked_up_to,
            ttl,
            duplicate,
        });
    }
    Ok((next_group, indexes))
}

fn key(bytes: Bytes) -> Result<EncodedKey, Malformed> {
    EncodedKey::from_bytes(bytes).map_err(|_| Malformed("an index has an invalid key"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KeyPart;

    fn any_key() -> impl Strategy<Value = EncodedKey> {
        any::<i32>().prop_map(|number| EncodedKey::new(&[KeyPart::Integer(i128::from(number))]).unwrap())
    }

    fn any_index() -> impl Strategy<Value = BaseIndex> {
        let built = prop_oneof![Just(IndexBuilt::Whole), prop::option::of(any_key()).prop_map(IndexBuilt::UpTo)];
        let group = FIRST_INDEX_GROUP..FIRST_INDEX_GROUP + 50;
        let duplicate = prop::option::of((any_key(), any_key()));
        let unchecked = (prop::option::of(any::<u64>()), prop::option::of(any::<[u8; 3]>()));
        (any::<u32>(), group, built, any::<bool>(), unchecked, duplicate).prop_map(
            |(id, group, built, has_cut_values, (since, entry), duplicate)| BaseIndex {
                id: IndexId(id),
                group,
                built,
                rows: u64::from(id) << (id % 32),
                has_cut_values,
                unchecked_since: since.map(Seq),
                checked_up_to: entry.map(|entry| Bytes::copy_from_slice(&entry)),
                ttl: if id % 2 == 0 { String::new() } else { format!("field{id}") },
                duplicate,
            },
        )
    }

    proptest! {
        #[test]
        fn they_come_back(indexes in prop::collection::vec(any_index(), 0..5)) {
            let mut buffer = Vec::new();
            encode(&mut buffer, FIRST_INDEX_GROUP + 50, &indexes);
            let mut reader = Reader::new(buffer.into());
            prop_assert_eq!(decode(&mut reader), Ok((FIRST_INDEX_GROUP + 50, indexes)));
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&mut Reader::new(bytes.into()));
        }
    }
}
