use std::sync::{Arc, OnceLock};

use bucketdb_driver::{DriverError, ErrorKind};

use crate::format::FormatError;
use crate::{InvalidPrefix, Seq};

/// The result of working with a log.
pub type Result<T, E = LogError> = std::result::Result<T, E>;

/// Why a log cannot be opened, read or written. Cheap to clone: one failure may answer many callers.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The store failed or refused.
    #[error(transparent)]
    Driver(DriverError),
    /// An object is not as it was written.
    #[error("object {object} is damaged: {detail}")]
    Damaged {
        /// Its full key.
        object: String,
        /// What is wrong with it.
        detail: String,
    },
    /// An object that must exist does not.
    #[error("object {object} is missing: {detail}")]
    Missing {
        /// Its full key.
        object: String,
        /// Why it must exist.
        detail: String,
    },
    /// A record does not follow the one before it: the store let somebody overwrite or lose a record.
    #[error(
        "object {object} does not continue the log: its predecessor was overwritten, lost or rolled back; the store \
         does not keep its promises, and nothing is read or written any more"
    )]
    BrokenChain {
        /// The full key of the record that does not fit.
        object: String,
    },
    /// Two records in one position, on a store without create-only.
    #[error(
        "position {seq} of the log was written twice, as {first} and as {second}: two processes wrote to a store that \
         cannot keep them apart; stop all of them, keep the object that holds what was acknowledged and delete the other"
    )]
    Forked {
        /// The position.
        seq: Seq,
        /// The full key of one of the two.
        first: String,
        /// The full key of the other.
        second: String,
    },
    /// A node stopped the log because it found it broken.
    #[error(
        "the log was stopped by object {object}: {reason}; open it read-only to get its contents out, or delete that \
         object once the cause is mended"
    )]
    Halted {
        /// The position of the record that says so.
        seq: Seq,
        /// The full key of that record, which is the last one of the log.
        object: String,
        /// What that node found.
        reason: String,
    },
    /// Written by a newer version of this library.
    #[error("object {object} needs a newer version of BucketDB: {detail}")]
    NeedsNewerVersion {
        /// Its full key.
        object: String,
        /// What is newer.
        detail: String,
    },
    /// What was asked for lies before the oldest position that can still be read.
    #[error("position {seq} of the log was given up: the oldest that can still be read is {floor}")]
    BelowFloor {
        /// The position that was asked for.
        seq: Seq,
        /// The oldest position that can be read.
        floor: Seq,
    },
    /// This process was stopped for so long that records it had not read yet were removed. Open the database again.
    #[error(
        "this process stood still at position {position} while the log went on, and now it begins at {first}: open the \
         database again"
    )]
    FellBehind {
        /// The last position that was read.
        position: Seq,
        /// The first one that is left.
        first: Seq,
    },
    /// The log has grown for too long without a checkpoint. Somebody has to make one; then the same call will succeed.
    #[error(
        "the log has grown by {records} records, {bytes} bytes, since the newest checkpoint: nothing is written until a \
         node has made another one"
    )]
    TailFull {
        /// How many records no checkpoint covers.
        records: u64,
        /// Their size in bytes.
        bytes: u64,
    },
    /// A branch was being created, and is not yet, or whoever did so came to grief. Drop it, and create it again.
    #[error("the branch at {place} was begun and is not finished: drop it and create it again")]
    UnfinishedBranch {
        /// Where it is.
        place: String,
    },
    /// Another checkpoint, or a branch, came in between. What was written for this one is removed by the next sweep.
    #[error("another checkpoint, or a branch, came in between at position {by}")]
    Superseded {
        /// The position of its record.
        by: Seq,
    },
    /// An object was written so long ago that a sweep may have removed it: it cannot become part of the log any more.
    #[error("object {object} was named before the last sweep, which may have removed it: write it anew")]
    Swept {
        /// Its full key.
        object: String,
    },
    /// An ingest is over: it was ended, it lapsed because nothing was heard of it for ten graces, or somebody else took it
    /// over.
    #[error(
        "the bulk load that went on at position {seq} is over: it was given up, lapsed, or somebody else goes on with it"
    )]
    IngestEnded {
        /// Where it was begun, or gone on with last.
        seq: Seq,
    },
    /// The database was dropped. Whoever opens it anew, and may create one, creates another one in its place.
    #[error("the database at {place} prefix {prefix:?} was dropped, at position {seq} of its log")]
    Dropped {
        /// The store.
        place: String,
        /// The prefix.
        prefix: String,
        /// The position of the record that says so.
        seq: Seq,
    },
    /// There is no database at this prefix, and none was to be created.
    #[error("there is no database at {place}")]
    NoDatabase {
        /// Store and prefix.
        place: String,
    },
    /// The prefix lies inside another database, or contains one.
    #[error("prefix {prefix:?} cannot hold a database: it {relation} the database at prefix {other:?}")]
    Nested {
        /// The prefix that was asked for.
        prefix: String,
        /// "lies inside" or "contains".
        relation: &'static str,
        /// The prefix of the other database.
        other: String,
    },
    /// The text cannot be a prefix.
    #[error(transparent)]
    InvalidPrefix(#[from] InvalidPrefix),
    /// An option has a value that cannot be, or that contradicts the database.
    #[error("invalid option {option}: {reason}")]
    InvalidOption {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The store does not honour what the database needs.
    #[error("the store {place} is not fit for this database: {reason}")]
    UnfitStore {
        /// The store.
        place: String,
        /// What was tried, and what it did.
        reason: String,
    },
    /// The database was opened read-only.
    #[error("the database was opened read-only")]
    ReadOnly,
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
}

/// What a driver finds damaged is an object that is not as it was written, whoever found it out.
impl From<DriverError> for LogError {
    fn from(error: DriverError) -> Self {
        match error.kind() {
            ErrorKind::Damaged => {
                Self::Damaged { object: error.subject().to_owned(), detail: error.detail().to_owned() }
            }
            _ => Self::Driver(error),
        }
    }
}

impl LogError {
    /// Whether the same call may succeed later without anyone's doing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Driver(error) => error.is_transient(),
            Self::TailFull { .. } => true,
            _ => false,
        }
    }

    /// Whether the log itself is broken or out of reach, so that an open handle must not answer from it any more.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::BrokenChain { .. }
                | Self::Forked { .. }
                | Self::Halted { .. }
                | Self::FellBehind { .. }
                | Self::Dropped { .. }
        )
    }

    pub(crate) fn of_format(object: impl Into<String>, error: FormatError) -> Self {
        let object = object.into();
        match error {
            FormatError::Damaged(detail) => Self::Damaged { object, detail: detail.to_owned() },
            newer @ FormatError::Newer { .. } => Self::NeedsNewerVersion { object, detail: newer.to_string() },
        }
    }
}

/// Keeps the error that made an open log unusable. Every read asks for it, so asking takes no lock.
#[derive(Debug, Default)]
pub(crate) struct Failure(OnceLock<Arc<LogError>>);

impl Failure {
    /// # Errors
    /// The fatal error, if there was one.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.get() {
            None => Ok(()),
            Some(error) => Err(LogError::clone(error)),
        }
    }

    /// Remembers `error` if it is fatal and the first one.
    pub(crate) fn note(&self, error: &LogError) {
        if error.is_fatal() {
            self.stop(error);
        }
    }

    /// Remembers `error` if it is the first one, for a log that cannot go on after it.
    pub(crate) fn stop(&self, error: &LogError) {
        self.0.get_or_init(|| Arc::new(error.clone()));
    }
}
