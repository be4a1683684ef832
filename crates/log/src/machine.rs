use bytes::Bytes;

use crate::codec::Malformed;
use crate::{DatabaseId, Record, RecordKind, Seq};

/// What the records of a log add up to.
///
/// Every node replays the same records into the same state, so both methods must be deterministic and total: no clock,
/// no chance, no error that depends on anything but the state and the argument.
pub trait StateMachine: Send + Sync + 'static {
    /// A change that somebody wants to commit.
    type Proposal: Send + Sync + 'static;

    /// Why a proposal is not valid in a state.
    type Refusal: Send + 'static;

    /// What the members of a group would change, so that later members are validated against earlier ones.
    type Group: Default + Send;

    /// Whether it saves its state in checkpoints. Only then can the tail be held to its hard limit.
    const MAKES_CHECKPOINTS: bool = false;

    /// Whether `proposal` is valid now, behind what `group` holds already. If so, `group` takes in its effects.
    ///
    /// # Errors
    /// The refusal. `group` is unchanged then.
    fn validate(&self, group: &mut Self::Group, proposal: &Self::Proposal) -> Result<Validated, Self::Refusal>;

    /// Takes in a record of kind [`RecordKind::Transactions`], [`RecordKind::Schema`] or [`RecordKind::Ingest`]. No other
    /// kind comes here, nor an ingest that was given up.
    ///
    /// # Errors
    /// If a payload does not decode; the state is as before then.
    fn apply(&mut self, record: &Record) -> Result<(), Malformed>;

    /// Learns whose state it is. Called once, before anything else. By default it does not care.
    fn begin(&mut self, database: DatabaseId) {
        let _ = database;
    }

    /// Learns, in its initial state, that its log begins with the record at `genesis` and not with the first: another
    /// database was dropped there before (H17). By default it does not care.
    fn begin_behind(&mut self, genesis: Seq) {
        let _ = genesis;
    }

    /// Becomes, from its initial state, the state at `covers` that a checkpoint saved
    /// ([`CheckpointContent::saved`](crate::CheckpointContent)). By default nothing can be saved.
    ///
    /// # Errors
    /// If the bytes do not decode. The log is not opened then.
    fn load(&mut self, covers: Seq, saved: Bytes) -> Result<(), Malformed> {
        let _ = (covers, saved);
        Err(Malformed("this state machine makes no checkpoints"))
    }

    /// Learns of a checkpoint in the log: the state up to `covers` is in the objects that `base` describes
    /// ([`CheckpointContent::base`](crate::CheckpointContent)). What the state says does not change; what is kept in
    /// memory may. By default nothing does.
    ///
    /// # Errors
    /// If the bytes do not decode; the state is as before then.
    fn rebase(&mut self, covers: Seq, base: Bytes) -> Result<(), Malformed> {
        let _ = (covers, base);
        Ok(())
    }

    /// Learns that the log goes on from here, the record at `seq`, as that of a branch: what was kept for others than the present is
    /// the parent's alone. By default nothing is kept.
    fn begin_branch(&mut self, seq: Seq) {
        let _ = seq;
    }

    /// The position before which no checkpoint may be made: one that was being made there does not know of a branch, and would
    /// give up what that begins with. By default there is none.
    fn checkpoints_from(&self) -> Seq {
        Seq(0)
    }

    /// The branches that there are of this database. By default none.
    fn branches(&self) -> Vec<String> {
        Vec::new()
    }

    /// Another machine in the initial state, to [load](Self::load) a checkpoint into because this one fell behind. It may
    /// take along what is not part of the replicated state. `None`, the default, leaves the log with
    /// [`LogError::FellBehind`](crate::LogError::FellBehind).
    fn fresh(&self) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
}

/// A proposal that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// What kind of record it belongs in. Only transactions share a record.
    pub kind: RecordKind,
    /// What the record will hold of it.
    pub payload: Bytes,
    /// The objects that it makes part of the log, by their names relative to the database. Of a
    /// [`RecordKind::Ingest`], the log knows them from there on; of a [`RecordKind::Transactions`], it only sees that no
    /// sweep may have removed them, and the state machine knows them.
    pub brings: Vec<String>,
    /// The position of the [ingest](crate::IngestTicket) that it ends. Only for [`RecordKind::Ingest`].
    pub ends: Option<Seq>,
}

impl Validated {
    /// A proposal that brings no objects.
    #[must_use]
    pub fn new(kind: RecordKind, payload: Bytes) -> Self {
        Self { kind, payload, brings: Vec::new(), ends: None }
    }
}
