//! What the clients of all workers said, as a history that can be checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use bucketdb_history::{Anomalies, History, HistoryWriter, Op, Outcome, Summary, Transaction};
use bucketdb_system_tests::Line;

use crate::nemesis::{Life, Plan};
use crate::stores::{Store, unique_name};
use crate::support::nanoseconds;

/// Names a folder that all histories are written to, the good ones too.
const FOLDER_VARIABLE: &str = "BUCKETDB_TEST_HISTORIES";

/// The client that reads everything in the end. No worker's client has that number.
const LAST_CLIENT: u64 = u64::MAX;

/// The others can be found by checking the history once more.
const PRINTED_ANOMALIES: usize = 8;

/// All transactions of all workers, and how the workers fared.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) history: History,
    lives: u32,
    kills: u32,
    stops: u32,
    /// How many transactions were under way when their worker was killed.
    cut_off: usize,
    /// How many clients were told that the outcome is unknown, and how many had it settled in either way.
    unknown: usize,
    settled_ok: usize,
    settled_fail: usize,
    /// What is wrong, whatever the history says.
    problems: Vec<String>,
}

impl Recording {
    pub(crate) fn of(lives: Vec<Life>) -> Self {
        let mut recording = Self::default();
        lives.into_iter().for_each(|life| recording.add(life));
        recording
    }

    fn add(&mut self, life: Life) {
        let mut open: BTreeMap<u64, Transaction> = BTreeMap::new();
        let mut doubted = BTreeSet::new();
        for line in life.lines {
            match line {
                Line::Invoked(transaction) => {
                    let earlier = open.insert(transaction.process, transaction);
                    assert_eq!(earlier, None, "a client began a transaction before this one ended");
                }
                Line::Completed(transaction) => {
                    let begun = open.remove(&transaction.process).unwrap();
                    assert_eq!(begun.start, transaction.start, "a client ended what it had not begun");
                    if doubted.remove(&transaction.process) {
                        self.settled_ok += usize::from(transaction.outcome == Outcome::Ok);
                        self.settled_fail += usize::from(transaction.outcome == Outcome::Fail);
                    }
                    self.history.0.push(transaction);
                }
                Line::Unknown { operation: process, .. } => {
                    assert!(doubted.insert(process) && open.contains_key(&process));
                    self.unknown += 1;
                }
                unexpected => panic!("{unexpected:?}"),
            }
        }
        assert!(life.was_killed || life.failure.is_some() || open.is_empty(), "a worker ended in the middle: {open:?}");
        self.lives += 1;
        self.kills += u32::from(life.was_killed);
        self.stops += life.stops;
        self.problems.extend(life.failure.map(|failure| format!("a worker failed: {failure}")));
        self.cut_off += open.len();
        // Such a transaction may happen later still, but its client did not see it happen.
        let end = nanoseconds(life.ended);
        self.history.0.extend(open.into_values().map(|transaction| Transaction { end, ..transaction }));
    }

    /// Adds a transaction that reads everything, after all others.
    pub(crate) fn add_last(&mut self, start: u64, end: u64, ops: Vec<Op>) {
        let outcome = Outcome::Ok;
        self.history.0.push(Transaction { outcome, process: LAST_CLIENT, start, end, ops, seq: None });
    }

    /// Notes something that is wrong besides the history.
    pub(crate) fn complain(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Checks the history. If anything is wrong, it is kept.
    pub(crate) fn judge(
        &self,
        workload: &str,
        store: &Store,
        check: impl FnOnce(&History) -> Result<Summary, Anomalies>,
    ) -> Summary {
        let name = format!("{workload}-{}-{}.jsonl", store.name, unique_name());
        if let Ok(folder) = std::env::var(FOLDER_VARIABLE) {
            self.write(Path::new(&folder), &name);
        }
        let problem = match check(&self.history) {
            Ok(summary) if self.problems.is_empty() => return summary,
            Ok(_) => String::new(),
            Err(anomalies) => {
                let first: String = anomalies.iter().take(PRINTED_ANOMALIES).map(ToString::to_string).collect();
                format!("{} anomalies, of which the first are\n{first}", anomalies.iter().count())
            }
        };
        let path = self.write(Path::new(env!("CARGO_TARGET_TMPDIR")), &name);
        panic!("{}\n{problem}the history is in {}", self.problems.join("\n"), path.display());
    }

    /// Checks that nothing is wrong besides the history.
    pub(crate) fn check_unharmed(&self) {
        assert!(self.problems.is_empty(), "{}", self.problems.join("\n"));
    }

    /// Checks that enough happened for the test to mean something.
    pub(crate) fn check_haunted(&self, plan: &Plan, summary: &Summary) {
        let has_happened = self.kills > 0 && self.stops > 0 && summary.ok >= plan.least_ok;
        assert!(has_happened, "this shows nothing: {self}; {summary}");
    }

    fn write(&self, folder: &Path, name: &str) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        let mut writer = HistoryWriter::new(std::io::BufWriter::new(File::create(&path).unwrap()));
        self.history.0.iter().for_each(|transaction| writer.write(transaction).unwrap());
        writer.flush().unwrap();
        path
    }
}

/// What the workers went through.
impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lives, kills, stops, cut_off, unknown, settled_ok, settled_fail, .. } = self;
        write!(
            f,
            "{lives} processes, {kills} kills that cut off {cut_off} transactions, {stops} stops, {unknown} unknown \
             outcomes of which {settled_ok} were settled as ok and {settled_fail} as failed"
        )
    }
}
