use std::collections::BTreeMap;

use bucketdb::Document;
use serde::{Deserialize, Serialize};

/// So many keys are written again and again.
pub const PIECES: u64 = 3_000;

/// So many documents does an operation write, and so many does it delete, that is no bulk load.
const WRITTEN: u64 = 40;
const DELETED: u64 = 8;

/// A bulk load writes every so manieth key.
const BULK_SHARE: u64 = 3;

/// A document that is written again and again, by one operation after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "pieces", version = 1)]
pub struct Piece {
    /// The key.
    #[document(key)]
    pub id: u64,
    /// The number of the operation that wrote it.
    pub operation: u64,
    /// Follows from both.
    pub text: String,
}

impl Piece {
    /// The document that an operation writes there.
    #[must_use]
    pub fn new(id: u64, operation: u64) -> Self {
        let text = (0..16).map(|part| format!("{:016x}", mix(id, operation, part))).collect();
        Self { id, operation, text }
    }
}

/// An operation on many documents, which takes effect as a whole or not at all. What it does follows from its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toil {
    /// No two operations have the same.
    pub number: u64,
    /// Whether it is a bulk load. A bulk load deletes nothing.
    pub is_bulk: bool,
}

impl Toil {
    /// The documents that it writes.
    pub fn written(self) -> impl Iterator<Item = Piece> {
        let Self { number, is_bulk } = self;
        let is_chosen = move |id: &u64| match is_bulk {
            true => mix(*id, number, 0).is_multiple_of(BULK_SHARE),
            false => (id + PIECES - self.first()) % PIECES < WRITTEN,
        };
        (0..PIECES).filter(is_chosen).map(move |id| Piece::new(id, number))
    }

    /// The keys that it deletes, none of which it writes.
    pub fn deleted(self) -> impl Iterator<Item = u64> {
        let count = if self.is_bulk { 0 } else { DELETED };
        (0..count).map(move |place| (self.first() + WRITTEN + place) % PIECES)
    }

    /// Does it to the operations that wrote the documents, by their keys.
    pub fn apply(self, pieces: &mut BTreeMap<u64, u64>) {
        for id in self.deleted() {
            pieces.remove(&id);
        }
        pieces.extend(self.written().map(|piece| (piece.id, piece.operation)));
    }

    fn first(self) -> u64 {
        mix(0, self.number, 1) % PIECES
    }
}

/// A number that looks random and follows from three.
fn mix(first: u64, second: u64, third: u64) -> u64 {
    let mut state = first.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ second.rotate_left(32) ^ third.rotate_left(56);
    for _ in 0..2 {
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    }
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_differ_and_each_is_always_the_same() {
        for is_bulk in [false, true] {
            let mut states = Vec::new();
            for number in 1..50 {
                let toil = Toil { number, is_bulk };
                let (mut pieces, mut again) = (BTreeMap::new(), (0..PIECES).map(|id| (id, 0)).collect());
                toil.apply(&mut pieces);
                toil.apply(&mut again);
                assert!(pieces.len() as u64 >= WRITTEN && pieces.values().all(|operation| *operation == number));
                let deleted: Vec<u64> = toil.deleted().collect();
                assert!(deleted.iter().all(|id| !pieces.contains_key(id)), "it deletes what it writes");
                assert_eq!(again.len() as u64, PIECES - deleted.len() as u64);
                states.push(pieces.into_keys().collect::<Vec<_>>());
            }
            states.sort();
            states.dedup();
            assert!(states.len() > 40, "nearly all write other documents");
        }
    }
}
