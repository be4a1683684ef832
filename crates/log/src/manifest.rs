//! The bytes of a manifest, format version 1.
//!
//! ```text
//! offset size
//!      0    4  magic "BKMF"
//!      4    2  format version
//!      6    2  zero
//!      8   16  database id
//!     24    …  state of the log: how records are named (1), position (varint), hash of the record there (16), its time
//!              (varint), its name (text), shared options (bytes), floor (varint), sessions, turns, upkeep
//!      …    …  what the state machine saved (bytes)
//!      …   16  checksum
//! ```
//!
//! A text or bytes have their size before them as a varint. The checksum is that of the whole object before it, over
//! database id, name and offset as for a record. Whoever reads a manifest also knows its hash from the checkpoint's record.

use bytes::{BufMut, Bytes};

use crate::DatabaseId;
use crate::codec::{self, Malformed, Reader};
use crate::format::{CHECKSUM_BYTES, Checksums, FormatError};
use crate::state::LogState;

pub(crate) const FORMAT_VERSION: u16 = 1;

pub(crate) const MAGIC: [u8; 4] = *b"BKMF";

/// The state at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) database: DatabaseId,
    pub(crate) state: LogState,
    pub(crate) saved: Bytes,
}

impl Manifest {
    /// The bytes of the object `name`.
    pub(crate) fn encode(&self, name: &str) -> Bytes {
        let mut bytes = Vec::with_capacity(256 + self.saved.len());
        bytes.put_slice(&MAGIC);
        bytes.put_u16_le(FORMAT_VERSION);
        bytes.put_u16_le(0);
        bytes.put_slice(&self.database.0);
        self.state.encode(&mut bytes);
        codec::put_bytes(&mut bytes, &self.saved);
        let checksum = Checksums::new(self.database).of_part(name, 0, &bytes);
        bytes.put_slice(&checksum);
        bytes.into()
    }

    /// Reads the object `name`.
    pub(crate) fn decode(bytes: &Bytes, name: &str) -> Result<Self, FormatError> {
        let (mut reader, database) = open(bytes, name, MAGIC, FORMAT_VERSION)?;
        if reader.u16()? != 0 {
            return Err(FormatError::Damaged("reserved bytes are not zero"));
        }
        reader.take(16)?;
        let manifest = Self { database, state: LogState::decode(&mut reader)?, saved: reader.bytes()? };
        reader.finish()?;
        Ok(manifest)
    }
}

/// Checks magic, version and checksum of an object that names its database at offset 8. The reader that it gives stands
/// behind the version.
pub(crate) fn open(
    bytes: &Bytes,
    name: &str,
    magic: [u8; 4],
    version: u16,
) -> Result<(Reader, DatabaseId), FormatError> {
    let covered_bytes = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(Malformed("it is cut short"))?;
    let (covered, checksum) = (bytes.slice(..covered_bytes), bytes.slice(covered_bytes..));
    let mut claims = Reader::new(covered.clone());
    claims.take(8)?;
    let database = DatabaseId(claims.array()?);
    if Checksums::new(database).of_part(name, 0, &covered)[..] != checksum[..] {
        return Err(FormatError::Damaged("its checksum does not match"));
    }
    let mut reader = Reader::new(covered);
    if reader.array()? != magic {
        return Err(FormatError::Damaged("it does not begin as its kind of object does"));
    }
    let found = reader.u16()?;
    if found != version {
        return Err(FormatError::Newer { what: "format version", found, known: "1" });
    }
    Ok((reader, database))
}
