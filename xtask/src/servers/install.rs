//! Folders that are filled once and used by many runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::pause;
use crate::interrupt;

const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Holds a lock file among processes and threads until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for its turn, unless the run is to end.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        while file.try_lock().is_err() {
            interrupt::check()?;
            pause(LOCK_POLL_INTERVAL);
        }
        Ok(Self { _file: file })
    }
}

/// A folder that holds what `contents` names once [`ensure`](Installation::ensure) is through.
#[derive(Debug)]
pub(crate) struct Installation {
    folder: PathBuf,
    contents: String,
}

impl Installation {
    pub(crate) fn new(folder: PathBuf, contents: String) -> Self {
        Self { folder, contents }
    }

    /// Fills the folder with `make`, unless an earlier run did, for the same contents, and `works` still says yes.
    ///
    /// A run that is killed half-way leaves no mark, and the next one starts over.
    pub(crate) fn ensure(&self, works: impl Fn() -> bool, make: impl FnOnce() -> Result<()>) -> Result<()> {
        let _lock = Lock::take(&self.folder.with_extension("lock"))?;
        let mark = self.folder.join("installed");
        if std::fs::read_to_string(&mark).is_ok_and(|made| made == self.contents) && works() {
            return Ok(());
        }
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).with_context(|| format!("cannot empty {}", self.folder.display()))?;
        }
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        make()?;
        std::fs::write(&mark, &self.contents).with_context(|| format!("cannot write {}", mark.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Fixture {
        folder: tempfile::TempDir,
        made: Cell<u32>,
    }

    impl Fixture {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), made: Cell::new(0) }
        }

        fn ensure(&self, contents: &str, works: bool, outcome: Result<()>) -> Result<()> {
            let installation = Installation::new(self.folder.path().join("tool"), contents.into());
            let make = || {
                assert!(!self.folder.path().join("tool/half").exists(), "an earlier attempt was not removed");
                std::fs::write(self.folder.path().join("tool/half"), "")?;
                self.made.set(self.made.get() + 1);
                outcome
            };
            installation.ensure(|| works, make)
        }
    }

    #[test]
    fn it_is_made_once() {
        let fixture = Fixture::new();
        fixture.ensure("1.0", true, Ok(())).unwrap();
        fixture.ensure("1.0", true, Ok(())).unwrap();
        assert_eq!(fixture.made.get(), 1);
    }

    #[test]
    fn other_contents_or_a_broken_tool_are_made_again() {
        let fixture = Fixture::new();
        fixture.ensure("1.0", true, Ok(())).unwrap();
        fixture.ensure("1.1", true, Ok(())).unwrap();
        assert_eq!(fixture.made.get(), 2);
        fixture.ensure("1.1", false, Ok(())).unwrap();
        assert_eq!(fixture.made.get(), 3);
    }

    #[test]
    fn a_failed_attempt_counts_for_nothing() {
        let fixture = Fixture::new();
        fixture.ensure("1.0", true, Err(anyhow::anyhow!("no network"))).unwrap_err();
        fixture.ensure("1.0", true, Ok(())).unwrap();
        assert_eq!(fixture.made.get(), 2);
    }
}
