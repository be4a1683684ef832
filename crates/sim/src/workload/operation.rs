use std::fmt;
use std::time::Duration;

use bucketdb::{Error, Freshness, LogError, Seq};
use bucketdb_history::Op;

use crate::{GroupId, ProcessId};

/// A place in a run: the number of an event, which orders all events, and the virtual time of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The number of the event.
    pub event: u64,
    /// When it was.
    pub time: Duration,
}

/// One call of a client, and what came of it.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who called.
    pub process: ProcessId,
    /// Which client; it does one thing after the other.
    pub client: u64,
    /// In which of its lives.
    pub life: GroupId,
    /// What was called, for people.
    pub what: String,
    /// How fresh its reads are.
    pub freshness: Freshness,
    /// What it read.
    pub reads: Vec<Read>,
    /// The position that it read at, if it is told.
    pub reads_at: Option<Seq>,
    /// What its process knew when it began.
    pub known: Seq,
    /// What it was to write, all of it or nothing.
    pub writes: Vec<Write>,
    /// What it did, for checkers that believe nothing but what clients saw.
    pub steps: Vec<Op>,
    /// Before the call.
    pub began: Moment,
    /// After the answer; `None` if the client died while it waited.
    pub ended: Option<Moment>,
    /// What was answered.
    pub outcome: Outcome,
}

/// What a client saw of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The table.
    pub table: &'static str,
    /// The key.
    pub key: String,
    /// What was there.
    pub seen: Seen,
}

/// What was found under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What the operation of this number wrote.
    Token(u64),
    /// Nothing.
    Absent,
    /// A document, whosever.
    Present,
}

/// A change that a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: &'static str,
    /// The key.
    pub key: String,
    /// Whether the document was to be removed.
    pub delete: bool,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: it died, or waits still.
    Open,
    /// It is done, at that position if the call tells it.
    Ok(Option<Seq>),
    /// It did not happen and never will.
    Failed(String),
    /// It did not happen, because what is stored is broken or cannot be understood.
    Broken(String),
    /// Nobody knows; if it happens, then at that position.
    Unknown(Seq),
}

impl Operation {
    /// Whether all that was asked was answered with success.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_))
    }
}

impl Outcome {
    /// Whether it did not happen because what was to be read is not kept any more.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Failed(text) if text.starts_with("what is to be read lies before"))
    }

    /// What an error of the library promises.
    #[must_use]
    pub fn of_error(error: &Error) -> Self {
        match error {
            Error::CommitOutcomeUnknown { slot, .. } => Self::Unknown(*slot),
            Error::Log(
                LogError::BrokenChain { .. }
                | LogError::Forked { .. }
                | LogError::Halted { .. }
                | LogError::Damaged { .. }
                | LogError::Missing { .. }
                | LogError::NeedsNewerVersion { .. }
                | LogError::UnfitStore { .. },
            ) => Self::Broken(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => formatter.write_str("never answered"),
            Self::Ok(None) => formatter.write_str("ok"),
            Self::Ok(Some(seq)) => write!(formatter, "ok at {seq}"),
            Self::Broken(error) => write!(formatter, "broken: {error}"),
            Self::Failed(error) => write!(formatter, "failed: {error}"),
            Self::Unknown(slot) => write!(formatter, "unknown, at {slot} if at all"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, what, reads, began, ended, outcome, .. } = self;
        let seconds = |moment: &Moment| moment.time.as_secs_f64();
        write!(formatter, "{process} {what} [{:.6}, ", seconds(began))?;
        match ended {
            Some(ended) => write!(formatter, "{:.6}]", seconds(ended))?,
            None => formatter.write_str("…")?,
        }
        for read in reads {
            write!(formatter, " {read}")?;
        }
        write!(formatter, " → {outcome}")
    }
}

impl fmt::Display for Read {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, seen } = self;
        match seen {
            Seen::Token(token) => write!(formatter, "{table}/{key}=#{token}"),
            Seen::Absent => write!(formatter, "{table}/{key}=nothing"),
            Seen::Present => write!(formatter, "{table}/{key}=something"),
        }
    }
}
