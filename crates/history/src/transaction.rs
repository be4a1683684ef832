use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Op;

/// Whether a transaction happened, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was acknowledged: it happened between its start and its end.
    Ok,
    /// It was refused: it did not happen, and never will.
    Fail,
    /// Nobody knows: it may have happened, may happen later, or never.
    Info,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        })
    }
}

/// What a client did in one transaction, and what it saw.
///
/// ```
/// use bucketdb_history::{Op, Outcome, Transaction};
///
/// let ops = vec![Op::append("x", 7), Op::read("x", [3, 7])];
/// let transaction = Transaction { outcome: Outcome::Ok, process: 2, start: 10, end: 25, ops, seq: None };
/// assert_eq!(transaction.to_string(), "(ok, process 2, from 10 to 25): append x 7, r x [3, 7]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Whether it happened.
    #[serde(rename = "type")]
    pub outcome: Outcome,
    /// Which client. A client does one transaction after the other.
    pub process: u64,
    /// When the client began it, in nanoseconds.
    pub start: u64,
    /// When the client knew its outcome or gave up, in nanoseconds.
    pub end: u64,
    /// What it did and saw, in order.
    pub ops: Vec<Op>,
    /// Its position in the log, for the reader of a report only: checkers do not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

impl Transaction {
    pub(crate) fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// What is wrong with it by itself, whatever the database did.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.end < self.start {
            return Some("it ends before it starts");
        }
        let is_unanswered = self.is_ok() && self.ops.iter().any(Op::is_unanswered);
        is_unanswered.then_some("it is ok, but does not tell what it read")
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, process {}, from {} to {}", self.outcome, self.process, self.start, self.end)?;
        if let Some(seq) = self.seq {
            write!(f, ", at {seq} in the log")?;
        }
        f.write_str("):")?;
        for (at, op) in self.ops.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma} {op}")?;
        }
        Ok(())
    }
}
