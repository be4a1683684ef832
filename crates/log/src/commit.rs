use crate::{CommitId, LogError, LogTime, Seq};

/// Where and when a proposal was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// The position of the record that holds it.
    pub seq: Seq,
    /// The time in that record.
    pub time: LogTime,
    /// Its id.
    pub id: CommitId,
}

/// Why a proposal was not committed, or is not known to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError<R> {
    /// It is not valid in the state that it met. It was not committed and never will be.
    #[error("refused")]
    Refused(R),
    /// The deadline passed before it was sent, or while others won the position it tried for. It was not committed and
    /// never will be.
    #[error("the commit timed out before it was written; nothing of it will appear")]
    TimedOut,
    /// It was committed, will be, or never will: the deadline passed while its record may still arrive, or the store
    /// contradicts itself about what is in the position.
    #[error(
        "the outcome of commit {id} is unknown: the store gave no clear answer in time; it may appear at position \
         {slot} and nowhere else"
    )]
    OutcomeUnknown {
        /// The id by which it can be recognised.
        id: CommitId,
        /// The only position at which it may appear.
        slot: Seq,
    },
    /// It is larger than a record may be. It was not committed.
    #[error("the batch has {size_bytes} bytes, and at most {limit_bytes} fit one commit")]
    TooLarge {
        /// Its size in bytes.
        size_bytes: usize,
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// The log failed. The proposal was not committed and never will be.
    #[error(transparent)]
    Log(#[from] LogError),
}
