use std::cmp::Ordering;
use std::ops::Range;

use bucketdb_log::codec::{self, Malformed};
use bytes::Bytes;

use crate::format::Columns;
use crate::separator::shared_length;

/// Keys in ascending order, in memory, made for finding one; each may have a row.
///
/// Keys of one table begin alike, so what all of them share is left out, and the next 8 bytes of each, its *head*, stand in
/// an array of slots. A search goes over these numbers and looks at whole keys only where they are equal.
///
/// Everything is in one piece of memory, since what a read of one key costs is the number of places that it touches: the
/// slots, each with the head of a key and where the key and its row begin, then each key with its row behind it. So the
/// line of memory in which a search ends also says where to go on.
#[derive(Debug)]
pub(crate) struct KeyTable {
    data: Bytes,
    len: usize,
    /// How many bytes all keys have in common at their beginning.
    shared_bytes: usize,
    /// The first ones of them, at hand: the first key is in a place that a search does not touch otherwise.
    shared: [u8; SHARED_AT_HAND_BYTES],
    /// The heads of the first key and the last one, between which a search guesses where to begin.
    edges: (u64, u64),
}

/// Keys of one table share its number and what says that they are rows, and often some of their own bytes.
const SHARED_AT_HAND_BYTES: usize = 16;

/// What is at hand of a key: its head, then where it begins and where it ends, each in the order of the lowest byte first.
type Slot = [u8; SLOT_BYTES];

/// The size of a slot: a number of 64 bits and two of 32.
const SLOT_BYTES: usize = 16;

/// How far from a guess a search looks at first: as many slots as share a line of memory.
const GUESS_WIDTH: usize = 4;

/// Where a key begins, and where it ends and its row begins.
type Place = (usize, usize);

impl KeyTable {
    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Key `index`; empty if there is none.
    pub(crate) fn key(&self, index: usize) -> &[u8] {
        self.place(index).and_then(|(start, end)| self.data.get(start..end)).unwrap_or_default()
    }

    /// Key `index` and its row, sharing the table's memory.
    pub(crate) fn entry(&self, index: usize) -> (Bytes, Bytes) {
        match self.place(index).zip(self.place(index + 1)) {
            Some(((start, middle), (end, _))) => (self.data.slice(start..middle), self.data.slice(middle..end)),
            None => (Bytes::new(), Bytes::new()),
        }
    }

    /// Key `index` and its row, as they lie in memory; empty if there is none.
    #[inline]
    pub(crate) fn slices(&self, index: usize) -> (&[u8], &[u8]) {
        let places = self.place(index).zip(self.place(index + 1));
        let slices = places.and_then(|((start, middle), (end, _))| {
            let (key, row) = self.data.get(start..end)?.split_at_checked(middle.checked_sub(start)?)?;
            Some((key, row))
        });
        slices.unwrap_or_default()
    }

    /// The rows of some keys, in order; empty where there is none.
    #[inline]
    pub(crate) fn rows(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let slots = self.data.get(..(self.len + 1) * SLOT_BYTES).unwrap_or_default().as_chunks::<SLOT_BYTES>().0;
        // Where a row ends, the next key begins.
        let slots = slots.get(range.start..=range.end).unwrap_or_default();
        slots.iter().zip(slots.iter().skip(1)).map(|(slot, next)| {
            let (start, end) = (slot_place(slot).1, slot_place(next).0);
            self.data.get(start..end).unwrap_or_default()
        })
    }

    /// Where a key is. Behind the last one, an empty key begins where everything ends.
    #[inline]
    fn place(&self, index: usize) -> Option<Place> {
        let slots = self.data.get(..(self.len + 1) * SLOT_BYTES)?.as_chunks::<SLOT_BYTES>().0;
        slots.get(index).map(slot_place)
    }

    fn slots(&self) -> &[Slot] {
        self.data.get(..self.len * SLOT_BYTES).unwrap_or_default().as_chunks().0
    }

    /// The first key that is not less than `key`; [`len`](Self::len) if there is none.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
        self.search(key).unwrap_or_else(|first| first)
    }

    /// Where `key` is.
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        self.search(key).ok()
    }

    /// Where `key` is; else, as an error, the first key that is not less.
    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (beginning, rest) = key.split_at(self.shared_bytes.min(key.len()));
        let shared = self.shared.get(..self.shared_bytes);
        let shared = shared.or_else(|| self.key(0).get(..self.shared_bytes)).unwrap_or_default();
        match beginning.cmp(shared) {
            Ordering::Less => return Err(0),
            Ordering::Greater => return Err(self.len),
            Ordering::Equal => {}
        }
        let (head, slots) = (head_of(rest), self.slots());
        let first = self.first_head_from(head);
        match slots.get(first) {
            Some(slot) if slot_head(slot) == head => self.search_among(first, head, key),
            _ => Err(first),
        }
    }

    /// The first key whose head is not less than `head`.
    ///
    /// Numbers and times are often spread evenly, and then a guess is right or close by, while halving would touch a
    /// cold line of memory at every step. Where the guess is bad, steps that double make it a search by halving after all.
    fn first_head_from(&self, head: u64) -> usize {
        let (slots, (first, last)) = (self.slots(), self.edges);
        if head <= first || head > last {
            return if head <= first { 0 } else { slots.len() };
        }
        let is_less = |slot: &Slot| slot_head(slot) < head;
        let guess = (head - first) as f64 / (last - first) as f64 * (slots.len() - 1) as f64;
        // To the nearest one: what is evenly spread is missed by less than one half.
        let guess = ((guess + 0.5) as usize).min(slots.len() - 1);
        // What is sought lies behind `low` heads that are less, and at `high` at the latest.
        let (mut low, mut high) = (0, slots.len());
        let mut step = GUESS_WIDTH;
        if slots.get(guess).is_some_and(is_less) {
            low = guess + 1;
            if slots.get(low).is_some_and(|slot| !is_less(slot)) {
                return low;
            }
            while let Some(slot) = slots.get(low + step) {
                if !is_less(slot) {
                    high = low + step;
                    break;
                }
                low += step + 1;
                step *= 2;
            }
        } else {
            high = guess;
            if guess.checked_sub(1).and_then(|before| slots.get(before)).is_some_and(is_less) {
                return guess;
            }
            while let Some(place) = high.checked_sub(step) {
                if slots.get(place).is_some_and(is_less) {
                    low = place + 1;
                    break;
                }
                high = place;
                step *= 2;
            }
        }
        low + slots.get(low..high).unwrap_or_default().partition_point(is_less)
    }

    /// As [`search`](Self::search), among the keys from `first` on whose head is `head`. Most often that is one.
    fn search_among(&self, first: usize, head: u64, key: &[u8]) -> Result<usize, usize> {
        let slots = self.slots().get(first..).unwrap_or_default();
        let is_same = |slot: &Slot| slot_head(slot) == head;
        let mut end = first + 1;
        if slots.get(1).is_some_and(is_same) {
            end = first + slots.partition_point(is_same);
        }
        let mut start = first;
        while start < end {
            let middle = start + (end - start) / 2;
            match self.key(middle).cmp(key) {
                Ordering::Less => start = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => end = middle,
            }
        }
        Err(start)
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.data.len()
    }
}

#[inline]
fn slot_place(slot: &Slot) -> Place {
    let [.., a, b, c, d, e, f, g, h] = *slot;
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
}

fn slot_head(slot: &Slot) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *slot;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The first 8 bytes as a number that is ordered as they are.
fn head_of(bytes: &[u8]) -> u64 {
    if let Some((first, _)) = bytes.split_first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    bytes.iter().rev().fold(0, |head, byte| (head >> 8) | (u64::from(*byte) << 56))
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
    /// The length of column `own`.
    own_bytes: usize,
}

impl KeyLengths {
    /// Reads `count` keys' lengths. `most` is how long all keys may be together, so that a few damaged bytes cannot ask
    /// for much memory.
    pub(crate) fn read(columns: &mut Columns<'_>, count: usize, most: usize) -> Result<Self, Malformed> {
        let mut lengths = Vec::with_capacity(count);
        let (mut keys_bytes, mut own_bytes, mut before) = (0, 0, 0u64);
        for _ in 0..count {
            let (shared, own) = (columns.varint()?, columns.varint()?);
            if shared > before || own > most as u64 {
                return Err(Malformed("a key shares more than there is"));
            }
            before = shared + own;
            keys_bytes += before as usize;
            own_bytes += own as usize;
            if keys_bytes > most {
                return Err(Malformed("keys are longer than they may be"));
            }
            lengths.push((shared as u32, own as u32));
        }
        Ok(Self { lengths, keys_bytes, own_bytes })
    }

    /// Reads column `own` and puts the keys together.
    pub(crate) fn keys(self, columns: &mut Columns<'_>) -> Result<KeyTable, Malformed> {
        self.keys_and_rows(columns, &[])
    }

    /// Reads column `own` and, behind it, rows of these lengths, and puts keys and rows together.
    pub(crate) fn keys_and_rows(self, columns: &mut Columns<'_>, rows: &[u32]) -> Result<KeyTable, Malformed> {
        let len = self.lengths.len();
        let rows_bytes: usize = rows.iter().map(|length| *length as usize).sum();
        let (mut own_column, mut rows_column) =
            (Columns(columns.take(self.own_bytes)?), Columns(columns.take(rows_bytes)?));
        let base = (len + 1) * SLOT_BYTES;
        let mut data = Vec::with_capacity(base + self.keys_bytes + rows_bytes);
        data.resize(base, 0);
        let mut places: Vec<Place> = Vec::with_capacity(len + 1);
        let (mut start, mut end) = (base, base);
        let mut shared_bytes = usize::MAX;
        for (index, (shared, own)) in self.lengths.iter().enumerate() {
            let own = own_column.take(*own as usize)?;
            let shared = *shared as usize;
            // What two neighbours share says nothing of the order yet: the byte behind it does.
            let ascends = match (data.get(start + shared..end), own) {
                (Some([]) | None, own) => !own.is_empty() || index == 0,
                (Some([before, ..]), [after, ..]) => before < after,
                (Some(_), []) => false,
            };
            if !ascends {
                return Err(Malformed("keys are not in order"));
            }
            let before = start;
            start = data.len();
            data.extend_from_within(before..before + shared);
            data.extend_from_slice(own);
            end = data.len();
            places.push((start, end));
            data.extend_from_slice(rows_column.take(rows.get(index).map_or(0, |length| *length as usize))?);
            shared_bytes = if index == 0 { own.len() } else { shared_bytes.min(shared) };
        }
        places.push((data.len(), data.len()));
        let shared_bytes = if len == 0 { 0 } else { shared_bytes };
        for (index, (start, end)) in places.iter().enumerate() {
            let head = head_of(data.get(start + shared_bytes..*end).unwrap_or_default());
            put_slot(&mut data, index, head, (*start, *end));
        }
        let first = places.first().map_or(0, |(start, _)| *start);
        let mut shared = [0; SHARED_AT_HAND_BYTES];
        let first_key = data.get(first..first + shared_bytes).unwrap_or_default();
        shared.iter_mut().zip(first_key).for_each(|(to, from)| *to = *from);
        let mut table = KeyTable { data: data.into(), len, shared_bytes, shared, edges: (0, 0) };
        table.edges = (table.slots().first().map_or(0, slot_head), table.slots().last().map_or(0, slot_head));
        Ok(table)
    }
}

fn put_slot(data: &mut [u8], index: usize, head: u64, (start, end): Place) {
    if let Some(slot) = data.as_chunks_mut::<SLOT_BYTES>().0.get_mut(index) {
        // The head is in the lower half, then comes where the key begins.
        let places = u128::from(start as u64 | ((end as u64) << 32));
        *slot = (u128::from(head) | (places << 64)).to_le_bytes();
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
        let table = KeyLengths::read(&mut reader, keys.len(), 1 << 20).unwrap().keys(&mut reader).unwrap();
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
        fn it_finds_what_an_ordered_set_finds(
            keys in keys(), prefix in prop::collection::vec(0u8..2, 0..20), more in keys(),
        ) {
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
        fn it_finds_numbers_however_they_are_spread(
            numbers in prop_oneof![
                prop::collection::btree_set(any::<u64>(), 1..400),
                prop::collection::btree_set(0u64..500, 1..400),
                // Powers of two are as uneven as can be: every guess is wrong.
                prop::collection::btree_set((0u32..64, 0u64..4).prop_map(|(bit, more)| (1u64 << bit) ^ more), 1..200),
            ],
            more in prop::collection::vec(any::<u64>(), 20),
        ) {
            let keys: BTreeSet<Vec<u8>> = numbers.iter().map(|number| number.to_be_bytes().to_vec()).collect();
            let (table, all) = (table(&keys), Vec::from_iter(keys.iter().cloned()));
            let near = numbers.iter().flat_map(|number| [number.wrapping_sub(1), *number, number.wrapping_add(1)]);
            for probe in more.into_iter().chain(near).map(|number| number.to_be_bytes()) {
                prop_assert_eq!(table.lower_bound(&probe), all.partition_point(|key| key.as_slice() < probe.as_slice()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic_and_all_keys_ascend(bytes in prop::collection::vec(0u8..5, 0..60), count in 0usize..12) {
            let mut reader = Columns(&bytes);
            if let Ok(lengths) = KeyLengths::read(&mut reader, count, 100)
                && let Ok(table) = lengths.keys(&mut reader)
            {
                prop_assert!((1..table.len()).all(|index| table.key(index - 1) < table.key(index)));
            }
        }
    }
}
