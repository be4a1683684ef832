//! Further processes, and what they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use bucketdb_system_tests::Line;
use rustix::process::{Pid, Signal, kill_process};

use crate::stores::{PREFIX, Store};

/// A process of the worker program. Killed when dropped.
pub(crate) struct Worker {
    process: Child,
    orders: Option<ChildStdin>,
    /// Nothing once somebody else listens.
    output: Option<BufReader<ChildStdout>>,
}

/// How a worker ended.
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    /// What it said since it was last asked.
    pub(crate) lines: Vec<Line>,
    /// What it wrote on its standard error.
    pub(crate) complaint: String,
}

impl Worker {
    /// Starts a worker on a store. The role's arguments follow those of all roles.
    pub(crate) fn start(store: &Store, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_system-test-worker"));
        command.args(["--url", &store.url, "--prefix", PREFIX]).args(arguments);
        command.envs(store.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (orders, output) = (process.stdin.take(), process.stdout.take().map(BufReader::new));
        Self { process, orders, output }
    }

    /// What it says next; `None` once it has ended. A line that was cut short by its end is none.
    pub(crate) fn line(&mut self) -> Option<Line> {
        self.output.as_mut().and_then(next_line)
    }

    /// Listens on a thread of its own to what it says until it ends, so that it never has to wait for anybody.
    pub(crate) fn listen(&mut self) -> JoinHandle<Vec<Line>> {
        let mut output = self.output.take().unwrap();
        std::thread::spawn(move || std::iter::from_fn(|| next_line(&mut output)).collect())
    }

    /// Hands it a line on its standard input.
    pub(crate) fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().unwrap();
        // If it has ended, what it says next tells so.
        let _ = orders.write_all(format!("{order}\n").as_bytes());
    }

    /// SIGKILL: it gets no chance to do anything more.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Stops it where it is, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Tells it to end by itself, if it waits for that, and waits for its end.
    pub(crate) fn finish(mut self) -> Ending {
        drop(self.orders.take());
        let mut lines = Vec::new();
        while let Some(line) = self.line() {
            lines.push(line);
        }
        let mut complaint = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        Ending { status: self.process.wait().unwrap(), lines, complaint }
    }

    /// Waits for its end, which must be a good one, and gives what it said.
    pub(crate) fn succeed(self) -> Vec<Line> {
        let Ending { status, lines, complaint } = self.finish();
        assert!(status.success(), "a worker failed: {complaint}");
        lines
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn next_line(output: &mut BufReader<ChildStdout>) -> Option<Line> {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.strip_suffix('\n').map(|line| line.parse().unwrap())
}

/// Starts one worker for each of `numbers` and does `work` with all of them side by side.
pub(crate) fn side_by_side<T: Send>(numbers: std::ops::Range<u32>, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = numbers.map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
