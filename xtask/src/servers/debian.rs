//! Programs from Debian packages, without installing the packages.
//!
//! Installing would need root, would start services and would change the developer's machine. Instead apt works out
//! and downloads what the system lacks, with lists and caches of its own, and the archives are unpacked into a folder.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Log, Tool, find};
use crate::servers::install::{Installation, Lock};
use crate::servers::site::Site;

const UPDATE_DEADLINE: Duration = Duration::from_secs(300);
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(600);
const UNPACK_DEADLINE: Duration = Duration::from_secs(300);

/// Where a set of programs and what belongs to them is found: on the system, or unpacked in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    unpacked: Option<PathBuf>,
}

impl Root {
    /// What the system has installed.
    pub(crate) fn system() -> Self {
        Self { unpacked: None }
    }

    /// Downloads and unpacks `packages` and what they need beyond the system's own, unless an earlier run did.
    ///
    /// `works` tells whether the result is of use: the system may have changed under an earlier one.
    pub(crate) fn fetch(site: &Site<'_>, name: &str, packages: &[&str], works: impl Fn(&Self) -> bool) -> Result<Self> {
        let folder = site.install_folder(name);
        let root = Self { unpacked: Some(folder.clone()) };
        let contents = format!("{}\n{}", packages.join(" "), release());
        Installation::new(folder.clone(), contents).ensure(
            || works(&root),
            || {
                let what = format!("fetched {} from Debian", packages.join(", "));
                site.step(&what, || unpack(site, &folder, packages))?;
                if !works(&root) {
                    bail!("{} from Debian does not run on this machine", packages.join(", "));
                }
                Ok(())
            },
        )?;
        Ok(root)
    }

    /// A path of the system, as it is called here.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let root = self.unpacked.as_deref().unwrap_or(Path::new("/"));
        root.join(path.trim_start_matches('/'))
    }

    /// The program, if it is there.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        match &self.unpacked {
            None => find(name),
            Some(_) => {
                ["usr/bin", "usr/sbin"].iter().map(|folder| self.path(folder).join(name)).find(|file| file.is_file())
            }
        }
    }

    /// The program, ready to be given arguments.
    pub(crate) fn tool(&self, name: &str) -> Result<Tool> {
        let program = self.program(name).with_context(|| format!("there is no {name}"))?;
        Ok(Tool::new(program).envs(self.environment()))
    }

    /// The folder of libraries for this kind of machine, such as `usr/lib/x86_64-linux-gnu`.
    pub(crate) fn libraries(&self) -> PathBuf {
        let parent = self.path("usr/lib");
        let entries = std::fs::read_dir(&parent).into_iter().flatten().flatten();
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(std::env::consts::ARCH) && name.contains("-linux-gnu")
        };
        entries.map(|entry| entry.path()).find(is_ours).unwrap_or(parent)
    }

    /// What programs from here need in their environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let Some(root) = &self.unpacked else { return Vec::new() };
        let libraries = self.libraries();
        let mut folders = vec![libraries.join("ceph"), libraries.clone()];
        if let Some(triple) = libraries.file_name() {
            folders.push(root.join("lib").join(triple));
        }
        folders.extend(std::env::split_paths(&std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default()));
        folders.retain(|folder| folder.is_dir());
        std::env::join_paths(folders).map_or_else(|_| Vec::new(), |paths| vec![("LD_LIBRARY_PATH", paths)])
    }

    /// A path under which the program starts without any environment set up for it.
    pub(crate) fn stand_alone(&self, name: &str) -> Result<PathBuf> {
        let program = self.program(name).with_context(|| format!("there is no {name}"))?;
        let Some(root) = &self.unpacked else { return Ok(program) };
        let assignments: String = self
            .environment()
            .iter()
            .map(|(name, value)| format!("export {name}={}\n", quote(&value.to_string_lossy())))
            .collect();
        let script = format!("#!/bin/sh\n{assignments}exec {} \"$@\"\n", quote(&program.to_string_lossy()));
        let wrapper = root.join(format!("run-{name}"));
        // Written aside and renamed, because another run may be executing the script that is there.
        let draft = tempfile::Builder::new().tempfile_in(root)?;
        std::fs::write(draft.path(), script)?;
        std::fs::set_permissions(draft.path(), std::fs::Permissions::from_mode(0o755))?;
        draft.persist(&wrapper).with_context(|| format!("cannot write {}", wrapper.display()))?;
        Ok(wrapper)
    }
}

/// The text as one word of the shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Which release of which distribution this is: packages of one are of no use on another.
fn release() -> String {
    std::fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("ID=") || line.starts_with("VERSION_ID="))
        .collect::<Vec<_>>()
        .join(" ")
}

fn unpack(site: &Site<'_>, folder: &Path, packages: &[&str]) -> Result<()> {
    let log = site.log("apt")?;
    let apt = Apt::find(site)?;
    let downloads = folder.join("downloads");
    apt.download(&downloads, packages, &log)?;
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(&downloads)?.flatten().map(|entry| entry.path()).filter(|path| is_wanted(path)).collect();
    archives.sort();
    for archive in archives {
        Tool::new(&apt.unpacker).arg("-x").args([&archive, folder]).run(&log, UNPACK_DEADLINE)?;
    }
    std::fs::remove_dir_all(&downloads).with_context(|| format!("cannot remove {}", downloads.display()))
}

/// A C library other than the one that the system's loader belongs to would crash every program.
fn is_wanted(archive: &Path) -> bool {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".deb") && !name.starts_with("libc6_")
}

/// apt with lists and caches of its own, so that it runs for every user.
struct Apt {
    program: PathBuf,
    unpacker: PathBuf,
    folder: PathBuf,
}

impl Apt {
    fn find(site: &Site<'_>) -> Result<Self> {
        let missing = "this system has no apt-get and dpkg-deb, so Debian packages cannot be fetched";
        Ok(Self {
            program: find("apt-get").context(missing)?,
            unpacker: find("dpkg-deb").context(missing)?,
            folder: site.install_folder("apt"),
        })
    }

    /// Downloads the packages and what they need that is not installed.
    fn download(&self, into: &Path, packages: &[&str], log: &Log) -> Result<()> {
        let _lock = Lock::take(&self.folder.with_extension("lock"))?;
        for folder in [self.folder.join("lists/partial"), into.join("partial")] {
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let download = |log: &Log| {
            let download = self.tool().arg(format!("-oDir::Cache::archives={}", into.display()));
            download.args(["--download-only", "install"]).args(packages).run(log, DOWNLOAD_DEADLINE)
        };
        let updated = self.folder.join("updated");
        // Lists of an earlier run may name archives that a newer version has replaced since: then they are renewed.
        if updated.exists() && download(log).is_ok() {
            return Ok(());
        }
        self.tool().arg("update").run(log, UPDATE_DEADLINE)?;
        std::fs::write(&updated, "")?;
        download(log)
    }

    fn tool(&self) -> Tool {
        let folder = self.folder.display();
        Tool::new(&self.program)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["--yes", "--quiet=2", "--no-install-recommends"])
            .arg(format!("-oDir::State::Lists={folder}/lists"))
            .arg(format!("-oDir::Cache={folder}"))
            // Nothing of the system is written, so none of its locks is needed.
            .arg("-oDebug::NoLocking=1")
            // Root's downloads go to a user who need not have access to this folder.
            .arg("-oAPT::Sandbox::User=")
            .arg("-oAcquire::Retries=3")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_in_the_shell() {
        for text in ["plain", "two words", "it's", "$HOME `x` \"y\""] {
            let echo = Tool::new("/bin/sh").args(["-c", &format!("printf %s {}", quote(text))]);
            assert_eq!(echo.output(Duration::from_secs(20)).unwrap(), text);
        }
    }

    #[test]
    fn the_c_library_is_never_unpacked() {
        assert!(is_wanted(Path::new("a/redis-server_7_amd64.deb")));
        assert!(!is_wanted(Path::new("a/libc6_2.36_amd64.deb")));
        assert!(!is_wanted(Path::new("a/partial")));
    }

    #[test]
    fn a_program_of_an_unpacked_root_runs_alone() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("usr/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(folder.path().join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH)))
            .unwrap();
        std::fs::write(bin.join("tell"), "#!/bin/sh\necho \"$LD_LIBRARY_PATH $1\"\n").unwrap();
        std::fs::set_permissions(bin.join("tell"), std::fs::Permissions::from_mode(0o755)).unwrap();

        let root = Root { unpacked: Some(folder.path().to_owned()) };
        let told = Tool::new(root.stand_alone("tell").unwrap()).arg("it's me");
        let told = told.output(Duration::from_secs(20)).unwrap();
        assert!(told.contains("-linux-gnu") && told.contains("it's me"), "{told}");
        assert!(root.tool("absent").is_err());
    }
}
