use std::fmt;
use std::str::FromStr;

use bucketdb_history::Transaction;

/// What a worker says on its standard output, one line each.
///
/// A line is written in one piece and flushed at once: what was said before a worker was killed can be read, and
/// nothing is said by halves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The database is open, and this is its id.
    Opened(String),
    /// Counting begins with this operation.
    Begin(u64),
    /// An operation was acknowledged, and is in the log at or before this position.
    Counted {
        /// The number of the operation.
        operation: u64,
        /// The position of the log that the worker had seen when it was told.
        position: u64,
    },
    /// The outcome of an operation's commit is unknown; the worker will find out by reading, or not at all.
    Unknown {
        /// The number of the operation; of a client with a history, the client's.
        operation: u64,
        /// The only position at which the commit can be.
        slot: u64,
    },
    /// The insertion of an entry was acknowledged.
    Inserted {
        /// The key of the entry.
        id: String,
        /// The position of the log.
        position: u64,
        /// The session that committed it.
        session: String,
    },
    /// An insertion failed, and why.
    Failed {
        /// The key of the entry.
        id: String,
        /// The error, on one line.
        reason: String,
    },
    /// An insertion was refused because another document has the value of a field that is unique.
    Taken {
        /// The key of the document.
        id: String,
        /// The field.
        field: String,
        /// The key of the document that has it.
        holder: String,
    },
    /// A round of a race was won.
    Won(u32),
    /// A transaction begins, as it is known if its end is never told: of unknown outcome, without what it read.
    Invoked(Transaction),
    /// A transaction ended. Its client and its start tell which.
    Completed(Transaction),
    /// An operation on many documents begins, or a round of looking after the database.
    Doing(u64),
    /// An operation on many documents was acknowledged.
    Done(u64),
    /// An operation on many documents was acknowledged, and this is where it is in the log.
    Written {
        /// The number of the operation.
        operation: u64,
        /// The position of the log.
        position: u64,
    },
    /// A name is about to be given to something, or taken away.
    Naming {
        /// What it is.
        act: Act,
        /// The name.
        name: String,
    },
    /// That was acknowledged.
    Named {
        /// What it is.
        act: Act,
        /// The name.
        name: String,
        /// The position of the log that got the name, or at which the branch forks; zero if the name was taken away.
        position: u64,
    },
    /// A round of looking after the database is over, and so many objects were removed.
    Removed(u64),
    /// A blob went to the store and came back.
    Carried {
        /// Its length.
        bytes: u64,
        /// How long the upload took.
        upload_ms: u64,
        /// How long it took to read all of it.
        read_ms: u64,
        /// How much memory the process had at most.
        peak_bytes: u64,
    },
    /// The requests that the whole work took.
    Used {
        /// Puts, refused ones included.
        puts: u64,
        /// Gets, those that found nothing included.
        gets: u64,
    },
}

/// What is done with the name of a branch or of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A branch is created.
    Branch,
    /// A branch is dropped.
    DropBranch,
    /// A snapshot gets the name.
    Snapshot,
    /// It has no name any more.
    DropSnapshot,
}

impl Act {
    const ALL: [(Self, &str); 4] = [
        (Self::Branch, "branch"),
        (Self::DropBranch, "drop-branch"),
        (Self::Snapshot, "snapshot"),
        (Self::DropSnapshot, "drop-snapshot"),
    ];

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(act, known)| (known == word).then_some(act))
    }
}

impl fmt::Display for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.into_iter().find_map(|(act, word)| (act == *self).then_some(word));
        formatter.write_str(word.unwrap_or_default())
    }
}

/// A text that is no [`Line`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLine(String);

impl fmt::Display for InvalidLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a worker never says {:?}", self.0)
    }
}

impl std::error::Error for InvalidLine {}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(database) => write!(formatter, "opened {database}"),
            Self::Begin(operation) => write!(formatter, "begin {operation}"),
            Self::Counted { operation, position } => write!(formatter, "counted {operation} {position}"),
            Self::Unknown { operation, slot } => write!(formatter, "unknown {operation} {slot}"),
            Self::Inserted { id, position, session } => write!(formatter, "inserted {id} {position} {session}"),
            Self::Failed { id, reason } => write!(formatter, "failed {id} {}", reason.replace('\n', " ")),
            Self::Taken { id, field, holder } => write!(formatter, "taken {id} {field} {holder}"),
            Self::Won(round) => write!(formatter, "won {round}"),
            Self::Invoked(transaction) => write!(formatter, "invoked {}", json(transaction)?),
            Self::Completed(transaction) => write!(formatter, "completed {}", json(transaction)?),
            Self::Doing(operation) => write!(formatter, "doing {operation}"),
            Self::Done(operation) => write!(formatter, "done {operation}"),
            Self::Written { operation, position } => write!(formatter, "written {operation} {position}"),
            Self::Naming { act, name } => write!(formatter, "naming {act} {name}"),
            Self::Named { act, name, position } => write!(formatter, "named {act} {name} {position}"),
            Self::Removed(objects) => write!(formatter, "removed {objects}"),
            Self::Carried { bytes, upload_ms, read_ms, peak_bytes } => {
                write!(formatter, "carried {bytes} {upload_ms} {read_ms} {peak_bytes}")
            }
            Self::Used { puts, gets } => write!(formatter, "used {puts} {gets}"),
        }
    }
}

fn json(transaction: &Transaction) -> Result<String, fmt::Error> {
    serde_json::to_string(transaction).map_err(|_| fmt::Error)
}

impl FromStr for Line {
    type Err = InvalidLine;

    fn from_str(text: &str) -> Result<Self, InvalidLine> {
        parse(text).ok_or_else(|| InvalidLine(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Line> {
    let (word, rest) = text.split_once(' ')?;
    match word {
        "failed" => {
            let (id, reason) = rest.split_once(' ')?;
            return Some(Line::Failed { id: id.to_owned(), reason: reason.to_owned() });
        }
        "invoked" => return Some(Line::Invoked(serde_json::from_str(rest).ok()?)),
        "completed" => return Some(Line::Completed(serde_json::from_str(rest).ok()?)),
        _ => {}
    }
    let rest: Vec<&str> = rest.split(' ').collect();
    match (word, rest.as_slice()) {
        ("opened", [database]) => Some(Line::Opened((*database).to_owned())),
        ("begin", [operation]) => Some(Line::Begin(operation.parse().ok()?)),
        ("counted", [operation, position]) => {
            Some(Line::Counted { operation: operation.parse().ok()?, position: position.parse().ok()? })
        }
        ("unknown", [operation, slot]) => {
            Some(Line::Unknown { operation: operation.parse().ok()?, slot: slot.parse().ok()? })
        }
        ("inserted", [id, position, session]) => {
            let (id, session) = ((*id).to_owned(), (*session).to_owned());
            Some(Line::Inserted { id, position: position.parse().ok()?, session })
        }
        ("taken", [id, field, holder]) => {
            let (id, field, holder) = ((*id).to_owned(), (*field).to_owned(), (*holder).to_owned());
            Some(Line::Taken { id, field, holder })
        }
        ("won", [round]) => Some(Line::Won(round.parse().ok()?)),
        ("doing", [operation]) => Some(Line::Doing(operation.parse().ok()?)),
        ("done", [operation]) => Some(Line::Done(operation.parse().ok()?)),
        ("written", [operation, position]) => {
            Some(Line::Written { operation: operation.parse().ok()?, position: position.parse().ok()? })
        }
        ("naming", [act, name]) => Some(Line::Naming { act: Act::parse(act)?, name: (*name).to_owned() }),
        ("named", [act, name, position]) => {
            let (act, name) = (Act::parse(act)?, (*name).to_owned());
            Some(Line::Named { act, name, position: position.parse().ok()? })
        }
        ("removed", [objects]) => Some(Line::Removed(objects.parse().ok()?)),
        ("carried", [bytes, upload_ms, read_ms, peak_bytes]) => Some(Line::Carried {
            bytes: bytes.parse().ok()?,
            upload_ms: upload_ms.parse().ok()?,
            read_ms: read_ms.parse().ok()?,
            peak_bytes: peak_bytes.parse().ok()?,
        }),
        ("used", [puts, gets]) => Some(Line::Used { puts: puts.parse().ok()?, gets: gets.parse().ok()? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bucketdb_history::{Op, Outcome};

    use super::*;

    #[test]
    fn lines_print_and_parse() {
        let ops = vec![Op::append("x", 7), Op::Read { key: "y".into(), values: None }];
        let transaction = Transaction { outcome: Outcome::Info, process: 2, start: 10, end: 25, ops, seq: None };
        for line in [
            Line::Opened("00ff".into()),
            Line::Begin(7),
            Line::Counted { operation: 3, position: 12 },
            Line::Unknown { operation: 3, slot: 12 },
            Line::Inserted { id: "a-1".into(), position: 4, session: "0a".into() },
            Line::Failed { id: "a-1".into(), reason: "the store says: no".into() },
            Line::Taken { id: "a/x@y".into(), field: "email".into(), holder: "b/x@y".into() },
            Line::Won(9),
            Line::Doing(4),
            Line::Done(4),
            Line::Written { operation: 4, position: 9 },
            Line::Naming { act: Act::DropBranch, name: "b1".into() },
            Line::Named { act: Act::Snapshot, name: "s1".into(), position: 3 },
            Line::Removed(12),
            Line::Invoked(transaction.clone()),
            Line::Completed(transaction),
            Line::Carried { bytes: 1, upload_ms: 2, read_ms: 3, peak_bytes: 4 },
            Line::Used { puts: 1, gets: 2 },
        ] {
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        let broken = Line::Failed { id: "a".into(), reason: "two\nlines".into() };
        assert_eq!(broken.to_string(), "failed a two lines");
        for bad in ["", "counted", "counted 1", "counted 1 x", "won 1 2", "hello 1", "invoked {}", "naming tree b1"] {
            assert!(bad.parse::<Line>().is_err(), "{bad:?}");
        }
    }
}
