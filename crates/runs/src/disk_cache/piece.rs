//! The bytes of a file of the cache on disk that is not sealed, format version 1.
//!
//! ```text
//! offset size
//!      0    4  magic "BKPC"
//!      4    2  format version
//!      6    2  zero
//!      8    8  where in the run's object the bytes begin
//!     16    8  where they end
//!     24 16×n  for each page of 64 KiB (the last may be shorter) its checksum, over the database id, the name of the
//!              run, the page's offset in the object and its bytes
//!      …    …  the bytes
//! ```
//!
//! Numbers are little-endian. A file of another version is of no use, and is removed like a damaged one.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::ops::Range;

use bucketdb_log::format::{CHECKSUM_BYTES, Checksums};
use bytes::{BufMut, Bytes, BytesMut};

use super::index::PieceName;

const MAGIC: [u8; 4] = *b"BKPC";
const FORMAT_VERSION: u16 = 1;
const HEADER_BYTES: u64 = 24;

/// What is checked together. It is as long as most blocks are, so that reading a block checks little else.
const PAGE_BYTES: u64 = 64 << 10;

/// How long the file of a piece is.
pub(super) fn file_bytes(name: PieceName) -> u64 {
    let bytes = name.end - name.start;
    bytes.saturating_add(data_offset(bytes))
}

/// Where in the file of a piece of `bytes` bytes the bytes begin.
fn data_offset(bytes: u64) -> u64 {
    HEADER_BYTES + bytes.div_ceil(PAGE_BYTES) * CHECKSUM_BYTES as u64
}

fn header(name: PieceName) -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    let mut rest = &mut header[..];
    rest.put_slice(&MAGIC);
    rest.put_u16_le(FORMAT_VERSION);
    rest.put_u16_le(0);
    rest.put_u64_le(name.start);
    rest.put_u64_le(name.end);
    header
}

/// The file of a piece of the run whose object has the name `object`.
pub(super) fn encode(name: PieceName, checksums: &Checksums, object: &str, bytes: &Bytes) -> Vec<u8> {
    let mut file = Vec::with_capacity(file_bytes(name) as usize);
    file.extend_from_slice(&header(name));
    let mut offset = name.start;
    for page in bytes.chunks(PAGE_BYTES as usize) {
        file.extend_from_slice(&checksums.of_part(object, offset, page));
        offset += page.len() as u64;
    }
    file.extend_from_slice(bytes);
    file
}

/// Reads what of a piece lies in `wanted`, which is a part of it, from a file that is as long as it should be, and puts it
/// behind what is in `into`, which is left as it was if any of it is not as it was written.
pub(super) fn read(
    file: &mut (impl Read + Seek),
    name: PieceName,
    checksums: &Checksums,
    object: &str,
    wanted: Range<u64>,
    into: &mut BytesMut,
) -> Result<()> {
    let bytes = name.end - name.start;
    file.seek(SeekFrom::Start(0))?;
    let mut head = vec![0; data_offset(bytes) as usize];
    file.read_exact(&mut head)?;
    let (found, sums) = head.split_at(HEADER_BYTES as usize);
    if found != header(name) {
        return Err(damaged("its header is another one's"));
    }
    let first_page = (wanted.start - name.start) / PAGE_BYTES;
    let pages_start = name.start + first_page * PAGE_BYTES;
    let pages_end = (name.start + (wanted.end - name.start).div_ceil(PAGE_BYTES) * PAGE_BYTES).min(name.end);
    file.seek(SeekFrom::Start(data_offset(bytes) + (pages_start - name.start)))?;
    let mut pages = vec![0; (pages_end - pages_start) as usize];
    file.read_exact(&mut pages)?;
    let sums = sums.chunks(CHECKSUM_BYTES).skip(first_page as usize);
    let mut offset = pages_start;
    for (page, sum) in pages.chunks(PAGE_BYTES as usize).zip(sums) {
        if checksums.of_part(object, offset, page) != *sum {
            return Err(damaged("a page does not have its checksum"));
        }
        offset += page.len() as u64;
    }
    into.extend_from_slice(crate::run::slice(&pages, pages_start, wanted.start, wanted.end));
    Ok(())
}

pub(super) fn damaged(detail: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, detail)
}
