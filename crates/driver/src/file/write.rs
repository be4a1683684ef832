//! Putting and deleting.
//!
//! A put writes a temporary file and syncs it, then gives it the object's name, then syncs the folder. Before the
//! name there is nothing to see; after it, the whole object. The three ways to give the name:
//!
//! - [`Condition::IfAbsent`]: a hard link, which the file system refuses if the name is taken. It needs no lock, as it
//!   never takes anything away from another writer's comparison.
//! - [`Condition::IfMatch`]: under the folder's lock, compare the ETag and rename over the old file.
//! - [`Condition::Always`]: rename under the same lock. Without it an unconditional put or a deletion could slip
//!   between another writer's comparison and its rename, and be undone.
//!
//! "The condition does not hold" is said only after the folder was synced, so that what stood in the way is durable:
//! a writer whose first attempt was cut off after the link repeats it, finds its own object and relies on it.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::failure::{self, errno};
use super::format::Footer;
use super::names::ObjectPath;
use super::read::OpenObject;
use super::root::{Root, TemporaryFile};
use crate::{Condition, DriverError, ETag, Key, Operation, Result};

/// How often a put makes its folder anew when someone else keeps removing it.
const FOLDER_ATTEMPTS: u32 = 8;

const SYNCING: &str = "sync the object's folder";

/// An object on its way.
#[derive(Debug)]
pub(super) struct Upload {
    root: Arc<Root>,
    key: Key,
    condition: Condition,
    file: TemporaryFile,
    hash: blake3::Hasher,
    body_bytes: u64,
}

impl Upload {
    /// Begins to write an object. A condition that does not hold already now is found before any byte is written.
    pub(super) fn begin(root: &Arc<Root>, key: Key, condition: Condition) -> Result<Self> {
        if !holds(root, &key, &condition)? {
            return Err(refuse(root, &key));
        }
        let file = TemporaryFile::create(root).map_err(|error| {
            let gone = if error == Errno::NOENT { root.check(Operation::Put, key.as_str()).err() } else { None };
            gone.unwrap_or_else(|| failure::before(Operation::Put, key.as_str(), "make a temporary file", error))
        })?;
        Ok(Self { root: Arc::clone(root), key, condition, file, hash: blake3::Hasher::new(), body_bytes: 0 })
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.hash.update(piece);
        self.body_bytes += piece.len() as u64;
        self.write_raw(piece)
    }

    fn write_raw(&self, bytes: &[u8]) -> Result<()> {
        (&self.file.file).write_all(bytes).map_err(|error| self.failed("write a temporary file", errno(&error)))
    }

    /// Makes the object visible and durable.
    pub(super) fn finish(mut self) -> Result<ETag> {
        let footer = Footer::new(self.body_bytes, self.hash.finalize());
        self.write_raw(&footer.encode())?;
        self.file.file.sync_all().map_err(|error| self.failed("sync a temporary file", errno(&error)))?;
        let path = ObjectPath::of(&self.key);
        self.publish(&path)?;
        match self.root.sync_folder(&path.folder) {
            Ok(()) => Ok(footer.etag()),
            Err(error) => Err(failure::after(Operation::Put, self.key.as_str(), SYNCING, error)),
        }
    }

    fn publish(&mut self, path: &ObjectPath) -> Result<()> {
        for _ in 0..FOLDER_ATTEMPTS {
            let named = match self.root.ensure_folder(&path.folder) {
                Ok(()) => self.name(path)?,
                Err(Errno::NOENT) => Named::FolderMissing,
                Err(error) => return Err(self.failed("make the object's folder", error)),
            };
            match named {
                Named::Yes => return Ok(()),
                Named::ConditionFailed => return Err(refuse(&self.root, &self.key)),
                // Drivers never remove a folder; something else did.
                Named::FolderMissing => {
                    self.root.check(Operation::Put, self.key.as_str())?;
                    self.root.forget_folders();
                }
            }
        }
        Err(self.failed("make the object's folder: it is removed again and again", Errno::NOENT))
    }

    /// Gives the file its name if the condition holds.
    fn name(&mut self, path: &ObjectPath) -> Result<Named> {
        let result = if self.condition == Condition::IfAbsent {
            self.file.link(&path.file)
        } else {
            let lock = self.root.lock(&path.folder);
            let _alone = lock.map_err(|error| self.failed("lock the object's folder", error))?;
            if !holds(&self.root, &self.key, &self.condition)? {
                return Ok(Named::ConditionFailed);
            }
            self.file.rename(&path.file)
        };
        match result {
            Ok(()) => Ok(Named::Yes),
            Err(Errno::EXIST) => Ok(Named::ConditionFailed),
            Err(Errno::NOENT) => Ok(Named::FolderMissing),
            Err(error) => {
                Err(failure::during(Operation::Put, self.key.as_str(), "give the object's file its name", error))
            }
        }
    }

    fn failed(&self, doing: &str, error: Errno) -> DriverError {
        failure::before(Operation::Put, self.key.as_str(), doing, error)
    }
}

enum Named {
    Yes,
    ConditionFailed,
    FolderMissing,
}

/// Whether the condition holds at this moment.
fn holds(root: &Root, key: &Key, condition: &Condition) -> Result<bool> {
    Ok(match condition {
        Condition::Always => true,
        // What else may be wrong shows when the object is written.
        Condition::IfAbsent => {
            rustix::fs::statat(root.folder(), ObjectPath::of(key).file, AtFlags::SYMLINK_NOFOLLOW).is_err()
        }
        Condition::IfMatch(etag) => {
            OpenObject::find(root, key, Operation::Put)?.is_some_and(|object| object.etag == *etag)
        }
    })
}

/// "The condition does not hold", once what it failed on is durable.
fn refuse(root: &Root, key: &Key) -> DriverError {
    let checked = root.check(Operation::Put, key.as_str());
    match checked.and_then(|()| sync(root, Operation::Put, key, &ObjectPath::of(key).folder)) {
        Ok(()) => DriverError::precondition_failed(key),
        Err(error) => error,
    }
}

/// Removes objects, and syncs each of their folders once.
pub(super) fn delete(root: &Root, keys: &[Key]) -> Result<()> {
    let mut folders = BTreeSet::new();
    for key in keys {
        let path = ObjectPath::of(key);
        let alone = match root.lock(&path.folder) {
            Ok(alone) => alone,
            Err(error) => {
                root.check(Operation::Delete, key.as_str())?;
                return Err(failure::before(Operation::Delete, key.as_str(), "lock the object's folder", error));
            }
        };
        let removed = unlinkat(root.folder(), path.file, AtFlags::empty());
        drop(alone);
        match removed {
            // One that is gone may have been removed by a process that died before it synced the folder.
            Ok(()) | Err(Errno::NOENT) => folders.insert((path.folder, key)),
            Err(error) => {
                let doing = "remove the object's file";
                return Err(failure::during(Operation::Delete, key.as_str(), doing, error));
            }
        };
    }
    let mut synced = None;
    for (folder, key) in folders {
        if synced.as_ref() != Some(&folder) {
            sync(root, Operation::Delete, key, &folder)?;
            synced = Some(folder);
        }
    }
    Ok(())
}

/// Makes what is visible in a folder durable. A folder that does not exist holds nothing.
fn sync(root: &Root, operation: Operation, key: &Key, folder: &str) -> Result<()> {
    match root.sync_folder(folder) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => root.check(operation, key.as_str()),
        Err(error) => Err(failure::after(operation, key.as_str(), SYNCING, error)),
    }
}
