use bucketdb::{Database, Schema};
use serde::{Deserialize, Serialize};

use super::Row;
use super::bulk::Bulk;
use super::commits::Commits;
use super::seen::Seen;
use super::target::{Pending, Target};
use crate::arguments::Mode;
use crate::failure::Failure;

/// From so many documents on, or from so many bytes on, all are made to appear at once.
const BULK_DOCUMENTS: usize = 10_000;
const BULK_BYTES: usize = 16 << 20;

/// How documents get into a table.
#[derive(Clone, Debug)]
pub(crate) struct ImportOptions {
    /// The fields that are the key; `None` takes what the table has.
    pub(crate) key: Option<Vec<String>>,
    pub(crate) mode: Mode,
    pub(crate) way: Way,
    /// The name by which an import that was cut off goes on, if it is all at once.
    pub(crate) resume: Option<String>,
}

/// How documents get into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As is best for so many.
    Fitting,
    /// All at once, by sorted runs that join the database.
    Bulk,
    /// In commits of so many documents at most.
    Commits(usize),
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportReport {
    /// Documents read.
    pub(crate) read: u64,
    /// New ones.
    pub(crate) imported: u64,
    /// Those that had another content.
    pub(crate) replaced: u64,
    /// Those that were stored already, just so.
    pub(crate) unchanged: u64,
    /// Documents whose key occurred earlier in the file, as far as that is remembered: the last one counts.
    pub(crate) duplicates: u64,
    pub(crate) commits: u64,
    /// Whether they appeared all at once.
    pub(crate) bulk: bool,
    /// Documents that were passed over, since an import that was cut off had loaded them.
    pub(crate) resumed: u64,
}

/// Reads documents into a table: few in as few commits as possible, many all at once.
pub(crate) struct Importer {
    target: Target,
    resume: Option<String>,
    state: State,
    seen: Seen,
    report: ImportReport,
}

enum State {
    /// It is not known yet how many there are.
    Open {
        waiting: Vec<Pending>,
        waiting_bytes: usize,
    },
    Commits(Commits),
    Bulk(Box<Bulk>),
}

/// A document that cannot be imported.
#[derive(Debug)]
pub(crate) struct RowFailure {
    /// The line of the document; `None` if the failure is about no single one.
    pub(crate) line: Option<u64>,
    pub(crate) failure: Box<Failure>,
}

impl RowFailure {
    pub(super) fn at(line: u64, failure: Failure) -> Self {
        Self { line: Some(line), failure: Box::new(failure.of_data()) }
    }
}

impl From<Failure> for RowFailure {
    fn from(failure: Failure) -> Self {
        Self { line: None, failure: Box::new(failure) }
    }
}

impl From<bucketdb::Error> for RowFailure {
    fn from(error: bucketdb::Error) -> Self {
        Failure::from(error).into()
    }
}

impl Importer {
    /// Begins an import. The database is made as fresh as can be, once.
    pub(crate) async fn new(db: &Database, table: &str, options: ImportOptions) -> Result<Self, Failure> {
        let target = Target::new(db, table, options.key, options.mode).await?;
        let state = match options.way {
            Way::Fitting => State::Open { waiting: Vec::new(), waiting_bytes: 0 },
            Way::Commits(batch_size) => State::Commits(Commits::new(batch_size)),
            Way::Bulk => State::Bulk(Box::new(Bulk::new(&target, options.resume.clone())?)),
        };
        let report = ImportReport { bulk: options.way == Way::Bulk, ..ImportReport::default() };
        Ok(Self { target, resume: options.resume, state, seen: Seen::new(), report })
    }

    /// The table's schema, if there is one yet.
    pub(crate) fn schema(&self) -> Option<&Schema> {
        self.target.schema.as_ref()
    }

    /// The fields of the key.
    pub(crate) fn key(&self) -> &[String] {
        &self.target.key
    }

    /// What was done so far.
    pub(crate) fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Takes a document. If it cannot be imported, those before it stay to be stored.
    pub(crate) async fn add(&mut self, row: Row) -> Result<(), RowFailure> {
        let mut pending = self.target.prepare(row)?;
        pending.is_duplicate = self.seen.insert(&pending.key_text);
        if pending.is_duplicate && self.target.mode == Mode::Insert {
            let message = format!("key {} occurs a second time in the file", pending.key);
            return Err(RowFailure::at(pending.line, Failure::new("already_exists", message)));
        }
        self.report.read += 1;
        self.report.duplicates += u64::from(pending.is_duplicate);
        pending.place = self.report.read;
        match &mut self.state {
            State::Commits(commits) => commits.add(pending, &self.target, &mut self.report).await,
            State::Bulk(bulk) => bulk.add(pending, &self.target, &mut self.report).await,
            State::Open { waiting, waiting_bytes } => {
                *waiting_bytes += pending.size_bytes;
                waiting.push(pending);
                if waiting.len() < BULK_DOCUMENTS && *waiting_bytes < BULK_BYTES {
                    return Ok(());
                }
                let waiting = std::mem::take(waiting);
                self.go_on_in_bulk(waiting).await
            }
        }
    }

    /// There are many.
    async fn go_on_in_bulk(&mut self, waiting: Vec<Pending>) -> Result<(), RowFailure> {
        self.report.bulk = true;
        self.state = State::Bulk(Box::new(Bulk::new(&self.target, self.resume.take())?));
        let State::Bulk(bulk) = &mut self.state else { return Ok(()) };
        for pending in waiting {
            bulk.add(pending, &self.target, &mut self.report).await?;
        }
        Ok(())
    }

    /// Stores what is left.
    pub(crate) async fn finish(&mut self) -> Result<(), RowFailure> {
        let Self { target, state, report, .. } = self;
        match state {
            State::Commits(commits) => commits.finish(target, report).await,
            State::Bulk(bulk) => bulk.finish(target, report).await,
            State::Open { waiting, .. } => {
                let mut commits = Commits::new(BULK_DOCUMENTS);
                let mut stopped = None;
                for pending in std::mem::take(waiting) {
                    stopped = commits.add(pending, target, report).await.err();
                    if stopped.is_some() {
                        break;
                    }
                }
                // What stands before what stopped us is stored.
                commits.finish(target, report).await?;
                stopped.map_or(Ok(()), Err)
            }
        }
    }
}
