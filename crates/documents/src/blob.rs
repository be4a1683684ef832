//! The text that stands for a blob in a document: `blob:` and 96 letters of base64 for URLs, which are 72 bytes:
//!
//! ```text
//! offset size
//!      0    8  position that whoever uploaded it knew when it began, big-endian
//!      8   16  random id
//!     24    8  length of the content in bytes, big-endian
//!     32   32  BLAKE3 of the content
//!     64    8  the beginning of the checksum of all that, over the database's id and the object's name
//! ```
//!
//! It has one width, and the same form in JSON and in a row. So a row says by its bytes alone which blobs it refers to,
//! wherever in the document they are, whatever its schema declares and whichever version it was written under: whoever looks
//! for references searches the row for `blob:`. No text that was not made by an upload to this database passes the checksum,
//! so text that looks alike is text.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bucketdb_log::format::Checksums;
use bucketdb_log::{DatabaseId, Layout, ObjectKind, Seq};
use memchr::memmem;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the text of a blob begins with.
const PREFIX: &str = "blob:";

/// What stands behind the prefix.
const STORED_BYTES: usize = 72;
const ENCODED_BYTES: usize = STORED_BYTES / 3 * 4;

/// What the checksum covers.
const COVERED_BYTES: usize = 64;

/// The longest blob: 5 TiB, the most that an object of S3 can have.
pub const MAX_BLOB_BYTES: u64 = 5 << 40;

const _: () = assert!(STORED_BYTES.is_multiple_of(3), "base64 needs no padding");

/// Refers to a blob: bytes of any length that are kept in an object of their own.
///
/// A field of a document, be it `Blob` or `Option<Blob>`, or nested anywhere. In JSON it is a text; the same text in a
/// document without a Rust type refers to the blob as well. It says how long the content is and what it hashes to, and does
/// not tell anyone without access to the store how to reach it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blob {
    seq: Seq,
    id: [u8; 16],
    len: u64,
    hash: [u8; 32],
    check: [u8; STORED_BYTES - COVERED_BYTES],
}

/// A text that refers to no blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not refer to a blob")]
pub struct InvalidBlob(String);

impl Blob {
    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The BLAKE3 hash of its content.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    fn stored(&self) -> [u8; STORED_BYTES] {
        let mut bytes = [0; STORED_BYTES];
        let parts: [&[u8]; 5] = [&self.seq.0.to_be_bytes(), &self.id, &self.len.to_be_bytes(), &self.hash, &self.check];
        for (place, byte) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        bytes
    }

    /// What the letters behind the prefix say, whatever the checksum.
    fn decode(letters: &[u8]) -> Option<Self> {
        let mut bytes = [0; STORED_BYTES];
        let len = URL_SAFE_NO_PAD.decode_slice(letters.get(..ENCODED_BYTES)?, &mut bytes).ok()?;
        let (seq, rest) = bytes.get(..len)?.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let check = *rest.first_chunk()?;
        let (seq, len) = (Seq(u64::from_be_bytes(*seq)), u64::from_be_bytes(*len));
        Some(Self { seq, id: *id, len, hash: *hash, check }).filter(|blob| blob.len <= MAX_BLOB_BYTES)
    }

    fn checksum(&self, database: DatabaseId) -> Option<[u8; STORED_BYTES - COVERED_BYTES]> {
        let stored = self.stored();
        let covered = stored.get(..COVERED_BYTES).unwrap_or_default();
        Checksums::new(database).of_part(&blob_name(self), 0, covered).first_chunk().copied()
    }

    /// Whether an upload to this database made it.
    #[must_use]
    pub fn is_of(&self, database: DatabaseId) -> bool {
        self.checksum(database) == Some(self.check)
    }
}

/// Refers to the content with that length and hash in the object `name`, relative to the database; `None` if no blob has
/// such a name, or such a length.
#[must_use]
pub fn new_blob(database: DatabaseId, name: &str, len: u64, hash: [u8; 32]) -> Option<Blob> {
    let (kind, seq, id) = Layout::parse_object(name)?;
    let mut blob = Blob { seq, id, len, hash, check: Default::default() };
    blob.check = blob.checksum(database)?;
    Some(blob).filter(|blob| kind == ObjectKind::Blob && blob.len <= MAX_BLOB_BYTES)
}

/// The name of the object that holds a blob, relative to the database.
#[must_use]
pub fn blob_name(blob: &Blob) -> String {
    Layout::unique_name(ObjectKind::Blob, blob.seq, blob.id)
}

/// The blobs of a database that a row refers to, each once. Costs a search for five letters where there are none.
#[must_use]
pub fn blobs_of_row(row: &[u8], database: DatabaseId) -> Vec<Blob> {
    let mut blobs: Vec<Blob> = blobs_in(row).filter(|blob| blob.is_of(database)).collect();
    blobs.sort_unstable_by_key(Blob::stored);
    blobs.dedup();
    blobs
}

/// What looks like blobs in bytes, of whatever database.
pub fn blobs_in(bytes: &[u8]) -> impl Iterator<Item = Blob> {
    static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(PREFIX));
    let found = FINDER.find_iter(bytes);
    found.filter_map(|at| Blob::decode(bytes.get(at + PREFIX.len()..)?))
}

impl fmt::Display for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(PREFIX)?;
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.stored()))
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Blob({self})")
    }
}

impl FromStr for Blob {
    type Err = InvalidBlob;

    fn from_str(text: &str) -> Result<Self, InvalidBlob> {
        let letters = text.strip_prefix(PREFIX).filter(|letters| letters.len() == ENCODED_BYTES);
        let blob = letters.and_then(|letters| Self::decode(letters.as_bytes()));
        blob.ok_or_else(|| InvalidBlob(text.chars().take(120).collect()))
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{FieldType, KeyType, Layouts, Schema, row};

    const DATABASE: DatabaseId = DatabaseId([7; 16]);

    fn blob(seq: u64, len: u64) -> Blob {
        let name = Layout::unique_name(ObjectKind::Blob, Seq(seq), [seq as u8; 16]);
        new_blob(DATABASE, &name, len, [3; 32]).unwrap()
    }

    #[test]
    fn its_text_is_as_it_ever_was() {
        let text = blob(12, 5 << 20).to_string();
        let golden = "blob:AAAAAAAAAAwMDAwMDAwMDAwMDAwMDAwMAAAAAABQAAADAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA";
        assert_eq!((&text[..golden.len()], text.len()), (golden, PREFIX.len() + ENCODED_BYTES));
        assert_eq!(blob_name(&blob(12, 0)), "blob/00000000000000000012-0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c");
    }

    #[test]
    fn only_an_upload_to_the_database_makes_one() {
        let blob = blob(3, 9);
        assert!(blob.is_of(DATABASE) && !blob.is_of(DatabaseId([8; 16])));
        let longer = Blob { len: 10, ..blob };
        assert!(!longer.is_of(DATABASE));
        assert_eq!(blobs_of_row(format!("{longer}").as_bytes(), DATABASE), []);
        let name = Layout::unique_name(ObjectKind::Run, Seq(1), [1; 16]);
        assert_eq!(new_blob(DATABASE, &name, 1, [0; 32]), None);
        assert_eq!(new_blob(DATABASE, &blob_name(&blob), MAX_BLOB_BYTES + 1, [0; 32]), None);
    }

    #[test]
    fn a_row_has_them_wherever_they_are() {
        assert_eq!(FieldType::of::<Option<Blob>>(), FieldType::Blob);
        let schema = Schema::builder("t").field::<String>("id").field::<Blob>("photo").key(&["id"]).finish();
        let (photo, nested, listed, undeclared) = (blob(1, 0), blob(2, 1), blob(3, 2), blob(4, 3));
        let document = json!({
            "id": "x", "photo": photo, "more": undeclared.to_string(),
            "a": {"b": nested}, "c": [listed, format!("see {photo}.")], "text": "blob: none, blob:AAAA",
        });
        let mut all = vec![photo, nested, listed, undeclared];
        all.sort_unstable_by_key(Blob::stored);
        let open = Schema::open("t", "id", KeyType::Text);
        for layouts in [Layouts::of_schema(&schema), Layouts::of_schema(&open)] {
            let row = row::encode(&document, &layouts).unwrap();
            assert_eq!(blobs_of_row(&row, DATABASE), all);
            assert_eq!(row::decode_value(&row, &layouts).unwrap(), document);
        }
    }

    proptest! {
        #[test]
        fn texts_come_back(seq: u64, id: [u8; 16], len in 0..=MAX_BLOB_BYTES, hash: [u8; 32]) {
            let name = Layout::unique_name(ObjectKind::Blob, Seq(seq), id);
            let blob = new_blob(DATABASE, &name, len, hash).unwrap();
            prop_assert_eq!(blob.to_string().parse(), Ok(blob));
            prop_assert_eq!((blob.len(), blob.hash(), blob_name(&blob)), (len, hash, name));
            let json = serde_json::to_string(&blob).unwrap();
            prop_assert_eq!(serde_json::from_str::<Blob>(&json).unwrap(), blob);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0usize..110) {
            let mut all = bytes;
            all.extend_from_slice(&blob(9, 9).to_string().as_bytes()[..cut.min(101)]);
            prop_assert_eq!(blobs_of_row(&all, DATABASE).len(), usize::from(cut >= 101));
            let _ = String::from_utf8_lossy(&all).parse::<Blob>();
        }
    }
}
