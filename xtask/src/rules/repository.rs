use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Tool, find};
use crate::rules::layers::Package;
use crate::rules::violation::Violation;
use crate::rules::{code, layers, texts};

const GIT_DEADLINE: Duration = Duration::from_secs(60);

/// A text file of the repository.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    /// Relative to the workspace.
    pub(super) path: String,
    pub(super) text: String,
}

/// What the rules look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Repository {
    /// Every path, also of files that are no text.
    pub(super) paths: Vec<String>,
    pub(super) files: Vec<SourceFile>,
    pub(super) packages: Vec<Package>,
}

impl Repository {
    /// All files that are committed or are about to be: what git ignores is nobody's business.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let git = find("git").context("git is needed to tell which files belong to the repository")?;
        let list = Tool::new(git).in_folder(root).args(["-c", "core.quotePath=false", "ls-files"]);
        let list = list.args(["--cached", "--others", "--exclude-standard"]).output(GIT_DEADLINE)?;
        let mut repository = Self { packages: layers::packages(root)?, ..Self::default() };
        for path in list.lines() {
            // A file that was removed but not committed yet is still listed.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            repository.paths.push(path.to_owned());
            if let Ok(text) = String::from_utf8(bytes) {
                repository.files.push(SourceFile { path: path.to_owned(), text });
            }
        }
        Ok(repository)
    }

    pub(super) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// All rules that are broken, by place.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut violations = layers::dependencies(&self.packages);
        for file in &self.files {
            violations.extend(layers::names(file));
            violations.extend(code::file(file));
            violations.extend(texts::file(self, file));
        }
        violations.extend(texts::readme(self));
        violations.sort_by(|one, other| one.place.cmp(&other.place));
        violations
    }
}

/// All rules that the repository at `root` breaks.
pub(crate) fn violations(root: &Path) -> Result<Vec<impl std::fmt::Display + use<>>> {
    Ok(Repository::load(root)?.violations())
}
