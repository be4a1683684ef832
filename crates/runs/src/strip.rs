//! Numbers that were read out of the rows of a block, kept side by side for the next scan.
//!
//! Rows lie some hundred bytes apart, so that a scan which needs one number of each waits for memory at every row. Side by
//! side, the numbers are read at the speed of memory, and rows that a scan passes over are not touched at all. They are made
//! by the first scan that asks for them, and live as long as the block does in the cache, in room that counts as the block's
//! from the beginning: so nothing is ever driven out for them, and a block has few. The first ones stay.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

/// What numbers are read out of rows: whoever reads them says what tells them apart.
pub type StripId = [u64; 4];

/// How many a block has at most.
const MOST_STRIPS: usize = 4;

/// They take up to this part of what the block takes else.
const SHARE: usize = 8;

const NUMBER_BYTES: usize = size_of::<i64>();

/// The strips of a block.
pub(crate) struct Strips {
    places: [OnceLock<Strip>; MOST_STRIPS],
    /// How many there may be.
    most: usize,
}

/// One number of each row; `None` if there is a row without it.
type Strip = (StripId, Option<Arc<[i64]>>);

/// The numbers of some entries that follow each other.
#[derive(Clone)]
pub struct Numbers {
    strip: Arc<[i64]>,
    range: Range<usize>,
}

impl Strips {
    /// For a block of so many entries, which take so many bytes.
    pub(crate) fn new(entries: usize, block_bytes: usize) -> Self {
        let most = block_bytes / SHARE / (NUMBER_BYTES * entries.max(1));
        Self { places: Default::default(), most: most.min(MOST_STRIPS) }
    }

    /// How much memory they may take, in bytes.
    pub(crate) fn room_bytes(&self, entries: usize) -> usize {
        self.most * NUMBER_BYTES * entries
    }

    /// The strip of that name, if it was read before.
    pub(crate) fn get(&self, id: StripId) -> Option<Arc<[i64]>> {
        let mut known = self.places.iter().filter_map(OnceLock::get);
        known.find_map(|(known, strip)| strip.clone().filter(|_| *known == id))
    }

    /// The strip of that name, which is read if there is room and it was not read before. `None` if there is none.
    pub(crate) fn get_or_read(&self, id: StripId, read: impl Fn() -> Option<Arc<[i64]>>) -> Option<Arc<[i64]>> {
        for place in self.places.iter().take(self.most) {
            let (known, strip) = place.get_or_init(|| (id, read()));
            if *known == id {
                return strip.clone();
            }
        }
        None
    }
}

impl fmt::Debug for Strips {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.places.iter().filter_map(OnceLock::get).map(|(id, _)| id);
        formatter.debug_list().entries(known).finish()
    }
}

impl Numbers {
    /// `None` if the strip does not have all of them.
    pub(crate) fn new(strip: Arc<[i64]>, range: Range<usize>) -> Option<Self> {
        strip.get(range.clone())?;
        Some(Self { strip, range })
    }
}

impl Deref for Numbers {
    type Target = [i64];

    #[inline]
    fn deref(&self) -> &[i64] {
        self.strip.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_as_many_as_there_is_room_for_and_reads_each_once() {
        let strips = Strips::new(10, 10 * 2 * SHARE * NUMBER_BYTES);
        assert_eq!(strips.room_bytes(10), 2 * 10 * NUMBER_BYTES);
        let read = |number: i64| move || Some(Arc::from(vec![number; 10]));
        let first = |id: u64, number: i64| strips.get_or_read([id; 4], read(number)).map(|strip| strip[0]);
        assert_eq!((first(1, 11), first(1, 12)), (Some(11), Some(11)), "it is known");
        assert_eq!((strips.get([1; 4]).map(|strip| strip[9]), strips.get([2; 4])), (Some(11), None));
        assert_eq!(strips.get_or_read([2; 4], || None), None);
        assert_eq!(first(2, 22), None, "that there is none is known");
        assert_eq!((first(3, 33), first(1, 13)), (None, Some(11)), "there is no room");
        let small = Strips::new(10, 10 * SHARE * NUMBER_BYTES - 1);
        assert_eq!(small.room_bytes(10), 0);
        assert_eq!(small.get_or_read([1; 4], read(1)), None);
    }

    #[test]
    fn numbers_are_those_of_their_entries() {
        let strip: Arc<[i64]> = Arc::from(vec![5, 6, 7, 8]);
        assert_eq!(&*Numbers::new(strip.clone(), 1..3).unwrap(), [6, 7]);
        assert!(Numbers::new(strip, 3..5).is_none());
    }
}
