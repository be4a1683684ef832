use std::cmp::Ordering;

use bucketdb_documents::{EncodedKey, TableId, of_run_key, put_run_key};
use bucketdb_log::Seq;
use bucketdb_runs::RunEntry;
use bytes::Bytes;

use super::Duplicates;

/// Rows in the order in which they were given, one behind the other in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct LoadBuffer {
    bytes: Vec<u8>,
    rows: Vec<Place>,
    /// Whether every key was less than the one before it, or the same.
    is_unsorted: bool,
}

/// Where a row is: its key as runs have it, then the row.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The beginning of the key behind what all rows of the table share, as a number that is ordered as it is.
    head: u64,
    start: u32,
    row_bytes: u32,
    key_bytes: u16,
}

/// What stands before the key in all rows of a table: the table, and that it is a row.
const SHARED_BYTES: usize = 5;

/// Rows in ascending order of their keys, each key once.
#[derive(Debug)]
pub(super) struct SortedRows {
    bytes: Bytes,
    rows: Vec<Place>,
}

/// Rows that could not be put in order: this key occurs twice.
#[derive(Debug)]
pub(super) struct Twice(pub(super) Option<EncodedKey>);

impl LoadBuffer {
    /// One that takes so many bytes without asking for more memory. What is not used of it costs nothing.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What it takes in memory, about.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len() + self.rows.len() * size_of::<Place>()
    }

    /// Adds a row, which `encode` appends to what it is given.
    ///
    /// # Errors
    /// Those of `encode`; there is no row then.
    pub(super) fn push<E>(
        &mut self,
        table: TableId,
        key: &EncodedKey,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        put_run_key(&mut self.bytes, table, key);
        let behind_key = self.bytes.len();
        if let Err(error) = encode(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        let place = Place {
            head: head_of(key.as_bytes()),
            start: start as u32,
            row_bytes: (self.bytes.len() - behind_key) as u32,
            key_bytes: (behind_key - start) as u16,
        };
        debug_assert_eq!(behind_key - start, SHARED_BYTES + key.as_bytes().len(), "keys begin as they did");
        if let Some(last) = self.rows.last()
            && last.compare(&place, &self.bytes) != Ordering::Less
        {
            self.is_unsorted = true;
        }
        self.rows.push(place);
        Ok(())
    }

    /// Puts the rows in order, and leaves out those whose key occurs another time. Returns how many that were.
    pub(super) fn sort(mut self, duplicates: Duplicates) -> Result<(SortedRows, u64), Twice> {
        let mut skipped = 0;
        if self.is_unsorted {
            let bytes = &self.bytes;
            // Of one key, those that were given first come first.
            self.rows.sort_unstable_by(|left, right| left.compare(right, bytes).then(left.start.cmp(&right.start)));
            let is_twice = |left: &Place, right: &Place| left.compare(right, bytes) == Ordering::Equal;
            let before = self.rows.len();
            match duplicates {
                Duplicates::Fail => {
                    let mut pairs = self.rows.iter().zip(self.rows.iter().skip(1));
                    if let Some((twice, _)) = pairs.find(|(left, right)| is_twice(left, right)) {
                        let key = Bytes::copy_from_slice(twice.key(bytes));
                        return Err(Twice(of_run_key(key)));
                    }
                }
                Duplicates::Skip => self.rows.dedup_by(|later, first| is_twice(later, first)),
                Duplicates::Replace => self.rows.dedup_by(|later, first| {
                    let is_twice = is_twice(later, first);
                    if is_twice {
                        *first = *later;
                    }
                    is_twice
                }),
            }
            skipped = (before - self.rows.len()) as u64;
        }
        Ok((SortedRows { bytes: self.bytes.into(), rows: self.rows }, skipped))
    }
}

impl Place {
    fn compare(&self, other: &Self, bytes: &[u8]) -> Ordering {
        self.head.cmp(&other.head).then_with(|| self.key(bytes).cmp(other.key(bytes)))
    }

    fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        bytes.get(start..start + usize::from(self.key_bytes)).unwrap_or_default()
    }
}

impl SortedRows {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The key of a row as runs have it.
    pub(super) fn key(&self, index: usize) -> Bytes {
        let Some(place) = self.rows.get(index) else { return Bytes::new() };
        let start = place.start as usize;
        self.bytes.slice(start..start + usize::from(place.key_bytes))
    }

    /// The rows as entries of a run.
    pub(super) fn entries(&self, version: Seq) -> impl Iterator<Item = RunEntry> + '_ {
        self.rows.iter().map(move |place| {
            let start = place.start as usize;
            let behind_key = start + usize::from(place.key_bytes);
            let row = self.bytes.slice(behind_key..behind_key + place.row_bytes as usize);
            RunEntry { key: self.bytes.slice(start..behind_key), seq: version, row: Some(row) }
        })
    }

    /// Leaves out the rows at these places, which ascend.
    pub(super) fn leave_out(&mut self, places: &[usize]) {
        let mut places = places.iter().copied().peekable();
        let mut index = 0;
        self.rows.retain(|_| {
            let goes = places.next_if_eq(&index).is_some();
            index += 1;
            !goes
        });
    }
}

/// The first 8 bytes as a number that is ordered as they are.
fn head_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => bytes.iter().rev().fold(0, |head, byte| (head >> 8) | (u64::from(*byte) << 56)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bucketdb_documents::KeyPart;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_sorts_as_an_ordered_map_does(
            keys in prop::collection::vec("[a-c\0]{0,12}", 0..40),
            duplicates in prop::sample::select(vec![Duplicates::Fail, Duplicates::Skip, Duplicates::Replace]),
            gone in prop::collection::btree_set(0usize..40, 0..9),
        ) {
            let mut buffer = LoadBuffer::with_capacity(9);
            let mut model: BTreeMap<EncodedKey, u8> = BTreeMap::new();
            for (number, text) in keys.iter().enumerate() {
                let key = EncodedKey::new(&[KeyPart::Text(text.clone())]).unwrap();
                let number = number as u8;
                buffer.push::<()>(TableId(7), &key, |bytes| { bytes.push(number); Ok(()) }).unwrap();
                let refused = buffer.push(TableId(7), &key, |bytes| { bytes.push(0); Err(()) });
                prop_assert_eq!(refused, Err(()));
                match duplicates {
                    Duplicates::Skip => { model.entry(key).or_insert(number); }
                    _ => { model.insert(key, number); }
                }
            }
            match buffer.sort(duplicates) {
                Err(Twice(key)) => {
                    prop_assert!(duplicates == Duplicates::Fail && model.len() < keys.len());
                    prop_assert!(model.contains_key(&key.unwrap()));
                }
                Ok((mut rows, skipped)) => {
                    prop_assert_eq!(skipped as usize, keys.len() - model.len());
                    prop_assert!(duplicates != Duplicates::Fail || skipped == 0);
                    rows.leave_out(&Vec::from_iter(gone.iter().copied()));
                    let left = model.into_iter().enumerate().filter(|(place, _)| !gone.contains(place));
                    let expected: Vec<_> = left.map(|(_, (key, number))| (key, vec![number])).collect();
                    let found: Vec<_> = rows
                        .entries(Seq(1))
                        .map(|entry| (of_run_key(entry.key).unwrap(), entry.row.unwrap().to_vec()))
                        .collect();
                    prop_assert_eq!(rows.len(), found.len());
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
