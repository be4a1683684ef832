//! The folder that a file driver works in.
//!
//! Beside the objects it has `.bucketdb/tmp`, where files are written before they get their names, and
//! `.bucketdb/lock`, whose files are only ever locked.
//!
//! # Who holds what
//! - **Folder locks** order what must not interleave: a replacement (compare, then rename) and a deletion hold the lock
//!   of the object's folder alone, a listing holds it shared while it reads the folder, since a reader of a directory
//!   may miss an entry that is replaced under its eyes. Creating needs no lock: the file system itself refuses the
//!   second of two links with one name. Locks are `flock`s on a file opened anew each time, so they hold between
//!   processes, between drivers of one process and between tasks, and vanish with their holder.
//! - **A temporary file** is locked by its writer from creation to the end. One that nobody has locked belongs to a
//!   writer that died, and whoever opens the folder next removes it.
//! - **Folders are never removed**, even when empty. So a folder once synced into its parent stays durable, and a
//!   writer need not sync the whole chain again; and no writer loses its folder between making and using it.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, fstat, mkdirat, openat, stat, unlinkat};
use rustix::io::Errno;

use super::failure::{self, errno};
use super::names::join;
use crate::{DriverError, ErrorKind, Operation, Result};

const TEMPORARY_FOLDER: &str = ".bucketdb/tmp";
const LOCK_FOLDER: &str = ".bucketdb/lock";

/// The folders of a store share this many locks.
const LOCK_STRIPES: u8 = 16;

/// How many folders a driver remembers as durable; then it forgets them all and syncs again.
const REMEMBERED_FOLDERS: usize = 4096;

/// Tells the temporary files of one process apart.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

type IoResult<T> = std::result::Result<T, Errno>;

/// The folder, held open: everything below is reached from here, even if the folder gets another name.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    folder: OwnedFd,
    /// Device and inode.
    identity: (rustix::fs::Dev, u64),
    /// Folders that are known to survive a loss of power.
    durable: RwLock<HashSet<String>>,
}

impl Root {
    /// Opens the folder, making it if it is missing, and removes what dead writers left.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        make_durable(path)?;
        let path = path.canonicalize()?;
        let folder = openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let found = fstat(&folder)?;
        let root = Self { path, folder, identity: (found.st_dev, found.st_ino), durable: RwLock::default() };
        match root.prepare() {
            Ok(()) => root.remove_abandoned()?,
            // Reading needs none of it. A put will say that it is denied.
            Err(error) if failure::kind_of(error) == ErrorKind::Denied => {}
            Err(error) => return Err(error.into()),
        }
        Ok(root)
    }

    pub(super) fn fingerprint(&self) -> String {
        let (device, inode) = self.identity;
        format!("file:{}#{device:x}:{inode:x}", self.path.display())
    }

    fn prepare(&self) -> IoResult<()> {
        self.ensure_folder(TEMPORARY_FOLDER)?;
        self.ensure_folder(LOCK_FOLDER)?;
        for stripe in 0..LOCK_STRIPES {
            self.create(LOCK_FOLDER, &format!("{stripe:x}"), OFlags::empty())?;
        }
        Ok(())
    }

    fn remove_abandoned(&self) -> IoResult<()> {
        for entry in self.read_folder(TEMPORARY_FOLDER)? {
            let path = join(TEMPORARY_FOLDER, &entry?);
            let file = match self.open_file(&path, OFlags::RDWR) {
                Ok(file) => file,
                Err(Errno::NOENT) => continue,
                // Another user's, in a folder that several share: its owner will see to it.
                Err(error) if failure::kind_of(error) == ErrorKind::Denied => continue,
                Err(error) => return Err(error),
            };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => self.remove_temporary(&path),
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn remove_temporary(&self, path: &str) {
        // If it cannot be removed now, the next opening tries again.
        if let Err(error) = unlinkat(&self.folder, path, AtFlags::empty()) {
            tracing::debug!(path, %error, "a temporary file was left behind");
        }
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    pub(super) fn open_file(&self, path: &str, how: OFlags) -> IoResult<File> {
        uninterrupted(|| openat(&self.folder, path, how | OFlags::CLOEXEC, Mode::empty())).map(File::from)
    }

    /// Opens a file in one of the driver's own folders, making both if they are missing.
    fn create(&self, folder: &str, name: &str, how: OFlags) -> IoResult<File> {
        let path = join(folder, name);
        let how = how | OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let open = || uninterrupted(|| openat(&self.folder, &path, how, Mode::from_raw_mode(0o666)));
        let opened = open().or_else(|error| {
            if error != Errno::NOENT {
                return Err(error);
            }
            self.forget_folders();
            self.ensure_folder(folder)?;
            open()
        });
        opened.map(File::from)
    }

    /// The names in a folder that are text; `.` and `..` are left out.
    pub(super) fn read_folder(&self, path: &str) -> IoResult<impl Iterator<Item = IoResult<String>>> {
        let entries = rustix::fs::Dir::new(self.open_file(or_self(path), OFlags::RDONLY | OFlags::DIRECTORY)?)?;
        Ok(entries.filter_map(|entry| {
            let name = entry.map(|entry| entry.file_name().to_str().ok().map(str::to_owned)).transpose()?;
            (!matches!(name.as_deref(), Ok("." | ".."))).then_some(name)
        }))
    }

    /// Makes a folder and those above it, so that they survive a loss of power.
    pub(super) fn ensure_folder(&self, path: &str) -> IoResult<()> {
        if path.is_empty() || self.durable.read().contains(path) {
            return Ok(());
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.ensure_folder(parent)?;
        match mkdirat(&self.folder, path, Mode::from_raw_mode(0o777)) {
            // Whoever made it may not have synced it yet.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        self.sync_folder(parent)?;
        let mut durable = self.durable.write();
        if durable.len() >= REMEMBERED_FOLDERS {
            durable.clear();
        }
        durable.insert(path.to_owned());
        Ok(())
    }

    /// Forgets that folders are durable: someone has removed some.
    pub(super) fn forget_folders(&self) {
        self.durable.write().clear();
    }

    /// Makes the names in a folder survive a loss of power.
    pub(super) fn sync_folder(&self, path: &str) -> IoResult<()> {
        let folder = self.open_file(or_self(path), OFlags::RDONLY | OFlags::DIRECTORY)?;
        folder.sync_all().map_err(|error| errno(&error))
    }

    /// Waits for the lock of a folder, alone. It is given back when the file is dropped.
    pub(super) fn lock(&self, folder: &str) -> IoResult<File> {
        let file = self.create(LOCK_FOLDER, &lock_name(folder), OFlags::empty())?;
        uninterrupted(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        Ok(file)
    }

    /// Waits for the lock of a folder, shared. None if there is no such file, so that nobody can have it alone.
    pub(super) fn lock_shared(&self, folder: &str) -> IoResult<Option<File>> {
        let file = match self.open_file(&join(LOCK_FOLDER, &lock_name(folder)), OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        uninterrupted(|| rustix::fs::flock(&file, FlockOperation::LockShared))?;
        Ok(Some(file))
    }

    /// Whether the folder is where it was, as far as the operating system knows without looking at the disk.
    #[cfg(target_os = "linux")]
    pub(super) fn is_cached_in_place(&self) -> bool {
        use rustix::fs::{ResolveFlags, openat2};

        let how = OFlags::PATH | OFlags::CLOEXEC;
        openat2(CWD, &self.path, how, Mode::empty(), ResolveFlags::CACHED)
            .and_then(fstat)
            .is_ok_and(|found| (found.st_dev, found.st_ino) == self.identity)
    }

    /// Fails if the folder is no longer where it was: moved, removed or unmounted. Without this check every object
    /// would merely seem to be absent.
    pub(super) fn check(&self, operation: Operation, subject: &str) -> Result<()> {
        match stat(&self.path) {
            Ok(found) if (found.st_dev, found.st_ino) == self.identity => Ok(()),
            Err(error) if !matches!(error, Errno::NOENT | Errno::NOTDIR) => {
                Err(failure::before(operation, subject, "look at the store's folder", error))
            }
            _ => {
                let detail = format!("the store's folder {} was moved, removed or unmounted", self.path.display());
                Err(DriverError::new(ErrorKind::Permanent, operation, subject, detail))
            }
        }
    }
}

/// A file without a name of its own yet. Removed when dropped, unless it was renamed.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    root: Arc<Root>,
    path: String,
    pub(super) file: File,
    renamed: bool,
}

impl TemporaryFile {
    pub(super) fn create(root: &Arc<Root>) -> IoResult<Self> {
        loop {
            // Another machine or container may have this process id too: then the name is taken, and the next is tried.
            let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{number}", std::process::id());
            let path = join(TEMPORARY_FOLDER, &name);
            let file = match root.create(TEMPORARY_FOLDER, &name, OFlags::EXCL) {
                Ok(file) => file,
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(error),
            };
            // One who opens the store just now may have taken the file for abandoned, since it was not locked yet.
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if fstat(&file)?.st_nlink > 0 => {
                    return Ok(Self { root: Arc::clone(root), path, file, renamed: false });
                }
                Ok(()) | Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves the file to `to`, whatever is there.
    pub(super) fn rename(&mut self, to: &str) -> IoResult<()> {
        let folder = self.root.folder();
        rustix::fs::renameat(folder, &self.path, folder, to)?;
        self.renamed = true;
        Ok(())
    }

    /// Gives the file the name `to`; [`Errno::EXIST`] if it is taken.
    pub(super) fn link(&self, to: &str) -> IoResult<()> {
        let folder = self.root.folder();
        rustix::fs::linkat(folder, &self.path, folder, to, AtFlags::empty())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.renamed {
            self.root.remove_temporary(&self.path);
        }
    }
}

/// Repeats a call that a signal interrupted.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> IoResult<T>) -> IoResult<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

fn or_self(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}

/// The lock's number must be the same in every process and every version.
fn lock_name(folder: &str) -> String {
    let [first, ..] = *blake3::hash(folder.as_bytes()).as_bytes();
    format!("{:x}", first % LOCK_STRIPES)
}

/// Makes a folder and those above it that are missing, each synced into its parent.
fn make_durable(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_durable(parent)?;
    match std::fs::create_dir(path) {
        Ok(()) => File::open(parent)?.sync_all(),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}
