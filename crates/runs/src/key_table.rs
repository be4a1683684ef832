use std::cmp::Ordering;

use bucketdb_log::codec::{self, Malformed};
use bytes::Bytes;

use crate::format::Columns;
use crate::separator::shared_length;

/// Keys in ascending order, in memory, made for finding one.
///
/// Keys of one table begin alike, so what all of them share is left out, and the next 8 bytes of each stand in an array of
/// numbers of their own. A search goes over these numbers and looks at whole keys only where they are equal.
#[derive(Debug)]
pub(crate) struct KeyTable {
    /// All keys, one after the other.
    keys: Bytes,
    /// Where each key begins, and where the last one ends.
    starts: Box<[u32]>,
    /// The 8 bytes of each key behind the shared ones, big-endian, with zeros where a key is shorter.
    heads: Box<[u64]>,
    /// How many bytes all keys have in common at their beginning.
    shared_bytes: usize,
}

impl KeyTable {
    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    /// Key `index`; empty if there is none.
    pub(crate) fn key(&self, index: usize) -> &[u8] {
        self.range(index).and_then(|(start, end)| self.keys.get(start..end)).unwrap_or_default()
    }

    /// As [`key`](Self::key), sharing the table's memory.
    pub(crate) fn key_bytes(&self, index: usize) -> Bytes {
        match self.range(index) {
            Some((start, end)) => self.keys.slice(start..end),
            None => Bytes::new(),
        }
    }

    fn range(&self, index: usize) -> Option<(usize, usize)> {
        Some((*self.starts.get(index)? as usize, *self.starts.get(index + 1)? as usize))
    }

    /// The first key that is not less than `key`; [`len`](Self::len) if there is none.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
        let (beginning, rest) = key.split_at(self.shared_bytes.min(key.len()));
        let shared = self.keys.get(..self.shared_bytes).unwrap_or_default();
        match beginning.cmp(shared) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.len(),
            Ordering::Equal => {}
        }
        let head = head_of(rest);
        let first = self.heads.partition_point(|other| *other < head);
        match self.heads.get(first) {
            Some(other) if *other == head => self.lower_bound_among(first, head, key),
            _ => first,
        }
    }

    /// As [`lower_bound`](Self::lower_bound), among the keys from `first` on whose head is `head`.
    fn lower_bound_among(&self, first: usize, head: u64, key: &[u8]) -> usize {
        let heads = self.heads.get(first..).unwrap_or_default();
        let mut end = first + 1;
        if heads.get(1) == Some(&head) {
            end = first + heads.partition_point(|other| *other == head);
        }
        let mut start = first;
        while start < end {
            let middle = start + (end - start) / 2;
            if self.key(middle) < key {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }

    /// Where `key` is.
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        let index = self.lower_bound(key);
        (index < self.len() && self.key(index) == key).then_some(index)
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.keys.len() + self.starts.len() * 4 + self.heads.len() * 8
    }
}

/// The first 8 bytes as a number that is ordered as they are.
fn head_of(bytes: &[u8]) -> u64 {
    if let Some((first, _)) = bytes.split_first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    bytes.iter().rev().fold(0, |head, byte| head >> 8 | u64::from(*byte) << 56)
}

/// Writes keys in order; see [`mod@crate::format`] for the columns.
#[derive(Debug, Default)]
pub(crate) struct KeyColumns {
    keys: Vec<u8>,
    own: Vec<u8>,
    last: Vec<u8>,
}

impl KeyColumns {
    pub(crate) fn push(&mut self, key: &[u8]) {
        let shared = shared_length(&self.last, key);
        let own = key.get(shared..).unwrap_or_default();
        codec::put_varint(&mut self.keys, shared as u64);
        codec::put_varint(&mut self.keys, own.len() as u64);
        self.own.extend_from_slice(own);
        self.last.truncate(shared);
        self.last.extend_from_slice(own);
    }

    /// Column `keys`.
    pub(crate) fn keys(&self) -> &[u8] {
        &self.keys
    }

    /// Column `own`.
    pub(crate) fn own(&self) -> &[u8] {
        &self.own
    }

    /// The key that was pushed last.
    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.keys.len() + self.own.len()
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.own.clear();
        self.last.clear();
    }
}

/// Column `keys` as read, before the bytes in `own` are known.
#[derive(Debug)]
pub(crate) struct KeyLengths {
    /// Of each key: bytes shared with the one before, bytes of its own.
    lengths: Vec<(u32, u32)>,
    /// The lengths of all keys together.
    keys_bytes: usize,
}

impl KeyLengths {
    /// Reads `count` keys' lengths. `most` is how long all keys may be together, so that a few damaged bytes cannot ask
    /// for much memory.
    pub(crate) fn read(columns: &mut Columns<'_>, count: usize, most: usize) -> Result<Self, Malformed> {
        let mut lengths = Vec::with_capacity(count);
        let (mut keys_bytes, mut before) = (0usize, 0u64);
        for _ in 0..count {
            let (shared, own) = (columns.varint()?, columns.varint()?);
            if shared > before || own > most as u64 {
                return Err(Malformed("a key shares more than there is"));
            }
            before = shared + own;
            keys_bytes += before as usize;
            if keys_bytes > most {
                return Err(Malformed("keys are longer than they may be"));
            }
            lengths.push((shared as u32, own as u32));
        }
        Ok(Self { lengths, keys_bytes })
    }

    /// Reads column `own` and puts the keys together.
    pub(crate) fn read_own(self, columns: &mut Columns<'_>) -> Result<KeyTable, Malformed> {
        let mut keys = Vec::with_capacity(self.keys_bytes);
        let mut starts = Vec::with_capacity(self.lengths.len() + 1);
        let mut start = 0;
        let mut shared_bytes = usize::MAX;
        for (index, (shared, own)) in self.lengths.iter().enumerate() {
            let own = columns.take(*own as usize)?;
            let shared = *shared as usize;
            let end = keys.len();
            // What two neighbours share says nothing of the order yet: the byte behind it does.
            let ascends = match (keys.get(start + shared..end), own) {
                (Some([]) | None, own) => !own.is_empty() || index == 0,
                (Some([before, ..]), [after, ..]) => before < after,
                (Some(_), []) => false,
            };
            if !ascends {
                return Err(Malformed("keys are not in order"));
            }
            keys.extend_from_within(start..start + shared);
            keys.extend_from_slice(own);
            starts.push(end as u32);
            start = end;
            shared_bytes = if index == 0 { own.len() } else { shared_bytes.min(shared) };
        }
        starts.push(keys.len() as u32);
        let shared_bytes = if self.lengths.is_empty() { 0 } else { shared_bytes };
        let heads = starts.windows(2).map(|pair| match pair {
            [start, end] => head_of(keys.get(*start as usize + shared_bytes..*end as usize).unwrap_or_default()),
            _ => 0,
        });
        let heads = heads.collect();
        Ok(KeyTable { heads, keys: keys.into(), starts: starts.into(), shared_bytes })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn table(keys: &BTreeSet<Vec<u8>>) -> KeyTable {
        let mut columns = KeyColumns::default();
        for key in keys {
            columns.push(key);
        }
        let bytes = [columns.keys(), columns.own()].concat();
        let mut reader = Columns(&bytes);
        let table = KeyLengths::read(&mut reader, keys.len(), 1 << 20).unwrap().read_own(&mut reader).unwrap();
        assert!(reader.0.is_empty());
        table
    }

    fn keys() -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
        // Few letters, so that keys share beginnings longer and shorter than a head, and zeros, which a head is filled with.
        let key = prop_oneof![
            prop::collection::vec(0u8..2, 0..14),
            prop::collection::vec(prop::sample::select(vec![0, 7, 255]), 9..12)
        ];
        prop::collection::btree_set(key, 0..60)
    }

    proptest! {
        #[test]
        fn it_finds_what_an_ordered_set_finds(keys in keys(), prefix in prop::collection::vec(0u8..2, 0..4), more in keys()) {
            let keys: BTreeSet<_> = keys.into_iter().map(|key| [prefix.clone(), key].concat()).collect();
            let table = table(&keys);
            let all: Vec<_> = keys.iter().cloned().collect();
            prop_assert_eq!((0..table.len()).map(|index| table.key(index).to_vec()).collect::<Vec<_>>(), all.clone());
            let probes = more.iter().flat_map(|key| [key.clone(), [prefix.clone(), key.clone()].concat()]);
            for probe in probes.chain(all.iter().cloned()) {
                prop_assert_eq!(table.lower_bound(&probe), all.partition_point(|key| *key < probe));
                prop_assert_eq!(table.find(&probe), all.binary_search(&probe).ok());
            }
        }

        #[test]
        fn no_bytes_make_it_panic_and_all_keys_ascend(bytes in prop::collection::vec(0u8..5, 0..60), count in 0usize..12) {
            let mut reader = Columns(&bytes);
            if let Ok(lengths) = KeyLengths::read(&mut reader, count, 100)
                && let Ok(table) = lengths.read_own(&mut reader)
            {
                prop_assert!((1..table.len()).all(|index| table.key(index - 1) < table.key(index)));
            }
        }
    }
}
