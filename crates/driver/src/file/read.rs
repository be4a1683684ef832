//! Getting.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::failure::{self, errno};
use super::format::{FOOTER_BYTES, Footer};
use super::names::ObjectPath;
use super::root::Root;
use crate::{DriverError, ETag, ErrorKind, Key, Object, Operation, Result};

/// Up to this size an object that the operating system has in memory is read on the spot: copying it takes less time
/// than handing the work to another thread.
#[cfg(target_os = "linux")]
const INLINE_BYTES: usize = 128 << 10;

/// An object's file, opened. It stays what it is even if the object is replaced or deleted.
#[derive(Debug)]
pub(super) struct OpenObject {
    file: File,
    pub(super) body_bytes: u64,
    pub(super) etag: ETag,
}

impl OpenObject {
    pub(super) fn open(root: &Root, key: &Key) -> Result<Self> {
        match Self::find(root, key, Operation::Get)? {
            Some(object) => Ok(object),
            None => {
                root.check(Operation::Get, key.as_str())?;
                Err(DriverError::not_found(Operation::Get, key))
            }
        }
    }

    /// As [`open`](Self::open); `None` if there is no such file, for whatever reason.
    pub(super) fn find(root: &Root, key: &Key, operation: Operation) -> Result<Option<Self>> {
        let failed = |error| failure::before(operation, key.as_str(), "read the object's file", error);
        let file = match root.open_file(&ObjectPath::of(key).file, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let file_bytes = file.metadata().map_err(|error| failed(errno(&error)))?.len();
        let mut footer = [0; FOOTER_BYTES];
        let offset = file_bytes.checked_sub(FOOTER_BYTES as u64).ok_or_else(|| damaged(operation, key))?;
        file.read_exact_at(&mut footer, offset).map_err(|error| failed(errno(&error)))?;
        let footer = Footer::decode(&footer, file_bytes).ok_or_else(|| damaged(operation, key))?;
        Ok(Some(Self { file, body_bytes: offset, etag: footer.etag() }))
    }

    /// The part of the body that lies in `range`.
    pub(super) fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let end = range.end.min(self.body_bytes);
        let wanted = end.saturating_sub(range.start);
        let too_large = || failure::before(Operation::Get, key.as_str(), "hold the object in memory", Errno::NOMEM);
        let mut body = Vec::new();
        body.try_reserve_exact(usize::try_from(wanted).map_err(|_| too_large())?).map_err(|_| too_large())?;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(range.start))
            .and_then(|_| file.take(wanted).read_to_end(&mut body))
            .map_err(|error| failure::before(Operation::Get, key.as_str(), "read the object's file", errno(&error)))?;
        if body.len() as u64 != wanted {
            return Err(damaged(Operation::Get, key));
        }
        Ok(body.into())
    }
}

/// Reads an object, or finds that there is none, without ever waiting for the disk; `None` if that cannot be done and
/// a thread must be used that may wait. Whatever is out of the ordinary is left to that thread too.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(root: &Root, key: &Key, range: Option<&Range<u64>>) -> Option<Result<Object>> {
    use std::io::IoSliceMut;

    use rustix::fs::{Mode, ResolveFlags, fstat, openat2};
    use rustix::io::{ReadWriteFlags, preadv2};

    let path = ObjectPath::of(key).file;
    let how = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = match openat2(root.folder(), path, how, Mode::empty(), ResolveFlags::CACHED) {
        Err(Errno::NOENT) if root.is_cached_in_place() => {
            return Some(Err(DriverError::not_found(Operation::Get, key)));
        }
        file => file.ok()?,
    };
    let file_bytes = u64::try_from(fstat(&file).ok()?.st_size).ok()?;
    let body_bytes = file_bytes.checked_sub(FOOTER_BYTES as u64)?;
    let end = range.map_or(body_bytes, |range| range.end.min(body_bytes));
    let start = range.map_or(0, |range| range.start.min(end));
    let read = |offset, length: usize| {
        let mut bytes = vec![0; length];
        let read = preadv2(&file, &mut [IoSliceMut::new(&mut bytes)], offset, ReadWriteFlags::NOWAIT).ok()?;
        (read == length).then_some(bytes)
    };
    let length = usize::try_from(end - start).ok().filter(|length| *length <= INLINE_BYTES)?;
    // One call brings the end of the body and the footer.
    let (body, footer) = if end == body_bytes {
        let mut body = read(start, length + FOOTER_BYTES)?;
        let footer = body.split_off(length);
        (body, footer)
    } else {
        (read(start, length)?, read(body_bytes, FOOTER_BYTES)?)
    };
    let etag = Footer::decode(&footer, file_bytes)?.etag();
    Some(Ok(Object { body: body.into(), etag }))
}

/// Only Linux can be asked for what is in memory already.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_root: &Root, _key: &Key, _range: Option<&Range<u64>>) -> Option<Result<Object>> {
    None
}

fn damaged(operation: Operation, key: &Key) -> DriverError {
    let detail = "its file is damaged or was not written by this driver: it does not end in a footer that fits";
    DriverError::new(ErrorKind::Permanent, operation, key.as_str(), detail)
}
