use std::time::Duration;

use bucketdb_env::{Environment, Random};
use bytes::Bytes;

use crate::checkpoint_record::CheckpointRecord;
use crate::housekeeping::HeardTime;
use crate::layout::ObjectKind;
use crate::manifest::Manifest;
use crate::shared::Shared;
use crate::state::LogState;
use crate::stretch::{self, Stretch};
use crate::submission::Work;
use crate::upkeep::{CheckpointRef, Obstacle};
use crate::{
    CommitError, CommitId, Freshness, Layout, Log, LogError, LogTime, Result, Seq, SlotNames, StateMachine, format,
    reads,
};

/// The log's own state at one position, and what was taken out of the state machine there: what a checkpoint is made
/// from.
#[derive(Clone, Debug)]
pub struct Captured<T> {
    /// What was taken out of the state machine.
    pub value: T,
    pub(crate) state: LogState,
}

impl<T> Captured<T> {
    /// The position: the checkpoint covers everything up to it.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.state.seq
    }

    /// The time in the record there.
    #[must_use]
    pub fn time(&self) -> LogTime {
        self.state.time
    }

    /// The checkpoint on which this one is based.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<&CheckpointRef> {
        self.state.upkeep.checkpoint.as_ref()
    }
}

/// What whoever makes a checkpoint has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointContent {
    /// The state at the position that was captured, for [`StateMachine::load`]. It goes into the manifest.
    pub saved: Bytes,
    /// What every state machine has to know of it, for [`StateMachine::rebase`]. It goes into the record.
    pub base: Bytes,
    /// The lowest position that may still be read. It never falls, whatever is said here, and lies behind the covered
    /// position at most.
    pub floor: Seq,
    /// Records below the floor that are needed all the same: they can be read, and are not removed. None of them was given up
    /// before.
    pub spared: Vec<Stretch>,
    /// The new objects that the state refers to, by names from [`Log::new_name`]. Without the manifest.
    pub brings: Vec<String>,
    /// Objects that no position from the floor on needs: they are deleted a grace later. Earlier manifests included: see
    /// [`Log::earlier_checkpoints`].
    pub obsolete: Vec<String>,
}

/// A checkpoint was made; others may have made later ones on top of it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    /// It, or a later one that does not need it any more.
    pub checkpoint: CheckpointRef,
    /// Whether `head` names it now, where the store can have that object. If not, opening takes longer.
    pub is_in_head: bool,
}

/// Why there is no new checkpoint, or none that is known of.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Another one, or a branch, came in between, and there will never be this one. What was written for it is removed by the next
    /// sweep.
    #[error("another checkpoint, or a branch, came in between at position {by}")]
    Superseded {
        /// The position of its record.
        by: Seq,
    },
    /// It was made, and later ones came to take its place before this process could say so: what it brought may be part of
    /// them.
    #[error("the checkpoint at position {seq} was made, and later ones have taken its place")]
    Replaced {
        /// The position of its record.
        seq: Seq,
    },
    /// An object was written so long ago that a sweep may have removed it. Begin anew.
    #[error("object {object} was named before the last sweep, which may have removed it")]
    Swept {
        /// Its full key.
        object: String,
    },
    /// It may or may not come to be: the deadline passed while its record may still arrive.
    #[error("whether the checkpoint is in the log is unknown: it may appear at position {slot} and nowhere else")]
    OutcomeUnknown {
        /// The id of its record's entry.
        id: CommitId,
        /// The only position at which it may appear.
        slot: Seq,
    },
    /// The log failed. There is no such checkpoint and never will be.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// After so long, the store is asked again what time it is, where that matters.
const HEAR_AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

impl<M: StateMachine> Log<M> {
    /// A new name for an object that a later record is to bring. Draw it before anything is written under it: a sweep
    /// spares what is named from its own position on.
    #[must_use]
    pub fn new_name(&self, kind: ObjectKind) -> String {
        Layout::unique_name(kind, self.position(), self.shared.env.random_128())
    }

    /// The newest checkpoint.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<CheckpointRef> {
        self.shared.applied.read().upkeep.checkpoint.clone()
    }

    /// Checkpoints before the newest whose manifests were not said to be obsolete, in order.
    #[must_use]
    pub fn earlier_checkpoints(&self) -> Vec<CheckpointRef> {
        self.shared.applied.read().upkeep.earlier.clone()
    }

    /// Takes out, at the position that is applied now, what a checkpoint is made from. Nothing else happens meanwhile:
    /// `take` must be short, and call nothing of this log.
    ///
    /// # Errors
    /// If the log was found broken.
    pub fn capture<T>(&self, take: impl FnOnce(&mut M, Seq) -> T) -> Result<Captured<T>> {
        self.shared.failure.check()?;
        let mut applied = self.shared.applied.write();
        let seq = applied.seq;
        let value = take(&mut applied.machine, seq);
        Ok(Captured { value, state: LogState::of(self.shared.names, &applied) })
    }

    /// Makes a checkpoint of what was captured, whose objects are written: puts the manifest, adds the record and
    /// replaces `head`: three puts.
    ///
    /// # Errors
    /// [`CheckpointError`] says whether there may be such a checkpoint all the same.
    pub async fn checkpoint<T>(
        &self,
        captured: Captured<T>,
        content: CheckpointContent,
        deadline: Duration,
    ) -> Result<Checkpointed, CheckpointError> {
        let shared = &self.shared;
        if shared.read_only {
            return Err(LogError::ReadOnly.into());
        }
        if let Some(name) = content.brings.iter().find(|name| Layout::parse_unique(name).is_none()) {
            let reason = format!("{name:?} is not the name of an object that a checkpoint can bring");
            return Err(LogError::InvalidOption { option: "brings", reason }.into());
        }
        let Captured { state, .. } = captured;
        let covers = state.seq;
        let based_on = state.upkeep.checkpoint.as_ref().map_or(Seq(0), |checkpoint| checkpoint.seq);
        let database = shared.checksums.database();
        let name = Layout::unique_name(ObjectKind::Manifest, covers, shared.env.random_128());
        let manifest = Manifest { database, state, saved: content.saved }.encode(&name);
        let (head_covers, store_time_ms) = shared.date_of_head().await;
        let (collected, log_begins) = {
            let housekeeping = shared.housekeeping.lock();
            (housekeeping.collected, housekeeping.log_begins)
        };
        let record = CheckpointRecord {
            database,
            covers,
            manifest: name.clone(),
            manifest_hash: format::chain_hash(&manifest),
            based_on,
            floor: content.floor,
            collected,
            log_begins,
            head_covers,
            store_time_ms,
            spared: stretch::union(content.spared),
            brings: content.brings,
            obsolete: content.obsolete,
            base: content.base,
        };
        // What is not valid now never will be: there is no need to write anything for it.
        let obstacle = {
            let applied = shared.applied.read();
            applied.upkeep.check_checkpoint(&record, applied.machine.checkpoints_from()).err()
        };
        if let Some(obstacle) = obstacle {
            return Err(shared.impossible(obstacle).into_checkpoint_error());
        }
        let key = shared.layout.key(&name);
        let create_only = shared.names == SlotNames::Shared;
        reads::put_new(&*shared.store, &*shared.env, &key, &manifest, create_only).await.map_err(LogError::from)?;
        let seq = match self.submit(Work::Checkpoint(Box::new(record)), Freshness::Local, deadline).await {
            Ok(commit) => commit.seq,
            Err(CommitError::Log(error)) => return Err(error.into_checkpoint_error()),
            Err(CommitError::OutcomeUnknown { id, slot }) => return Err(CheckpointError::OutcomeUnknown { id, slot }),
            Err(CommitError::TooLarge { size_bytes, limit_bytes }) => {
                let reason = format!("they make a record of {size_bytes} bytes, and at most {limit_bytes} fit");
                return Err(LogError::InvalidOption { option: "brings, obsolete and base", reason }.into());
            }
            Err(CommitError::TimedOut | CommitError::Refused(_)) => {
                return Err(self.unsettled(self.position().next()).into());
            }
        };
        let checkpoint = {
            let applied = shared.applied.read();
            applied.upkeep.checkpoints().find(|checkpoint| checkpoint.seq == seq).cloned()
        };
        let Some(checkpoint) = checkpoint else {
            // Others have gone far beyond it meanwhile.
            return Err(CheckpointError::Replaced { seq });
        };
        tracing::info!(%seq, %covers, manifest = name, "made a checkpoint");
        let mut is_in_head = false;
        if shared.has_head() {
            match shared.advance_head(&checkpoint, Some(&manifest)).await {
                Ok(()) => is_in_head = true,
                Err(error) => tracing::warn!(%error, "head could not be replaced: opening takes longer"),
            }
        }
        Ok(Checkpointed { checkpoint, is_in_head })
    }
}

impl<M: StateMachine> Log<M> {
    /// A time that lies behind `time_ms`, and behind the store's clock too, where that tells the time: as this process heard
    /// it last, which takes a request only if that is more than ten minutes ago. In milliseconds since 1970; 0 if the store
    /// does not say now.
    pub async fn settled_time_ms(&self, time_ms: u64) -> u64 {
        if !self.shared.store.capabilities().server_time {
            return time_ms;
        }
        time_ms.min(self.shared.heard_time().await.map_or(0, |heard| heard.store_ms))
    }

    /// How far this machine's wall clock is ahead of the store's, in milliseconds, where that tells the time. Takes a request
    /// if this process never heard it, or not for ten minutes.
    pub async fn clock_ahead_ms(&self) -> Option<i64> {
        let heard = self.shared.heard_time().await?;
        let env = &self.shared.env;
        Some(heard.ahead_ms(env.wall_clock().0, env.monotonic()))
    }
}

impl<M: StateMachine> Shared<M> {
    /// A checkpoint that `head` is known to cover, and a moment behind that by the store's clock, where it tells it and
    /// somebody needs to know.
    async fn date_of_head(&self) -> (Seq, Option<u64>) {
        let head_covers = self.housekeeping.lock().head_covers;
        let undated = {
            let applied = self.applied.read();
            applied.upkeep.garbage.iter().any(|mark| mark.covered_ms.is_none() && mark.seq <= head_covers)
        };
        if !undated {
            return (head_covers, None);
        }
        (head_covers, self.store_time_ms().await)
    }

    /// What the store's clock said when this process heard it last, which is now if that is long ago.
    async fn heard_time(&self) -> Option<HeardTime> {
        let heard = self.housekeeping.lock().heard;
        let is_young = |heard: &HeardTime| self.env.monotonic().saturating_sub(heard.monotonic) < HEAR_AGAIN_AFTER;
        if heard.as_ref().is_some_and(is_young) {
            return heard;
        }
        self.store_time_ms().await;
        // What was heard before is better than nothing.
        self.housekeeping.lock().heard
    }

    /// The store's clock in Unix milliseconds, where it tells it.
    pub(crate) async fn store_time_ms(&self) -> Option<u64> {
        let time_ms = reads::store_time_ms(&*self.store).await?;
        self.housekeeping.lock().heard = Some(HeardTime { store_ms: time_ms, monotonic: self.env.monotonic() });
        Some(time_ms)
    }

    pub(crate) fn impossible(&self, obstacle: Obstacle) -> LogError {
        match obstacle {
            Obstacle::Superseded(by) => LogError::Superseded { by },
            Obstacle::Swept(name) => LogError::Swept { object: self.object(&name) },
            Obstacle::IngestEnded(seq) => LogError::IngestEnded { seq },
        }
    }
}

impl LogError {
    fn into_checkpoint_error(self) -> CheckpointError {
        match self {
            Self::Superseded { by } => CheckpointError::Superseded { by },
            Self::Swept { object } => CheckpointError::Swept { object },
            error => CheckpointError::Log(error),
        }
    }
}
