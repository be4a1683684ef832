//! Where the servers of one run keep their data.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const PREFIX: &str = "bucketdb-servers-";
const LOCK: &str = "lock";

/// A temporary folder, removed when dropped.
///
/// A process that is killed leaves its folder behind; the next run removes it. A lock inside, which the kernel gives
/// up with the process, tells a folder in use from one left behind. The folder gets its name only once it is locked, so
/// that no other run takes it for abandoned in between.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// A new folder below `parent`. Short paths matter: a socket's path has room for about 100 bytes.
    pub(crate) fn create(parent: &Path) -> Result<Self> {
        remove_abandoned(parent);
        let unnamed = tempfile::Builder::new().prefix("bucketdb-new-").tempdir_in(parent);
        let unnamed = unnamed.with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        let lock = File::create(unnamed.path().join(LOCK))?;
        lock.lock()?;
        let suffix = unnamed.path().file_name().unwrap_or_default().to_string_lossy().replace("bucketdb-new-", "");
        let path = parent.join(format!("{PREFIX}{suffix}"));
        std::fs::rename(unnamed.path(), &path)?;
        // Its old name is gone: there is nothing left for it to remove.
        let _ = unnamed.keep();
        Ok(Self { path, _lock: lock })
    }

    /// A folder for one server.
    pub(crate) fn folder(&self, server: &str) -> Result<PathBuf> {
        let path = self.path.join(server);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes what killed runs left, as far as this user may.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let path = entry.path();
            let Ok(lock) = File::open(path.join(LOCK)) else { continue };
            if lock.try_lock().is_ok() {
                let _ = std::fs::remove_dir_all(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_stays_and_an_abandoned_one_goes() {
        let parent = tempfile::tempdir().unwrap();
        let used = RunFolder::create(parent.path()).unwrap();
        let abandoned = parent.path().join("bucketdb-servers-killed");
        std::fs::create_dir_all(abandoned.join("redis")).unwrap();
        std::fs::write(abandoned.join(LOCK), "").unwrap();

        let other = RunFolder::create(parent.path()).unwrap();
        assert!(used.path.exists());
        assert!(other.path.exists());
        assert!(!abandoned.exists());
    }

    #[test]
    fn nothing_stays_behind() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunFolder::create(parent.path()).unwrap();
        std::fs::write(run.folder("redis").unwrap().join("data"), "x").unwrap();
        drop(run);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
