//! The bytes of `backup/<seq>`, format version 1: what a database held at one moment.
//!
//! ```text
//! offset size
//!      0    4  magic "BKBL"
//!      4    2  format version
//!      6    2  zero
//!      8   16  database id
//!     24   16  hash of the record at the position
//!     40    …  generation, position, time in the record there, first position that is replayed (varints)
//!      …    …  number of objects (varint), then each in the order of their names:
//!              how many bytes of its name are those of the name before (varint), the rest of it (text),
//!              its size in bytes (varint), the first 128 bits of its BLAKE3
//!      …   16  checksum
//! ```
//!
//! A text has its size before it as a varint. The checksum is that of the whole object before it, over database id, name and
//! offset as for a record. Names are relative to the database, and the bytes are those that the store has: sealed, if the
//! database is encrypted. An object takes 25 to 60 bytes, most of which are the random ids of runs and blobs.

use bucketdb_driver::Key;
use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_log::format::{CHECKSUM_BYTES, Checksums};
use bucketdb_log::{ChainHash, DatabaseId, Layout, LogTime, Seq};
use bytes::{BufMut, Bytes};

const MAGIC: [u8; 4] = *b"BKBL";

const FORMAT_VERSION: u16 = 1;

/// Position and session, in bytes.
const LONGEST_RECORD_NAME: usize = 4 + 20 + 1 + 32;

/// The first 128 bits of the BLAKE3 of an object.
pub(super) type Hash = [u8; 16];

/// An object of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Relative to the database.
    pub(super) name: String,
    pub(super) size_bytes: u64,
    pub(super) hash: Hash,
}

/// What a database held at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) database: DatabaseId,
    pub(super) generation: u64,
    pub(super) seq: Seq,
    /// The hash of the record there: it tells this log from another one that began alike.
    pub(super) hash: ChainHash,
    pub(super) time: LogTime,
    /// Whoever has all but the record there cannot open the log.
    pub(super) first_to_replay: Seq,
    /// In the order of their names.
    pub(super) items: Vec<Item>,
}

/// Why a listing cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Damaged(&'static str),
    /// A newer version wrote it.
    Newer(u16),
}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self::Damaged(malformed.0)
    }
}

impl Listing {
    /// The name, relative to the backup, of the listing of a moment.
    pub(super) fn name_of(seq: Seq) -> String {
        format!("{FOLDER}{:020}", seq.0)
    }

    /// The position in such a name.
    pub(super) fn parse_name(name: &str) -> Option<Seq> {
        let digits = name.strip_prefix(FOLDER)?;
        let is_position = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_position).map(Seq)
    }

    /// The bytes of the object.
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(128 + 60 * self.items.len());
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(FORMAT_VERSION);
        bytes.put_u16_le(0);
        bytes.put_slice(&self.database.0);
        bytes.put_slice(&self.hash.0);
        for number in [self.generation, self.seq.0, self.time.0, self.first_to_replay.0] {
            codec::put_varint(&mut bytes, number);
        }
        codec::put_varint(&mut bytes, self.items.len() as u64);
        let mut before = "";
        for Item { name, size_bytes, hash } in &self.items {
            let shared = before.bytes().zip(name.bytes()).take_while(|(one, other)| one == other).count();
            codec::put_varint(&mut bytes, shared as u64);
            codec::put_bytes(&mut bytes, name.as_bytes().get(shared..).unwrap_or_default());
            codec::put_varint(&mut bytes, *size_bytes);
            bytes.put_slice(hash);
            before = name;
        }
        let checksum = Checksums::new(self.database).of_part(&Self::name_of(self.seq), 0, &bytes);
        bytes.put_slice(&checksum);
        bytes.into()
    }

    /// Reads the object of the moment at a position.
    pub(super) fn decode(bytes: &Bytes, seq: Seq) -> Result<Self, Unreadable> {
        let covered_bytes = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(Malformed("it is cut short"))?;
        let (covered, checksum) = (bytes.slice(..covered_bytes), bytes.slice(covered_bytes..));
        let mut reader = Reader::new(covered.clone());
        let (magic, version, zero): ([u8; 4], u16, u16) = (reader.array()?, reader.u16()?, reader.u16()?);
        let database = DatabaseId(reader.array()?);
        if Checksums::new(database).of_part(&Self::name_of(seq), 0, &covered)[..] != checksum[..] {
            return Err(Unreadable::Damaged("its checksum does not match"));
        }
        if magic != MAGIC {
            return Err(Unreadable::Damaged("it does not begin as its kind of object does"));
        }
        if version != FORMAT_VERSION {
            return Err(Unreadable::Newer(version));
        }
        if zero != 0 {
            return Err(Unreadable::Damaged("reserved bytes are not zero"));
        }
        let listing = Self {
            database,
            hash: ChainHash(reader.array()?),
            generation: reader.varint()?,
            seq: Seq(reader.varint()?),
            time: LogTime(reader.varint()?),
            first_to_replay: Seq(reader.varint()?),
            items: decode_items(&mut reader)?,
        };
        reader.finish()?;
        let has_record = |seq| listing.items.iter().any(|item| is_record_at(&item.name, seq));
        if listing.seq != seq || !has_record(listing.seq) || !has_record(listing.first_to_replay) {
            return Err(Unreadable::Damaged("it contradicts its name or itself"));
        }
        Ok(listing)
    }
}

pub(super) const FOLDER: &str = "backup/";

/// Whether a name, relative to the database, is that of the record at a position.
pub(super) fn is_record_at(name: &str, seq: Seq) -> bool {
    let behind = name.strip_prefix(&Layout::slot_name(seq));
    behind.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whether a name is one of those that a database's objects have that are written once.
fn is_known(name: &str) -> bool {
    let is_record = name.starts_with("log/") && name.len() <= LONGEST_RECORD_NAME;
    (is_record || Layout::parse_object(name).is_some()) && Key::new(name).is_ok()
}

fn decode_items(reader: &mut Reader) -> Result<Vec<Item>, Malformed> {
    let mut items: Vec<Item> = Vec::new();
    for _ in 0..reader.varint()? {
        let shared = reader.length()?;
        let before = items.last().map_or("", |item| item.name.as_str());
        let shared = before.get(..shared).ok_or(Malformed("a name has more in common with another than that is"))?;
        let name = format!("{shared}{}", reader.text()?);
        if !is_known(&name) || name.as_str() <= before {
            return Err(Malformed("it lists objects that no database has, or not in their order"));
        }
        items.push(Item { name, size_bytes: reader.varint()?, hash: reader.array()? });
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use bucketdb_log::ObjectKind;
    use proptest::prelude::*;

    use super::*;

    fn listing() -> impl Strategy<Value = Listing> {
        let record = (1..9_u64).prop_map(|seq| Layout::slot_name(Seq(seq)));
        let object = (0..3_usize, 0..9_u64, any::<[u8; 16]>()).prop_map(|(kind, seq, id)| {
            let kinds = [ObjectKind::Manifest, ObjectKind::Run, ObjectKind::Blob];
            Layout::unique_name(kinds[kind], Seq(seq), id)
        });
        let names = prop::collection::btree_set(prop_oneof![record, object], 0..20);
        (names, any::<[u8; 16]>(), any::<u64>()).prop_map(|(mut names, id, number)| {
            names.extend([2, 9].map(|seq| Layout::slot_name(Seq(seq))));
            let item =
                |(at, name): (usize, String)| Item { name, size_bytes: number >> (at % 64), hash: [at as u8; 16] };
            Listing {
                database: DatabaseId(id),
                generation: number,
                seq: Seq(9),
                hash: ChainHash(id),
                time: LogTime(number / 3),
                first_to_replay: Seq(2),
                items: names.into_iter().enumerate().map(item).collect(),
            }
        })
    }

    proptest! {
        #[test]
        fn listings_come_back(listing in listing()) {
            prop_assert_eq!(Listing::decode(&listing.encode(), Seq(9)), Ok(listing.clone()));
            prop_assert!(Listing::decode(&listing.encode(), Seq(8)).is_err(), "it is bound to its name");
        }

        /// What has a sound checksum and no sense: an error or another listing, and no more memory than bytes.
        #[test]
        fn nothing_is_too_much_for_the_decoder(
            listing in listing(),
            place: prop::sample::Index,
            wound in prop::collection::vec(any::<u8>(), 1..12),
        ) {
            let mut bytes = listing.encode().to_vec();
            bytes.truncate(bytes.len() - CHECKSUM_BYTES);
            let at = place.index(bytes.len());
            bytes.splice(at..(at + wound.len()).min(bytes.len()), wound);
            let mut id = [0; 16];
            id.copy_from_slice(&bytes[8..24]);
            let checksum = Checksums::new(DatabaseId(id)).of_part(&Listing::name_of(Seq(9)), 0, &bytes);
            bytes.extend_from_slice(&checksum);
            let _ = Listing::decode(&bytes.into(), Seq(9));
        }

        #[test]
        fn every_changed_bit_is_found(listing in listing(), place: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = listing.encode().to_vec();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Listing::decode(&bytes.into(), Seq(9)).is_err());
        }
    }

    #[test]
    fn names_parse_back_and_nothing_else_does() {
        assert_eq!(Listing::parse_name(&Listing::name_of(Seq(7))), Some(Seq(7)));
        for other in ["backup/7", "backup/0000000000000000000x", "log/00000000000000000007", "backup/"] {
            assert_eq!(Listing::parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn golden_bytes() {
        let item = |name: String, hash| Item { name, size_bytes: 300, hash: [hash; 16] };
        let listing = Listing {
            database: DatabaseId([1; 16]),
            generation: 1,
            seq: Seq(3),
            hash: ChainHash([9; 16]),
            time: LogTime(99),
            first_to_replay: Seq(2),
            items: vec![
                item(Layout::slot_name(Seq(2)), 2),
                item(Layout::slot_name(Seq(3)), 3),
                item(Layout::unique_name(ObjectKind::Run, Seq(1), [4; 16]), 4),
            ],
        };
        let bytes = listing.encode();
        assert_eq!((bytes.len(), Listing::decode(&bytes, Seq(3))), (203, Ok(listing)));
        // Computed once by this code: it may never change while format version 1 is read.
        let checksum = u128::from_be_bytes(bytes[bytes.len() - 16..].try_into().unwrap());
        assert_eq!(format!("{checksum:032x}"), "8391a1ca66f5fda1f38b95a92155d542");
    }
}
