//! Runs the program in a folder of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bucketdb::{Database, DatabaseBuilder, FileDriver};
use serde_json::Value;
use tempfile::TempDir;

const TEST_KEY: &str = "0808080808080808080808080808080808080808080808080808080808080808";

/// A folder in which commands run, with a database called `db` unless a command says otherwise.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A command that is not started yet. Nothing of the caller's own settings reaches it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bucketdb"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["BUCKETDB_", "AWS_", "RUST_LOG"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        if is_encrypted() {
            command.env("BUCKETDB_KEY", TEST_KEY);
        }
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        command
    }

    /// The same database, for the library to open.
    pub(crate) fn library(&self) -> DatabaseBuilder {
        let builder = Database::builder().driver(FileDriver::new(self.path("db")).unwrap());
        if is_encrypted() { builder.encryption(TEST_KEY.parse().unwrap()) } else { builder }
    }

    /// Runs a command without a database.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command on the database.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).env("BUCKETDB_URL", "file:db").output().unwrap())
    }

    /// As [`run`](Self::run), after something was changed about the command.
    pub(crate) fn run_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Run {
        let mut command = self.command(arguments);
        change(command.env("BUCKETDB_URL", "file:db"));
        Run::of(command.output().unwrap())
    }

    /// Runs a command that reads a text.
    pub(crate) fn feed(&self, arguments: &[&str], text: &str) -> Run {
        let mut command = self.command(arguments);
        command.env("BUCKETDB_URL", "file:db").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Run::of(child.wait_with_output().unwrap())
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).succeeded()
    }

    /// Runs a command that must succeed, for machines.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        serde_json::from_str(&self.ok(&arguments)).unwrap()
    }

    /// The documents of a table, in the order of their keys.
    #[track_caller]
    pub(crate) fn documents(&self, table: &str) -> Vec<Value> {
        lines(&self.ok(&["export", table]))
    }
}

/// Whether all databases of the tests are to be encrypted, as in those of the library.
pub(crate) fn is_encrypted() -> bool {
    std::env::var("BUCKETDB_TEST_ENCRYPTION").is_ok_and(|wanted| wanted == "1")
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        self.stdout
    }

    /// Checks that the command failed with that code and one message that says all of this.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert_eq!(self.stderr.matches("error: ").count(), 1, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {self:?}");
        }
    }

    /// The error as a machine gets it.
    #[track_caller]
    pub(crate) fn json_error(&self, code: i32) -> Value {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        let mut error: Value = serde_json::from_str(&self.stderr).unwrap();
        assert!(error["error"]["message"].is_string() && error["error"]["retryable"].is_boolean(), "{error}");
        error["error"].take()
    }
}

/// Every line as JSON.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The names of the files in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
