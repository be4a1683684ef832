//! The bytes of a run, format version 1.
//!
//! ```text
//! blocks and partitions    each partition behind the blocks that it tells of
//! partitions               those that were held back, see below
//! top index
//! footer
//! ```
//!
//! Blocks, partitions and the top index are *parts*:
//!
//! ```text
//! offset size
//!      0    1  kind: 1 block, 2 partition, 3 top index
//!      1    1  compression of the body: 0 none, 1 LZ4 block
//!      2    2  zero
//!      4    4  size of the body as stored
//!      8    4  size of the body uncompressed, at most 32 MiB
//!     12    …  body
//!      …   16  checksum, over the database id, the object's name, the part's offset and all bytes before it
//! ```
//!
//! Keys in order are stored as two columns and the bytes that they speak of:
//!
//! ```text
//! keys    for each key: bytes shared with the key before it (varint), bytes of its own (varint)
//! own     the own bytes of all keys, one after the other
//! ```
//!
//! The body of a **block**: number of entries (varint), `keys`, for each entry 0 if it is a deletion or 1 + the length
//! of its row (varint), the least position (varint), for each entry its position less that one (varint), `own`, the
//! rows one after the other.
//!
//! The body of a **partition**, which covers 16,384 keys, or half as many and more where those are short and take 512 KiB
//! with it: number of blocks (varint), the offset of the first block (varint), for each block the size of its part (varint),
//! `keys` and `own` of the separators, the filter. A block's separator is not less than its last key and less than the first
//! one behind it, and is the last key if that is not long; the blocks of a partition lie one behind the other. The filter is
//! the rest of the body; see below.
//!
//! The body of the **top index**: number of partitions (varint), for each partition the offset and size of its part, the
//! offset of its first block and the size of all its blocks (varints), `keys` and `own` of the separators.
//!
//! A **filter** is a binary fuse filter of arity 3 with fingerprints of 8 bits:
//!
//! ```text
//! offset size
//!      0    1  kind: 0 no filter (every key may be there), 1 binary fuse
//!      1    8  seed
//!      9    4  length of a segment, a power of two
//!     13    4  length of all segments in which a key's first fingerprint may be
//!     17    …  fingerprints
//! ```
//!
//! A key is hashed with XXH3 (64 bits, seed 0), then as in the reference implementation of Graf and Lemire ("Binary Fuse
//! Filters", 2022): `h` = MurmurHash3's 64-bit finalizer of (hash + seed); the first place is the high half of
//! `h` × length of all segments; the second and third are one and two segments behind it, their place in the segment
//! turned by (exclusive or) bits 18 and up and 0 and up of `h`; a key may be there if the three fingerprints there add
//! up (exclusive or) to the lowest byte of `h` ^ `h` >> 32.
//!
//! The **footer**:
//!
//! ```text
//! offset size
//!      0    8  offset of the top index
//!      8    8  number of entries
//!     16    8  number of deletions
//!     24    8  live bytes
//!     32    8  size of the object
//!     40    2  size of the footer
//!     42    2  format version
//!     44    4  magic "BKRN"
//!     48   16  checksum, over the database id, the object's name, the footer's offset and all bytes before it
//! ```
//!
//! Numbers are little-endian. Every future format keeps the last 24 bytes as they are, so that a newer run can be told from
//! a damaged one.
//!
//! Partitions are held back until they are more than 112 KiB, so that what is no data in a run of some 80,000 keys comes
//! in one read together with the footer. One that comes to no more than 512 KiB together with its blocks is not: it stands right
//! behind them, and a scan reads both at once. In longer runs a partition is read when it is needed: its part of the index and its
//! filter lie together, so that takes one read as well. A writer holds none of a long run in memory but the top index.
//!
//! What is read first of a run, its *tail*, is no more than some 25 bytes for each partition of a long run. Up to 32 KiB of it
//! (4 KiB where partitions are part of it) are kept where the run is named ([`RunMeta`](crate::RunMeta)), and then a reader begins with the partition.

use bucketdb_log::codec::{self, Malformed};
use bucketdb_log::format::{CHECKSUM_BYTES, Checksums};
use bytes::{BufMut, Bytes};

use crate::compression::{compress, decompress};
use crate::error::Fault;

/// The newest format that this version reads, and the one it writes.
pub const FORMAT_VERSION: u16 = 1;

/// What stands at the end of every run, before the checksum.
pub const MAGIC: [u8; 4] = *b"BKRN";

/// The longest key in bytes.
pub const MAX_KEY_BYTES: usize = 64 << 10;

/// The longest row in bytes. Records of the log are shorter than that.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// The longest body of a part in bytes, uncompressed.
pub(crate) const MAX_BODY_BYTES: usize = 32 << 20;

/// Size of what stands before a part's body, in bytes.
pub(crate) const PART_HEADER_BYTES: usize = 12;

/// Size of the footer in bytes.
pub(crate) const FOOTER_BYTES: usize = 64;

/// How much of what is no data is stored together with the footer at most, in bytes.
pub(crate) const MAX_TAIL_BYTES: usize = 128 << 10;

/// How much of it partitions may be.
pub(crate) const MAX_HELD_BACK_BYTES: usize = 112 << 10;

/// The longest tail of a run that is kept beside what else is known of it, in bytes.
pub(crate) const MAX_KNOWN_TAIL_BYTES: usize = 32 << 10;

/// The longest one that is if partitions are part of it, in bytes.
pub(crate) const MAX_KNOWN_PARTITIONS_BYTES: usize = 4 << 10;

/// A run up to this many bytes is read in one piece.
pub(crate) const WHOLE_RUN_BYTES: u64 = 64 << 10;

/// A partition up to this many bytes is kept with the rest of the tail beside what else is known of the run.
pub(crate) const SHORT_PARTITION_BYTES: usize = 3 << 10;

/// A partition and its blocks up to this many bytes lie side by side, so that a scan that knows neither has both in one read:
/// entries of indexes mostly, which are short.
pub(crate) const STRETCH_BYTES: u64 = 512 << 10;

const _: () = assert!(1 + 1 + 2 + 4 + 4 == PART_HEADER_BYTES);
const _: () = assert!(8 + 8 + 8 + 8 + 8 + 2 + 2 + 4 + CHECKSUM_BYTES == FOOTER_BYTES);
// A block holds one entry at least, with some bytes for each of its columns.
const _: () = assert!(MAX_KEY_BYTES + MAX_ROW_BYTES + 1024 < MAX_BODY_BYTES);

/// What a part is. The numbers are stored and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PartKind {
    Block = 1,
    Partition = 2,
    TopIndex = 3,
}

impl PartKind {
    fn from_number(number: u8) -> Result<Self, Fault> {
        [Self::Block, Self::Partition, Self::TopIndex]
            .into_iter()
            .find(|kind| *kind as u8 == number)
            .ok_or_else(|| Fault::Newer(format!("it has a part of kind {number}, and this version knows {}", "1 to 3")))
    }
}

/// Names an object of a database, for its checksums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) checksums: &'a Checksums,
    /// The name below the database's prefix.
    pub(crate) name: &'a str,
}

/// Appends a part to `out`, whose first byte lies at `base` in the object. Returns the part's size.
pub(crate) fn put_part(place: Place<'_>, base: u64, kind: PartKind, body: &[u8], out: &mut Vec<u8>) -> u64 {
    debug_assert!(body.len() <= MAX_BODY_BYTES, "writers cut parts long before");
    let start = out.len();
    out.put_bytes(0, PART_HEADER_BYTES);
    let compression = compress(body, out);
    let stored_bytes = out.len() - start - PART_HEADER_BYTES;
    let mut header = Vec::with_capacity(PART_HEADER_BYTES);
    header.put_u8(kind as u8);
    header.put_u8(compression as u8);
    header.put_u16_le(0);
    header.put_u32_le(stored_bytes as u32);
    header.put_u32_le(body.len() as u32);
    if let Some(room) = out.get_mut(start..start + PART_HEADER_BYTES) {
        room.copy_from_slice(&header);
    }
    let checksum = place.checksums.of_part(place.name, base + start as u64, out.get(start..).unwrap_or_default());
    out.put_slice(&checksum);
    (out.len() - start) as u64
}

/// What the beginning of a part claims. Believed only as far as needed to find the part's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartHeader {
    kind: u8,
    compression: u8,
    zero: [u8; 2],
    stored_bytes: u32,
    body_bytes: u32,
}

impl PartHeader {
    /// Reads the first bytes of a part.
    pub(crate) fn peek(bytes: &[u8]) -> Result<Self, Fault> {
        let Some(([kind, compression, zero @ .., a, b, c, d, e, f, g, h], _)) =
            bytes.split_first_chunk::<PART_HEADER_BYTES>()
        else {
            return Err(Fault::Damaged("it ends inside a part"));
        };
        let header = Self {
            kind: *kind,
            compression: *compression,
            zero: *zero,
            stored_bytes: u32::from_le_bytes([*a, *b, *c, *d]),
            body_bytes: u32::from_le_bytes([*e, *f, *g, *h]),
        };
        if header.stored_bytes as usize > MAX_BODY_BYTES || header.body_bytes as usize > MAX_BODY_BYTES {
            return Err(Fault::Damaged("a part is longer than parts may be"));
        }
        Ok(header)
    }

    /// The size of the whole part in bytes.
    pub(crate) fn part_bytes(self) -> usize {
        PART_HEADER_BYTES + self.stored_bytes as usize + CHECKSUM_BYTES
    }

    /// What the part is, once its checksum was found right.
    pub(crate) fn kind(self) -> Result<PartKind, Fault> {
        PartKind::from_number(self.kind)
    }
}

/// The body of the part that `bytes` are, no more and no less, which begins at `offset` of the object.
pub(crate) fn read_part(place: Place<'_>, offset: u64, kind: PartKind, bytes: &[u8]) -> Result<Bytes, Fault> {
    let (found, body) = read_any_part(place, offset, bytes)?;
    if found != kind {
        return Err(Fault::Damaged("a part is not of the kind that was expected there"));
    }
    Ok(body)
}

/// As [`read_part`], whatever the part is.
pub(crate) fn read_any_part(place: Place<'_>, offset: u64, bytes: &[u8]) -> Result<(PartKind, Bytes), Fault> {
    let header = PartHeader::peek(bytes)?;
    if header.part_bytes() != bytes.len() {
        return Err(Fault::Damaged("a part has another size than the index says"));
    }
    let Some((covered, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(Fault::Damaged("it ends inside a part"));
    };
    if place.checksums.of_part(place.name, offset, covered) != *checksum {
        return Err(Fault::Damaged("the checksum of a part does not match"));
    }
    if header.zero != [0, 0] {
        return Err(Fault::Damaged("a part has bytes that must be zero"));
    }
    let stored = covered.get(PART_HEADER_BYTES..).unwrap_or_default();
    Ok((header.kind()?, decompress(header.compression, stored, header.body_bytes as usize)?))
}

/// Numbers that are read from columns. Much quicker than taking single bytes off shared ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a>(pub(crate) &'a [u8]);

impl<'a> Columns<'a> {
    /// The next varint.
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 && *high != 0 => {
                self.0 = rest;
                Ok(u64::from(low & 0x7f) | (u64::from(*high) << 7))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let (value, rest) = codec::take_varint(self.0)?;
        self.0 = rest;
        Ok(value)
    }

    /// A varint that counts things of which each takes a byte at least in what is left.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.varint()?;
        if count > self.0.len() as u64 { Err(Malformed("it counts more than there is")) } else { Ok(count as usize) }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }
}
