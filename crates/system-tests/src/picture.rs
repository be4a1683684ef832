use bucketdb::{Blob, Document};
use serde::{Deserialize, Serialize};

/// So many pictures there are at a time, about: each operation writes one, and deletes the one that so many before it wrote.
pub const PICTURES: u64 = 60;

/// One in so many is large.
const LARGE_SHARE: u64 = 15;

/// A document with a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "pictures", version = 1)]
pub struct Picture {
    /// The key: the number of the operation that wrote it.
    #[document(key)]
    pub id: u64,
    /// How often it was written again.
    pub version: u64,
    /// What is in it follows from the two.
    pub image: Blob,
}

/// What the image of a picture holds: up to 20 KB, or some 9 MB, more than goes in one piece.
#[must_use]
pub fn image_of(id: u64, version: u64) -> Vec<u8> {
    let len = if id.is_multiple_of(LARGE_SHARE) { 9_000_000 } else { id * 7_919 % 20_000 };
    let seed = id.wrapping_mul(31).wrapping_add(version);
    (0..len).map(|at| (at.wrapping_mul(seed | 1) >> 3) as u8).collect()
}
