//! What the operating system's errors mean for a caller.

use rustix::io::Errno;

use crate::{DriverError, ErrorKind, Operation};

/// What `errno` means if nothing can have been changed yet.
pub(super) fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        // A file larger than the process or the file system allows is out of room too.
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => ErrorKind::NoSpace,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::INTR | Errno::BUSY | Errno::NOLCK => {
            ErrorKind::Transient
        }
        _ => ErrorKind::Permanent,
    }
}

/// A step that failed before anything was changed. `doing` completes "put of x failed: cannot …".
pub(super) fn before(operation: Operation, subject: &str, doing: &str, errno: Errno) -> DriverError {
    error(kind_of(errno), operation, subject, doing, errno)
}

/// A failure of the step that makes a change visible. The file system refuses cleanly for want of room or permission;
/// after anything else the change may have happened.
pub(super) fn during(operation: Operation, subject: &str, doing: &str, errno: Errno) -> DriverError {
    let kind = match kind_of(errno) {
        kind @ (ErrorKind::NoSpace | ErrorKind::Denied) => kind,
        _ if matches!(errno, Errno::NAMETOOLONG | Errno::XDEV | Errno::ISDIR | Errno::NOTDIR) => ErrorKind::Permanent,
        _ => ErrorKind::Transient,
    };
    error(kind, operation, subject, doing, errno)
}

/// A step that failed after a change had become visible: it may or may not survive a loss of power.
pub(super) fn after(operation: Operation, subject: &str, doing: &str, errno: Errno) -> DriverError {
    error(ErrorKind::Transient, operation, subject, doing, errno)
}

fn error(kind: ErrorKind, operation: Operation, subject: &str, doing: &str, errno: Errno) -> DriverError {
    DriverError::new(kind, operation, subject, format!("cannot {doing}")).with_source(std::io::Error::from(errno))
}

/// The number of an error of the standard library; those that it makes itself have none and count as I/O errors.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
