use std::fmt::Debug;
use std::io::{Read, Result, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bucketdb_log::format::Checksums;
use bytes::{Bytes, BytesMut};

use super::index::PieceName;
use super::piece::{self, damaged};

/// Seals the files of a [`DiskCache`](super::DiskCache), so that whoever reads them learns nothing of what is in them.
pub trait FileSealer: Debug + Send + Sync {
    /// The file that holds these bytes, bound to a name that no other bytes ever have.
    fn seal(&self, name: &str, bytes: &[u8]) -> Bytes;

    /// How long the file of so many bytes is.
    fn sealed_bytes(&self, bytes: u64) -> u64;

    /// Which bytes of a file hold what lies in `range` of what was sealed. They may reach beyond its end.
    fn sealed_range(&self, range: &Range<u64>) -> Range<u64>;

    /// What lies in `range`, from what the file has in [`sealed_range`](Self::sealed_range) of it. `None` if that is not what
    /// was sealed under this name, or cannot be opened.
    fn open(&self, name: &str, sealed: &[u8], range: Range<u64>) -> Option<Bytes>;
}

/// How files hold their pieces.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Clear,
    Sealed(Arc<dyn FileSealer>),
}

impl Form {
    pub(super) fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    /// How long the file of a piece is.
    pub(super) fn file_bytes(&self, name: PieceName) -> u64 {
        match self {
            Self::Clear => piece::file_bytes(name),
            Self::Sealed(sealer) => sealer.sealed_bytes(name.end - name.start),
        }
    }

    /// The file of a piece of the run whose object has the name `object`.
    pub(super) fn encode(&self, name: PieceName, checksums: &Checksums, object: &str, bytes: &Bytes) -> Bytes {
        match self {
            Self::Clear => piece::encode(name, checksums, object, bytes).into(),
            Self::Sealed(sealer) => sealer.seal(&bound_to(name, object), bytes),
        }
    }

    /// Reads what of a piece lies in `wanted`, and puts it behind what is in `into`, which is left as it was if any of it is
    /// not as it was written.
    pub(super) fn read(
        &self,
        file: &mut (impl Read + Seek),
        name: PieceName,
        checksums: &Checksums,
        object: &str,
        wanted: Range<u64>,
        into: &mut BytesMut,
    ) -> Result<()> {
        if wanted.start < name.start || wanted.end > name.end || wanted.start >= wanted.end {
            return Err(damaged("it does not hold what it was chosen for"));
        }
        let file_bytes = self.file_bytes(name);
        if file.seek(SeekFrom::End(0))? != file_bytes {
            return Err(damaged("it has another length than its name says"));
        }
        match self {
            Self::Clear => piece::read(file, name, checksums, object, wanted, into),
            Self::Sealed(sealer) => {
                let range = wanted.start - name.start..wanted.end - name.start;
                let sealed = sealer.sealed_range(&range);
                file.seek(SeekFrom::Start(sealed.start))?;
                let mut bytes = vec![0; sealed.end.min(file_bytes).saturating_sub(sealed.start) as usize];
                file.read_exact(&mut bytes)?;
                match sealer.open(&bound_to(name, object), &bytes, range) {
                    Some(opened) if opened.len() as u64 == wanted.end - wanted.start => into.extend_from_slice(&opened),
                    _ => return Err(damaged("it is damaged, another one's, or sealed with a key that is not known")),
                }
                Ok(())
            }
        }
    }
}

/// What a sealed piece is bound to: no other bytes have the same database, run and place in it.
fn bound_to(name: PieceName, object: &str) -> String {
    format!("{}/{object}/{:016x}-{:016x}", name.folder(), name.start, name.end)
}
