//! Other programs: run to their end, or kept running until dropped.
//!
//! No program outlives this one. Each is the leader of a process group that is killed as a whole, and each is started
//! through `setpriv --pdeathsig KILL`, so that the kernel kills it when this process dies without a chance to clean up.
//! The kernel takes the death of the *thread* that started a program for the death of its parent, so all programs are
//! started by one thread that lives as long as the process.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::clock::{Stopwatch, pause};
use crate::interrupt;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a program that is told to end has before it is killed.
const TERMINATION_DEADLINE: Duration = Duration::from_secs(3);

const TAIL_LINES: usize = 20;

/// A program with its arguments and what differs in its environment.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
}

impl Tool {
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), environment: Vec::new(), folder: None }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn envs(self, variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Self {
        variables.into_iter().fold(self, |tool, (name, value)| tool.env(name, value))
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Runs the program to its end, its output going to `log`. An error holds the end of the log.
    pub(crate) fn run(&self, log: &Log, deadline: Duration) -> Result<()> {
        let mut group = self.start(log.append()?.into(), log.append()?.into())?;
        match group.wait(deadline) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(log.explain(format!("{} failed: {status}", self.name()))),
            Err(error) if error.is::<interrupt::Interrupted>() => Err(error),
            Err(error) => Err(log.explain(format!("{error:#}"))),
        }
    }

    /// Runs the program to its end, its output going where this program's goes.
    pub(crate) fn run_in_view(&self, deadline: Duration) -> Result<ExitStatus> {
        self.start(Stdio::inherit(), Stdio::inherit())?.wait(deadline)
    }

    /// What the program writes to standard output; an error if it fails, with what it says about that.
    pub(crate) fn output(&self, deadline: Duration) -> Result<String> {
        let scratch = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        let complaints = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        let mut group = self.start(scratch.reopen()?.into(), complaints.reopen()?.into())?;
        let status = group.wait(deadline)?;
        if !status.success() {
            return Err(Log::new(complaints.path()).explain(format!("{} failed: {status}", self.name())));
        }
        std::fs::read_to_string(scratch.path()).with_context(|| format!("cannot read what {} says", self.name()))
    }

    /// Starts the program, its output going to `stdout` and `stderr`; it has no standard input.
    pub(crate) fn start(&self, stdout: Stdio, stderr: Stdio) -> Result<Group> {
        interrupt::check()?;
        let mut command = match &*LEASH {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        let child = launch(command).with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok(Group { name: self.name(), child, ended: false })
    }

    fn name(&self) -> String {
        self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned()
    }
}

/// A running program and what it started, killed when dropped.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    child: Child,
    ended: bool,
}

impl Group {
    /// The number of the process group.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How the program ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait().with_context(|| format!("cannot watch {}", self.name))?;
        if status.is_some() {
            self.kill();
        }
        Ok(status)
    }

    /// Waits for the program to end. Past the deadline, or when the run is to end, it is stopped.
    pub(crate) fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let watch = Stopwatch::start();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            let verdict = match interrupt::check() {
                Err(interrupted) => Some(interrupted.into()),
                Ok(()) if watch.elapsed() > deadline => {
                    Some(anyhow!("{} was not done after {} s", self.name, deadline.as_secs()))
                }
                Ok(()) => None,
            };
            if let Some(verdict) = verdict {
                self.terminate();
                return Err(verdict);
            }
            pause(POLL_INTERVAL);
        }
    }

    /// Asks the group to end, then kills it.
    fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let watch = Stopwatch::start();
        while watch.elapsed() < TERMINATION_DEADLINE && matches!(self.child.try_wait(), Ok(None)) {
            pause(POLL_INTERVAL);
        }
        self.kill();
    }

    /// Kills whatever of the group still runs, once: later the system may have given its number to strangers.
    fn kill(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }

    fn signal(&self, signal: Signal) {
        // An empty group is what is wanted.
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The file that a program writes its output to.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    path: PathBuf,
}

impl Log {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// An empty log, whatever an earlier run left there.
    pub(crate) fn fresh(path: impl Into<PathBuf>) -> Result<Self> {
        let log = Self::new(path);
        File::create(&log.path).with_context(|| format!("cannot write {}", log.path.display()))?;
        Ok(log)
    }

    pub(crate) fn append(&self) -> Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        options.open(&self.path).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// What it holds; nothing if it cannot be read.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.path).unwrap_or_default()).into_owned()
    }

    /// Prints the whole log to standard error.
    pub(crate) fn show(&self) {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        let _ = io::stderr().write_all(&bytes);
    }

    /// An error that ends with the last lines of the log.
    pub(crate) fn explain(&self, what: String) -> anyhow::Error {
        let text = self.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
        let tail: String = tail.map(|line| format!("\n  | {line}")).collect();
        anyhow!("{what}{tail}")
    }
}

/// Where a program of this name is, among the folders that the shell would search and those that it may leave out.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|folder| folder.join(program))
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file())
}

/// `setpriv`, part of every Debian. Elsewhere programs are stopped on every orderly way out, but not after a SIGKILL.
static LEASH: LazyLock<Option<PathBuf>> = LazyLock::new(|| find("setpriv"));

type Launch = (Command, Sender<io::Result<Child>>);

static LAUNCHER: LazyLock<Mutex<io::Result<Sender<Launch>>>> = LazyLock::new(|| {
    let (requests, inbox) = channel::<Launch>();
    let thread = std::thread::Builder::new().name("launcher".into()).spawn(move || {
        for (mut command, reply) in inbox {
            // A caller that is gone drops the child's handle only: its pipes close, and the group dies with us.
            let _ = reply.send(command.spawn());
        }
    });
    Mutex::new(thread.map(|_| requests))
});

fn launch(command: Command) -> Result<Child> {
    let (reply, answer) = channel();
    match &*LAUNCHER.lock().unwrap_or_else(PoisonError::into_inner) {
        Ok(requests) => requests.send((command, reply)).context("the thread that starts programs has ended")?,
        Err(error) => bail!("there is no thread to start programs: {error}"),
    }
    Ok(answer.recv().context("the thread that starts programs has ended")??)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn shell(script: &str) -> Tool {
        Tool::new("/bin/sh").args(["-c", script])
    }

    fn is_alive(pid: &str) -> bool {
        // A zombie that nobody has waited for yet is dead as well.
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    }

    fn dies(pid: &str) -> bool {
        let watch = Stopwatch::start();
        while is_alive(pid) && watch.elapsed() < 10 * SECOND {
            pause(POLL_INTERVAL);
        }
        !is_alive(pid)
    }

    #[test]
    fn output_is_what_the_program_wrote() {
        assert_eq!(shell("echo one; echo two >&2").output(20 * SECOND).unwrap(), "one\n");
    }

    #[test]
    fn a_failure_shows_the_end_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::fresh(folder.path().join("log")).unwrap();
        let error = shell("echo the reason >&2; exit 7").run(&log, 20 * SECOND).unwrap_err().to_string();
        assert!(error.contains("exit status: 7") && error.contains("| the reason"), "{error}");
    }

    #[test]
    fn past_its_deadline_a_program_is_stopped_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::fresh(folder.path().join("log")).unwrap();
        let error = shell("sleep 100 & echo $!; wait").run(&log, SECOND / 2).unwrap_err().to_string();
        assert!(error.contains("was not done"), "{error}");
        let child = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(dies(child.trim()), "the grandchild {child} lives on");
    }

    #[test]
    fn a_dropped_group_is_dead() {
        let group = shell("sleep 100").start(Stdio::null(), Stdio::null()).unwrap();
        let pid = group.id().to_string();
        assert!(is_alive(&pid));
        drop(group);
        assert!(dies(&pid));
    }

    #[test]
    fn a_program_outlives_the_thread_that_asked_for_it() {
        let start = || shell("sleep 100").start(Stdio::null(), Stdio::null()).unwrap();
        let mut group = std::thread::spawn(start).join().unwrap();
        pause(SECOND / 5);
        assert!(group.ended().unwrap().is_none());
    }
}
