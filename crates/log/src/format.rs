//! The bytes of a log record, format version 1.
//!
//! ```text
//! offset size
//!      0    4  magic "BKDB"
//!      4    2  format version
//!      6    1  kind of record
//!      7    1  compression of the body: 0 none, 1 LZ4 block
//!      8    8  position
//!     16    8  hybrid logical time
//!     24   16  session id
//!     40   16  hash of the record before it
//!     56    1  node id
//!     57    1  1 if the body begins with the record before it, else 0
//!     58    2  zero
//!     60    4  number of entries
//!     64    4  size of the body as stored
//!     68    4  size of the body uncompressed
//!     72    …  body: if it says so, the size (varint) and the bytes of the record before it; for each entry its counter
//!              (varint), the size of its payload (varint), its payload
//!      …   16  checksum
//! ```
//!
//! Numbers are little-endian. The checksum is the first 128 bits of BLAKE3 in key derivation mode over the database id,
//! the object's name, the offset 0 and all bytes before the checksum: a record that was moved to another name or
//! database does not pass as one of there. Every future format keeps magic, version and the checksum in these places,
//! so that a newer record can be told from a damaged one.
//!
//! A small record travels in the one behind it, and so on up to three back, so that whoever reads a log needs a request for
//! every fourth record. What is carried must have the hash that its carrier names as that of the record before it.
//!
//! The first record of a database holds its id as the first 16 bytes of its only payload and is never compressed, so that
//! it can be checked by itself. The records of checkpoints, the first one of a branch and the one that drops a database begin
//! their payloads with that id too: a log need not begin with its first record any more. The first record of a database is at position 1, unless
//! another one was dropped at its prefix: then it is behind the record that says so, and carries the hash of that.

use bytes::{BufMut, Bytes};

use crate::codec::{self, Malformed, Reader};
use crate::{ChainHash, DatabaseId, Entry, LogTime, NodeId, Record, RecordKind, Seq, SessionId};

/// The newest format that this version reads, and the one it writes.
pub const FORMAT_VERSION: u16 = 1;

/// The first bytes of every record.
pub const MAGIC: [u8; 4] = *b"BKDB";

/// Size of the header in bytes.
pub const HEADER_BYTES: usize = 72;

/// Size of the checksum in bytes.
pub const CHECKSUM_BYTES: usize = 16;

/// The largest record in bytes, uncompressed: what a batch may hold.
pub const MAX_BODY_BYTES: usize = 8 << 20;

/// The largest record that the next one carries, in bytes, with what it carries itself.
pub(crate) const MAX_CARRIED_BYTES: usize = 16 << 10;

/// The largest body, with what it carries and the size of that.
const MAX_WHOLE_BODY_BYTES: usize = MAX_BODY_BYTES + MAX_CARRIED_BYTES + 10;

const COMPRESSION_NONE: u8 = 0;
const COMPRESSION_LZ4: u8 = 1;

/// Bodies below this many bytes are stored as they are: compression would save less than it costs to undo.
const MIN_COMPRESSED_BYTES: usize = 256;

/// What the checksum's key is derived from: it keeps these hashes apart from all other uses of the function.
const CHECKSUM_CONTEXT: &str = "BucketDB 2026 log record checksum";

const _: () = assert!(4 + 2 + 1 + 1 + 8 + 8 + 16 + 16 + 1 + 1 + 2 + 4 + 4 + 4 == HEADER_BYTES);

/// Why the bytes of an object are not a record that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A bit or a byte is not as it was written.
    #[error("{0}")]
    Damaged(&'static str),
    /// It was written by a newer version.
    #[error("it has {what} {found}, and this version knows {known}")]
    Newer {
        /// What is newer.
        what: &'static str,
        /// What was found.
        found: u16,
        /// What is known.
        known: &'static str,
    },
}

impl From<Malformed> for FormatError {
    fn from(malformed: Malformed) -> Self {
        Self::Damaged(malformed.0)
    }
}

/// Computes the checksums of one database.
#[derive(Clone)]
pub struct Checksums {
    /// Has taken in the database id already.
    base: blake3::Hasher,
    database: DatabaseId,
}

impl std::fmt::Debug for Checksums {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Checksums").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Checksums {
    /// For the objects of `database`.
    #[must_use]
    pub fn new(database: DatabaseId) -> Self {
        let mut base = blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT);
        base.update(&database.0);
        Self { base, database }
    }

    /// The database they are for.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.database
    }

    /// The checksum of the part of object `name` that begins at `offset` and has these `bytes`.
    #[must_use]
    pub fn of_part(&self, name: &str, offset: u64, bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
        if cfg!(fuzzing) {
            // A fuzzer is to get behind the checks.
            return [0; CHECKSUM_BYTES];
        }
        let mut hasher = self.base.clone();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&offset.to_le_bytes());
        hasher.update(bytes);
        first_128(&hasher.finalize())
    }
}

/// The hash that the next record has to carry.
#[must_use]
pub fn chain_hash(record: &[u8]) -> ChainHash {
    if cfg!(fuzzing) {
        return ChainHash([0; 16]);
    }
    ChainHash(first_128(&blake3::hash(record)))
}

pub(crate) fn first_128(hash: &blake3::Hash) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(hash.as_slice().split_at(16).0);
    first
}

/// The bytes of `record` as the object `name` of the database.
#[must_use]
pub fn encode(record: &Record, name: &str, checksums: &Checksums) -> Bytes {
    encode_carrying(record, None, name, checksums)
}

/// As [`encode`], with the bytes of the record before it.
pub(crate) fn encode_carrying(record: &Record, carried: Option<&Bytes>, name: &str, checksums: &Checksums) -> Bytes {
    let payload_bytes: usize = record.entries.iter().map(|entry| entry.payload.len() + 16).sum();
    let mut body = Vec::with_capacity(payload_bytes + carried.map_or(0, |carried| carried.len() + 10));
    if let Some(carried) = carried {
        codec::put_bytes(&mut body, carried);
    }
    for entry in &record.entries {
        codec::put_varint(&mut body, entry.counter);
        codec::put_bytes(&mut body, &entry.payload);
    }
    let uncompressed_bytes = body.len();
    let mut compression = COMPRESSION_NONE;
    if record.kind != RecordKind::Genesis && uncompressed_bytes >= MIN_COMPRESSED_BYTES {
        let compressed = lz4_flex::block::compress(&body);
        if compressed.len() < uncompressed_bytes {
            body = compressed;
            compression = COMPRESSION_LZ4;
        }
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() + CHECKSUM_BYTES);
    bytes.put_slice(&MAGIC);
    bytes.put_u16_le(FORMAT_VERSION);
    bytes.put_u8(record.kind as u8);
    bytes.put_u8(compression);
    bytes.put_u64_le(record.seq.0);
    bytes.put_u64_le(record.time.0);
    bytes.put_slice(&record.session.0);
    bytes.put_slice(&record.previous.0);
    bytes.put_u8(record.node.0);
    bytes.put_u8(u8::from(carried.is_some()));
    bytes.put_bytes(0, 2);
    bytes.put_u32_le(record.entries.len() as u32);
    bytes.put_u32_le(body.len() as u32);
    bytes.put_u32_le(uncompressed_bytes as u32);
    debug_assert_eq!(bytes.len(), HEADER_BYTES, "the header has the size that its diagram says");
    bytes.put_slice(&body);
    let checksum = checksums.of_part(name, 0, &bytes);
    bytes.put_slice(&checksum);
    bytes.into()
}

/// Reads the object `name` of the database as a record.
///
/// # Errors
/// [`FormatError`] if it is damaged, of another name or database, or newer than this version.
pub fn decode(bytes: &Bytes, name: &str, checksums: &Checksums) -> Result<Record, FormatError> {
    decode_carrying(bytes, name, checksums).map(|(record, _)| record)
}

/// As [`decode`], with the bytes of the record before it if it carries them.
pub(crate) fn decode_carrying(
    bytes: &Bytes,
    name: &str,
    checksums: &Checksums,
) -> Result<(Record, Option<Bytes>), FormatError> {
    let (covered, checksum) = split_checksum(bytes)?;
    if checksums.of_part(name, 0, &covered)[..] != checksum[..] {
        return Err(FormatError::Damaged("its checksum does not match"));
    }
    let (record, carried) = decode_covered(covered)?;
    if carried.as_ref().is_some_and(|carried| chain_hash(carried) != record.previous) {
        return Err(FormatError::Damaged("it carries another record than the one before it"));
    }
    Ok((record, carried))
}

/// What bytes say that they are and carry, if they are a record. Nothing of it is checked.
pub(crate) fn peek(bytes: &Bytes) -> Option<(RecordKind, Option<Bytes>)> {
    let (covered, _) = split_checksum(bytes).ok()?;
    let (record, carried) = decode_covered(covered).ok()?;
    Some((record.kind, carried))
}

/// Reads the first record of a database, object `name`, whose id is not known yet.
///
/// # Errors
/// As [`decode`]; also if it is not a genesis record.
pub fn decode_genesis(bytes: &Bytes, name: &str) -> Result<(Record, DatabaseId), FormatError> {
    const NO_GENESIS: FormatError = FormatError::Damaged("it is not the first record of a database");
    decode_claiming(bytes, name, RecordKind::Genesis, NO_GENESIS)
}

/// Reads the record of a checkpoint of a database whose id is not known yet.
///
/// # Errors
/// As [`decode`]; also if it is another kind of record.
pub(crate) fn decode_checkpoint(bytes: &Bytes, name: &str) -> Result<(Record, DatabaseId), FormatError> {
    const NO_CHECKPOINT: FormatError = FormatError::Damaged("it is not the record of a checkpoint");
    decode_claiming(bytes, name, RecordKind::Checkpoint, NO_CHECKPOINT)
}

/// Reads the first own record of a branch of a database whose id is not known yet.
///
/// # Errors
/// As [`decode`]; also if it is another kind of record.
pub(crate) fn decode_branch(bytes: &Bytes, name: &str) -> Result<(Record, DatabaseId), FormatError> {
    const NO_BRANCH: FormatError = FormatError::Damaged("it is not the first record of a branch");
    decode_claiming(bytes, name, RecordKind::Branch, NO_BRANCH)
}

/// Reads the record that drops a database whose id is not known yet.
///
/// # Errors
/// As [`decode`]; also if it is another kind of record.
pub(crate) fn decode_drop(bytes: &Bytes, name: &str) -> Result<(Record, DatabaseId), FormatError> {
    const NO_DROP: FormatError = FormatError::Damaged("it is not a record that drops a database");
    decode_claiming(bytes, name, RecordKind::Drop, NO_DROP)
}

/// Reads a record that names its database at the beginning of its only payload.
fn decode_claiming(
    bytes: &Bytes,
    name: &str,
    kind: RecordKind,
    otherwise: FormatError,
) -> Result<(Record, DatabaseId), FormatError> {
    let (covered, _) = split_checksum(bytes)?;
    // Nothing of this is believed before the checksum below has been checked.
    let claimed = decode_covered(covered).map(|(record, _)| record);
    let database = match &claimed {
        Ok(record) => record.entries.first().and_then(|entry| entry.payload.get(..16)),
        Err(_) => None,
    };
    let Some(id) = database.and_then(|id| <[u8; 16]>::try_from(id).ok()).map(DatabaseId) else {
        return Err(claimed.err().unwrap_or(otherwise));
    };
    let record = decode(bytes, name, &Checksums::new(id))?;
    if record.kind != kind || record.entries.len() != 1 {
        return Err(otherwise);
    }
    Ok((record, id))
}

fn split_checksum(bytes: &Bytes) -> Result<(Bytes, Bytes), FormatError> {
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES {
        return Err(FormatError::Damaged("it is cut short"));
    }
    let mut covered = bytes.clone();
    let checksum = covered.split_off(bytes.len() - CHECKSUM_BYTES);
    Ok((covered, checksum))
}

fn decode_covered(covered: Bytes) -> Result<(Record, Option<Bytes>), FormatError> {
    let mut header = Reader::new(covered);
    if header.array()? != MAGIC {
        return Err(FormatError::Damaged("it does not begin as a record does"));
    }
    let version = header.u16()?;
    if version != FORMAT_VERSION {
        return Err(FormatError::Newer { what: "format version", found: version, known: "1" });
    }
    let kind_number = header.u8()?;
    let kind = RecordKind::from_number(kind_number).ok_or(FormatError::Newer {
        what: "record kind",
        found: u16::from(kind_number),
        known: "1 to 12",
    })?;
    let compression = header.u8()?;
    let seq = Seq(header.u64()?);
    let time = LogTime(header.u64()?);
    let session = SessionId(header.array()?);
    let previous = ChainHash(header.array()?);
    let node = NodeId(header.u8()?);
    let carries = match header.u8()? {
        0 => false,
        1 => true,
        _ => return Err(FormatError::Damaged("whether it carries another record is neither yes nor no")),
    };
    if header.array::<2>()? != [0; 2] {
        return Err(FormatError::Damaged("reserved bytes are not zero"));
    }
    let entry_count = header.u32()? as usize;
    let stored_bytes = header.u32()? as usize;
    let uncompressed_bytes = header.u32()? as usize;
    let stored = header.take(stored_bytes)?;
    header.finish()?;
    let body = match compression {
        COMPRESSION_NONE if stored_bytes == uncompressed_bytes => stored,
        COMPRESSION_LZ4 => decompress(&stored, uncompressed_bytes)?,
        _ => return Err(FormatError::Damaged("its compression is unknown or contradicts its sizes")),
    };
    let mut body = Reader::new(body);
    let carried = if carries { Some(body.bytes()?) } else { None };
    if carried.as_ref().is_some_and(|carried| carried.len() > MAX_CARRIED_BYTES) {
        return Err(FormatError::Damaged("it carries more than a record may"));
    }
    if carries {
        // Whoever keeps a payload must not keep what is carried in memory with it.
        let rest = body.remaining();
        body = Reader::new(Bytes::copy_from_slice(&body.take(rest)?));
    }
    let entries = decode_entries(body, entry_count)?;
    Ok((Record { kind, seq, time, node, session, previous, entries }, carried))
}

fn decompress(stored: &Bytes, uncompressed_bytes: usize) -> Result<Bytes, FormatError> {
    if uncompressed_bytes > MAX_WHOLE_BODY_BYTES {
        return Err(FormatError::Damaged("its body is larger than a record may be"));
    }
    let body = lz4_flex::block::decompress(stored, uncompressed_bytes)
        .map_err(|_| FormatError::Damaged("its body does not decompress"))?;
    if body.len() != uncompressed_bytes {
        return Err(FormatError::Damaged("its body has another size than it says"));
    }
    Ok(body.into())
}

fn decode_entries(mut reader: Reader, count: usize) -> Result<Vec<Entry>, FormatError> {
    // An entry takes at least two bytes: a count beyond that is not worth reserving memory for.
    let mut entries = Vec::with_capacity(count.min(reader.remaining() / 2));
    for _ in 0..count {
        entries.push(Entry { counter: reader.varint()?, payload: reader.bytes()? });
    }
    reader.finish()?;
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "log/00000000000000000007";

    fn sample(kind: RecordKind, payloads: Vec<Vec<u8>>) -> Record {
        let entries = payloads
            .into_iter()
            .zip(1..)
            .map(|(payload, counter)| Entry { counter, payload: payload.into() })
            .collect();
        Record {
            kind,
            seq: Seq(7),
            time: LogTime(0x0102_0304_0506_0708),
            node: NodeId(9),
            session: SessionId([0xaa; 16]),
            previous: ChainHash([0xbb; 16]),
            entries,
        }
    }

    #[test]
    fn golden_bytes() {
        let checksums = Checksums::new(DatabaseId([0xcc; 16]));
        let bytes = encode(&sample(RecordKind::Transactions, vec![b"hi".to_vec()]), NAME, &checksums);
        let mut expected = Vec::new();
        expected.extend_from_slice(b"BKDB");
        expected.extend_from_slice(&[1, 0, 1, 0]);
        expected.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
        expected.extend_from_slice(&[0xaa; 16]);
        expected.extend_from_slice(&[0xbb; 16]);
        expected.extend_from_slice(&[9, 0, 0, 0]);
        expected.extend_from_slice(&[1, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0]);
        expected.extend_from_slice(&[1, 2, b'h', b'i']);
        let (covered, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        assert_eq!(covered, expected);
        assert_eq!(format!("{:032x}", u128::from_be_bytes(checksum.try_into().unwrap())), GOLDEN_CHECKSUM);
    }

    /// Computed once by this code: it may never change while format version 1 is read.
    const GOLDEN_CHECKSUM: &str = "8d148e25f8bd5db0e3215320945ac9ea";

    #[test]
    fn a_carried_record_comes_back_and_must_be_the_one_before() {
        let checksums = Checksums::new(DatabaseId([1; 16]));
        let before = encode(&sample(RecordKind::Transactions, vec![vec![3; 500]]), "log/6", &checksums);
        let mut record = sample(RecordKind::Transactions, vec![b"hi".to_vec()]);
        record.previous = chain_hash(&before);
        let bytes = encode_carrying(&record, Some(&before), NAME, &checksums);
        assert_eq!(decode_carrying(&bytes, NAME, &checksums), Ok((record.clone(), Some(before.clone()))));
        assert_eq!(peek(&bytes), Some((RecordKind::Transactions, Some(before.clone()))));
        record.previous = ChainHash([9; 16]);
        let other = encode_carrying(&record, Some(&before), NAME, &checksums);
        assert!(matches!(decode(&other, NAME, &checksums), Err(FormatError::Damaged(_))));
    }

    #[test]
    fn another_name_or_database_does_not_pass() {
        let checksums = Checksums::new(DatabaseId([1; 16]));
        let bytes = encode(&sample(RecordKind::Transactions, vec![b"hi".to_vec()]), NAME, &checksums);
        assert!(decode(&bytes, NAME, &checksums).is_ok());
        assert!(decode(&bytes, "log/00000000000000000008", &checksums).is_err());
        assert!(decode(&bytes, NAME, &Checksums::new(DatabaseId([2; 16]))).is_err());
    }

    #[test]
    fn a_newer_record_is_told_from_a_damaged_one() {
        let checksums = Checksums::new(DatabaseId([1; 16]));
        let bytes = encode(&sample(RecordKind::Transactions, vec![b"hi".to_vec()]), NAME, &checksums);
        for (offset, value, what) in [(4, 2, "format version"), (6, 200, "record kind")] {
            let mut covered = bytes[..bytes.len() - CHECKSUM_BYTES].to_vec();
            covered[offset] = value;
            let checksum = checksums.of_part(NAME, 0, &covered);
            covered.extend_from_slice(&checksum);
            match decode(&covered.into(), NAME, &checksums) {
                Err(FormatError::Newer { what: found, .. }) => assert_eq!(found, what),
                other => panic!("expected a newer {what}, got {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn records_round_trip(payloads in prop::collection::vec(prop::collection::vec(0u8..4, 0..600), 0..20)) {
            let checksums = Checksums::new(DatabaseId([1; 16]));
            let record = sample(RecordKind::Transactions, payloads);
            let bytes = encode(&record, NAME, &checksums);
            prop_assert_eq!(decode(&bytes, NAME, &checksums), Ok(record));
        }

        #[test]
        fn every_flipped_byte_and_every_cut_is_found(
            payload in prop::collection::vec(any::<u8>(), 0..400), place: prop::sample::Index, flip in 1u8..,
        ) {
            let checksums = Checksums::new(DatabaseId([1; 16]));
            let mut genesis_payload = vec![1; 16];
            genesis_payload.extend_from_slice(&payload);
            for (kind, payload) in [(RecordKind::Transactions, payload), (RecordKind::Genesis, genesis_payload)] {
                let good = encode(&sample(kind, vec![payload]), NAME, &checksums);
                let mut flipped = good.to_vec();
                let at = place.index(flipped.len());
                flipped[at] ^= flip;
                let flipped = Bytes::from(flipped);
                let cut = good.slice(..at);
                if kind == RecordKind::Genesis {
                    prop_assert!(decode_genesis(&good, NAME).is_ok());
                    prop_assert!(decode_genesis(&flipped, NAME).is_err());
                    prop_assert!(decode_genesis(&cut, NAME).is_err());
                }
                prop_assert!(decode(&flipped, NAME, &checksums).is_err());
                prop_assert!(decode(&cut, NAME, &checksums).is_err());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let bytes = Bytes::from(bytes);
            let _ = decode(&bytes, NAME, &Checksums::new(DatabaseId([1; 16])));
            let _ = decode_genesis(&bytes, NAME);
            let _ = decode_covered(bytes);
        }
    }
}
