//! The bytes of a file that holds an object.
//!
//! ```text
//! 0        n           n+8            n+16       n+32
//! | body   | "bktobj01" | n as u64 LE | tag      |
//! ```
//!
//! The tag is the first 16 bytes of the body's BLAKE3 hash; in hex it is the ETag. It stands in the file because
//! nothing that the file system keeps changes with every change of the bytes: inode numbers are used again and time
//! stamps move in steps, so two quick writes can share both. It stands at the end so that a body of unknown length
//! can be written as it comes and a range be read without the rest.
//!
//! A file that does not end so was not written by this driver, or not wholly.

use crate::ETag;

/// The bytes that follow the body.
pub(super) const FOOTER_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"bktobj01";

/// What stands behind the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    body_bytes: u64,
    tag: [u8; 16],
}

impl Footer {
    /// The footer of a body of `body_bytes` that hashed to `hash`.
    pub(super) fn new(body_bytes: u64, hash: blake3::Hash) -> Self {
        let mut tag = [0; 16];
        tag.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        Self { body_bytes, tag }
    }

    pub(super) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        let fields = MAGIC.iter().copied().chain(self.body_bytes.to_le_bytes()).chain(self.tag);
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Reads the last bytes of a file of `file_bytes`; `None` if they are not a footer that fits.
    pub(super) fn decode(bytes: &[u8], file_bytes: u64) -> Option<Self> {
        let (magic, bytes) = bytes.split_first_chunk::<8>()?;
        let (body_bytes, bytes) = bytes.split_first_chunk::<8>()?;
        let footer = Self { body_bytes: u64::from_le_bytes(*body_bytes), tag: bytes.try_into().ok()? };
        let fits = footer.body_bytes.checked_add(FOOTER_BYTES as u64) == Some(file_bytes);
        (*magic == MAGIC && fits).then_some(footer)
    }

    pub(super) fn etag(&self) -> ETag {
        ETag(self.tag.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let footer = Footer::new(5, blake3::hash(b"hello"));
        let mut expected = b"bktobj01\x05\0\0\0\0\0\0\0".to_vec();
        expected
            .extend([0xea, 0x8f, 0x16, 0x3d, 0xb3, 0x86, 0x82, 0x92, 0x5e, 0x44, 0x91, 0xc5, 0xe5, 0x8d, 0x4b, 0xb3]);
        assert_eq!(footer.encode().as_slice(), expected);
        assert_eq!(footer.etag().0, "ea8f163db38682925e4491c5e58d4bb3");
    }

    #[test]
    fn a_file_that_was_cut_or_lengthened_has_no_footer() {
        let footer = Footer::new(5, blake3::hash(b"hello"));
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes, 37), Some(footer));
        assert_eq!(Footer::decode(&bytes, 36), None);
        assert_eq!(Footer::decode(&bytes[1..], 37), None);
        assert_eq!(Footer::decode(&[0; FOOTER_BYTES], 32), None);
        let endless = Footer { body_bytes: u64::MAX, ..footer };
        assert_eq!(Footer::decode(&endless.encode(), 31), None);
    }
}
