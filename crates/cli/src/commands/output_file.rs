use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A file that a command writes: under another name first, so that a file with the final name is complete.
pub(super) struct OutputFile {
    pub(super) file: File,
    /// What it is to replace; `None` for a pipe or a device, which is written to: renaming a file over it would destroy it.
    replaces: Option<(Temporary, PathBuf)>,
    shown: String,
}

impl OutputFile {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let of_io = |error: &io::Error| Failure::of_io("write", &shown, error);
        // A link stays one: the file that it leads to is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let existing = fs::metadata(&target).ok();
        if existing.as_ref().is_some_and(|existing| !existing.is_file()) {
            let file = File::options().write(true).open(&target).map_err(|error| of_io(&error))?;
            return Ok(Self { file, replaces: None, shown });
        }
        let temporary = Temporary::beside(&target)?;
        let file = File::create_new(&temporary.path).map_err(|error| of_io(&error))?;
        if let Some(existing) = existing {
            file.set_permissions(existing.permissions()).map_err(|error| of_io(&error))?;
        }
        Ok(Self { file, replaces: Some((temporary, target)), shown })
    }

    /// Whether it is a file, and no pipe or device.
    pub(super) fn is_file(&self) -> bool {
        self.replaces.is_some()
    }

    /// What it means that it cannot be written.
    pub(super) fn failure(&self, error: &io::Error) -> Failure {
        Failure::of_io("write", &self.shown, error)
    }

    /// Gives it its name, once everything was written to it.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Some((temporary, target)) = &self.replaces else { return Ok(()) };
        let named = self.file.sync_all().and_then(|()| fs::rename(&temporary.path, target));
        named.map_err(|error| self.failure(&error))
    }
}

/// A file that is removed if it is still there in the end.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn beside(path: &Path) -> Result<Self, Failure> {
        let name = path.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", path.display())))?;
        let name = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
        Ok(Self { path: path.with_file_name(name) })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Once renamed it is gone, and that it cannot be removed otherwise is not what the user must hear about.
        let _ = fs::remove_file(&self.path);
    }
}
