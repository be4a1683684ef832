//! Bugs that can be planted on purpose, so that the simulator proves that it would find them.
//!
//! Without the feature `simulation`, nothing can be planted and the questions are answered at compile time.

/// A mistake that an implementation of this protocol might make. Each is planted where it would really be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PlantedBug {
    /// A commit is acknowledged when its record is sent, not when the store has it.
    AnswerBeforePut,
    /// What a transaction read is not compared with what was written since.
    SkipValidation,
    /// An unclear answer is taken for a lost slot: the record is written to the next one.
    NextSlotWhileOpen,
    /// "It exists already" is reported as a failure, without looking whose record it is.
    TakenIsFailure,
    /// The wall clock alone says how much time has passed.
    TrustClock,
    /// The number of a commit whose outcome was unknown is given to another one.
    ReuseCommitId,
    /// Point reads are validated, ranges are not.
    MissRangeRead,
    /// A record is applied whatever record it was written behind.
    DropChainCheck,
    /// A record of one's own that is read back is applied although it was applied before.
    ApplyTwice,
    /// The answer "it exists already" counts as proof that the end of the log was seen.
    TakenRenewsWindow,
    /// H3: A slot that answers "not found" or takes a record is believed however long ago it was known to be empty.
    NoWindow,
    /// H7: The window counts from the last repetition of a put, not from the first.
    RepeatRenewsWindow,
    /// H6: A record is taken for one's own because session and counter are, whatever its bytes.
    SessionDecidesHolder,
    /// H9: A commit whose caller was told "unknown" is written to another slot.
    MoveAbandoned,
    /// H9: What a session table has forgotten is reported as not committed.
    ForgottenIsNotCommitted,
    /// H10: A refusal that rests on a member of the same group is given before that member is in the log.
    EarlyRefusal,
    /// H21: "Forbidden" is believed although an earlier attempt had an unclear answer.
    ForbiddenIsFinal,
    /// H4: A listing is taken for the log from its first record on, not for the run that ends with the greatest.
    ListingWithoutRun,
    /// H22: A record below the floor is read as if it were part of the log.
    ReadBelowFloor,
    /// H2, H23: What a checkpoint made superfluous is deleted at once.
    DeleteAtOnce,
    /// H1: Objects that a sweep may have removed may be brought by later records.
    SweepFirst,
    /// H4: Records that `head` covers and that are not there are taken for the end of the log.
    HeadWithoutCheck,
    /// A checkpoint may follow another than the one that it is based on.
    AcceptStaleCheckpoint,
    /// H19: The tail may grow without end.
    NoTailLimit,
    /// H20: What to delete is due by the difference of two machines' wall clocks.
    DeadlineByWallClock,
    /// H2: All records that a checkpoint covers are deleted, also those that may still be read.
    FloorIgnored,
    /// H11: What was bulk-loaded does not count as written: who read before may commit.
    LoadUnnoticed,
    /// What an index in the last checkpoint says counts also for rows that were written since (H12).
    StaleIndexEntry,
    /// An index is used before all documents are in it (H14).
    UnbuiltIndex,
    /// Values of a unique index are not looked for in what others wrote meanwhile.
    UniqueUnchecked,
    /// H13: Documents that have ended are left out for good by the clock of whoever merges.
    EndedByLocalClock,
    /// H13: Whether a document has ended is judged by a clock however wrong.
    WriteByWrongClock,
    /// What a snapshot with a name needs is removed as if it had none.
    NameForgotten,
    /// H11: What was bulk-loaded lies below all that was written since the last checkpoint, in whatever order.
    LoadBelowAll,
    /// H15: A blob that one document has may become another one's.
    BlobShared,
    /// H15: A blob is released although its document came to refer to it again meanwhile.
    BlobReleasedUnseen,
    /// H16: A checkpoint that was being made when a branch came to be does not look for what that needs.
    BranchUnnoticed,
    /// H16: What a branch shares with its parent is removed there as if there was no branch.
    BranchForgotten,
    /// H16: A branch removes what it does not need any more, also of its parent.
    BranchRemovesParents,
    /// A blob is removed once no document refers to it any more, whatever is kept of the past.
    BlobForgotten,
    /// H17: The record that says that a database was dropped goes with the rest.
    DropForgotten,
    /// H3: The log of a database that was dropped is removed at once.
    DropAtOnce,
    /// Nothing keeps what a backup copies.
    BackupUnpinned,
    /// A restore begins with the record that makes its place a database.
    RestoreUngated,
}

#[cfg(feature = "simulation")]
std::thread_local! {
    static PLANTED: std::cell::Cell<Option<PlantedBug>> = const { std::cell::Cell::new(None) };
    static REMEMBERED: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// Lets everything that runs on this thread remember sessions for so many positions only; `None` is the real number.
///
/// All that share a log must agree: it is part of what the log adds up to.
#[cfg(feature = "simulation")]
pub fn set_remembered_positions(positions: Option<u64>) {
    REMEMBERED.set(positions);
}

#[cfg(feature = "simulation")]
pub(crate) fn remembered_positions(usual: u64) -> u64 {
    REMEMBERED.get().unwrap_or(usual)
}

#[cfg(not(feature = "simulation"))]
pub(crate) const fn remembered_positions(usual: u64) -> u64 {
    usual
}

/// Plants a bug in everything that runs on this thread from now on, instead of the one before.
#[cfg(feature = "simulation")]
pub fn plant(bug: Option<PlantedBug>) {
    PLANTED.set(bug);
}

/// Whether `bug` was planted.
#[cfg(feature = "simulation")]
#[must_use]
pub fn is_planted(bug: PlantedBug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether `bug` was planted: no.
#[cfg(not(feature = "simulation"))]
#[must_use]
pub const fn is_planted(_bug: PlantedBug) -> bool {
    false
}
