use std::ops::Range;

use crate::KeyId;

/// How many bytes of an object are sealed together.
pub const CHUNK_BYTES: usize = 16 << 10;

/// How many bytes a sealed chunk is longer than what is in it.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

pub(crate) const HEADER_BYTES: usize = 48;
pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const SALT_BYTES: usize = 32;

/// A sealed chunk that is not the last one.
pub(crate) const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + OVERHEAD_BYTES;

const MAGIC: [u8; 4] = *b"BKSL";
const VERSION: u16 = 1;
const LAST: u8 = 1;
const AES_256_GCM: u8 = 1;

/// Whether bytes from an object's beginning are those of a sealed one. No other object of a database begins so.
#[must_use]
pub fn is_sealed(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC)
}

/// How many bytes an object of `bytes` bytes has when it is sealed.
#[must_use]
pub fn sealed_bytes(bytes: u64) -> u64 {
    let chunks = bytes.div_ceil(CHUNK_BYTES as u64).max(1);
    bytes.saturating_add(chunks.saturating_mul(OVERHEAD_BYTES as u64))
}

/// How many bytes are in a sealed object of `sealed_bytes` bytes; `None` if no sealed object has this size.
#[must_use]
pub fn opened_bytes(sealed_bytes: u64) -> Option<u64> {
    let chunks = sealed_bytes.div_ceil(SEALED_CHUNK_BYTES as u64);
    let bytes = sealed_bytes.checked_sub(chunks * OVERHEAD_BYTES as u64)?;
    (self::sealed_bytes(bytes) == sealed_bytes).then_some(bytes)
}

/// Which bytes of a sealed object hold what lies in `range` of it: whole chunks, of which the last may be shorter.
#[must_use]
pub fn sealed_range(range: &Range<u64>) -> Range<u64> {
    let (chunk_bytes, sealed_bytes) = (CHUNK_BYTES as u64, SEALED_CHUNK_BYTES as u64);
    let start = (range.start / chunk_bytes).saturating_mul(sealed_bytes);
    start..range.end.div_ceil(chunk_bytes).saturating_mul(sealed_bytes)
}

/// Why something is not a chunk of a sealed object, in words that complete "get of log/1 failed: …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unopened {
    #[error(
        "it is not encrypted, and a key was given: if nothing below its prefix is encrypted, open the database without a key; \
         otherwise its beginning is damaged"
    )]
    NotSealed,
    #[error("it is encrypted in a way that needs a newer version of BucketDB")]
    Newer,
    #[error(
        "it is encrypted with the key {0}, which is none of those given: give that key as well, as an earlier one \
         if it is not in use any more"
    )]
    UnknownKey(KeyId),
    #[error("it is encrypted, and its chunk {0} is damaged, or belongs elsewhere")]
    Damaged(u64),
    #[error("it is encrypted, and its chunk {0} is of another version of it")]
    Mixed(u64),
    #[error("it is encrypted, and something was added to its end")]
    TooLong,
    #[error("it is encrypted, and was cut off after {0} chunks")]
    CutOff(u64),
}

/// What stands before the ciphertext of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_last: bool,
    pub(crate) key: KeyId,
    pub(crate) salt: [u8; SALT_BYTES],
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let flags = if self.is_last { LAST } else { 0 };
        let fixed = MAGIC.iter().copied().chain(VERSION.to_le_bytes()).chain([flags, AES_256_GCM]);
        let fields = fixed.chain(self.key.0).chain(self.salt);
        let mut bytes = [0; HEADER_BYTES];
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Reads the header of chunk `number`.
    pub(crate) fn decode(chunk: &[u8], number: u64) -> Result<Self, Unopened> {
        if !is_sealed(chunk) {
            // A whole object that is no sealed one is a mistake; a part of it is damage.
            return Err(if number == 0 { Unopened::NotSealed } else { Unopened::Damaged(number) });
        }
        let damaged = Unopened::Damaged(number);
        let (_, rest) = chunk.split_first_chunk::<4>().ok_or(damaged)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(damaged)?;
        if u16::from_le_bytes(*version) != VERSION {
            return Err(Unopened::Newer);
        }
        let ([flags, cipher], rest) = rest.split_first_chunk::<2>().ok_or(damaged)?;
        if *flags & !LAST != 0 || *cipher != AES_256_GCM {
            return Err(Unopened::Newer);
        }
        let (key, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (salt, _) = rest.split_first_chunk::<SALT_BYTES>().ok_or(damaged)?;
        Ok(Self { is_last: *flags == LAST, key: KeyId(*key), salt: *salt })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_header_has_the_bytes_of_the_diagram() {
        let header = Header { is_last: true, key: KeyId(*b"key-id-8"), salt: [7; SALT_BYTES] };
        let mut expected = b"BKSL\x01\x00\x01\x01key-id-8".to_vec();
        expected.extend([7; SALT_BYTES]);
        assert_eq!(header.encode().to_vec(), expected);
        assert_eq!(Header::decode(&expected, 0), Ok(header));
        for length in 0..HEADER_BYTES {
            assert!(Header::decode(&expected[..length], 0).is_err(), "{length}");
        }
    }

    #[test]
    fn sizes_at_the_bounds_of_chunks() {
        let (chunk, overhead) = (CHUNK_BYTES as u64, OVERHEAD_BYTES as u64);
        for (bytes, chunks) in [(0, 1), (1, 1), (chunk, 1), (chunk + 1, 2), (2 * chunk, 2), (2 * chunk + 1, 3)] {
            assert_eq!(sealed_bytes(bytes), bytes + chunks * overhead);
        }
        for impossible in [0, 1, overhead - 1, chunk + overhead + 1, chunk + 2 * overhead] {
            assert_eq!(opened_bytes(impossible), None, "{impossible}");
        }
    }

    proptest! {
        #[test]
        fn sizes_go_both_ways(bytes in 0..(1_u64 << 40)) {
            prop_assert_eq!(opened_bytes(sealed_bytes(bytes)), Some(bytes));
        }

        #[test]
        fn any_size_is_one_object_s_or_none_s(sealed in any::<u64>()) {
            if let Some(bytes) = opened_bytes(sealed) {
                prop_assert_eq!(sealed_bytes(bytes), sealed);
            }
        }

        #[test]
        fn any_bytes_are_a_header_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80), number in any::<u64>()) {
            let mut sealed = MAGIC.to_vec();
            sealed.extend(&bytes);
            for bytes in [&bytes, &sealed] {
                if let Ok(header) = Header::decode(bytes, number) {
                    prop_assert_eq!(&header.encode()[..], &bytes[..HEADER_BYTES]);
                }
            }
        }
    }
}
