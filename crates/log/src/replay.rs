use std::sync::Arc;

use bytes::Bytes;

use crate::branch::BranchRecord;
use crate::checkpoint_record::CheckpointRecord;
use crate::codec::Malformed;
use crate::format;
use crate::ingest::IngestBegin;
use crate::planted::{PlantedBug, is_planted};
use crate::recent::Recent;
use crate::shared::{Applied, Shared};
use crate::tombstone::DropRecord;
use crate::upkeep::CheckpointRef;
use crate::{ChainHash, LogError, Record, RecordKind, Result, Seq, SharedOptions, StateMachine};

/// A record as it was read from an object.
pub(crate) struct Stored {
    pub(crate) record: Record,
    /// The hash of the object's bytes.
    pub(crate) hash: ChainHash,
    /// The object's name, relative to the database.
    pub(crate) name: String,
    /// The object's bytes.
    pub(crate) bytes: Bytes,
}

/// What is known of a record after it was applied or passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is part of the chain that the state was made from.
    InChain,
    /// The state went past its position long ago.
    Unknown,
}

impl<M: StateMachine> Shared<M> {
    /// Reads the object `name` as the record at `seq`.
    pub(crate) fn decode(&self, seq: Seq, name: &str, bytes: &Bytes) -> Result<Stored> {
        self.source().decode(seq, name, bytes, &self.checksums).map(|(stored, _)| stored)
    }

    /// Brings the state to the position of `stored`, which must be the next one. What is applied already is passed
    /// over, after checking that it is the same.
    pub(crate) fn apply(&self, stored: Stored) -> Result<Place> {
        let outcome = self.try_apply(stored);
        if let Err(error) = &outcome {
            self.failure.note(error);
        }
        outcome
    }

    /// The hash of the record at a position that was applied, while that is known.
    pub(crate) fn hash_at(&self, seq: Seq) -> Option<ChainHash> {
        let applied = self.applied.read();
        if seq > applied.seq { None } else { known_hash(&applied, &self.recent.lock(), seq) }
    }

    fn try_apply(&self, stored: Stored) -> Result<Place> {
        let Stored { record, hash, name, bytes } = stored;
        let seq = record.seq;
        let mut applied = self.applied.write();
        if seq <= applied.seq {
            let Some(known) = known_hash(&applied, &self.recent.lock(), seq) else { return Ok(Place::Unknown) };
            let same = hash == known || is_planted(PlantedBug::DropChainCheck);
            if is_planted(PlantedBug::ApplyTwice) && record.kind == RecordKind::Transactions {
                let _ = applied.machine.apply(&record);
            }
            return if same { Ok(Place::InChain) } else { Err(LogError::BrokenChain { object: self.object(&name) }) };
        }
        if seq != applied.seq.next() {
            let missing = crate::Layout::slot_name(applied.seq.next());
            let detail = format!("there is a record at position {seq} behind it");
            return Err(LogError::Missing { object: self.object(&missing), detail });
        }
        if record.previous != applied.hash && !is_planted(PlantedBug::DropChainCheck) {
            return Err(LogError::BrokenChain { object: self.object(&name) });
        }
        self.take_in(&mut applied, &record, hash, &name)?;
        applied.seq = seq;
        applied.hash = hash;
        applied.time = applied.time.max(record.time);
        applied.sessions.apply(&record);
        applied.turns.apply(&record);
        applied.tail.push(seq, bytes.len() as u64);
        if matches!(record.kind, RecordKind::Checkpoint | RecordKind::Branch)
            && let Some(covers) = applied.upkeep.checkpoint.as_ref().map(|checkpoint| checkpoint.covers)
        {
            applied.tail.cover(covers);
        }
        applied.last_bytes = if bytes.len() <= format::MAX_CARRIED_BYTES { bytes } else { Bytes::new() };
        applied.since = self.env.monotonic();
        applied.name = name;
        if record.session == applied.session {
            applied.last_of_session = Some(hash);
        }
        self.recent.lock().push(Arc::new(record));
        drop(applied);
        self.position.send_if_modified(|position| {
            let grew = seq > *position;
            *position = seq.max(*position);
            grew
        });
        Ok(Place::InChain)
    }
}

impl<M: StateMachine> Shared<M> {
    /// What a record, the next one, means for the state beside the place in the chain.
    fn take_in(&self, applied: &mut Applied<M>, record: &Record, hash: ChainHash, name: &str) -> Result<()> {
        let seq = record.seq;
        let damaged =
            |malformed: Malformed| LogError::Damaged { object: self.object(name), detail: malformed.to_string() };
        match record.kind {
            RecordKind::Transactions | RecordKind::Schema => applied.machine.apply(record).map_err(damaged)?,
            RecordKind::Options => applied.options = SharedOptions::decode(record.payload()).map_err(damaged)?,
            RecordKind::Floor => {
                let floor = crate::floor::decode(record.payload()).map_err(damaged)?;
                // It never falls, and never passes the record that raises it: a log keeps its newest record.
                applied.floor = applied.floor.max(floor.min(seq));
            }
            RecordKind::Halt if self.read_only => {
                tracing::warn!(%seq, "the log was stopped here; reading goes on because it was opened read-only");
            }
            RecordKind::Halt => {
                let reason = String::from_utf8_lossy(&record.payload()).into_owned();
                return Err(LogError::Halted { seq, object: self.object(name), reason });
            }
            RecordKind::Drop => {
                DropRecord::decode(record.payload()).map_err(damaged)?;
                return Err(self.dropped(seq));
            }
            RecordKind::Genesis => return Err(damaged(Malformed("it is a first record in a later position"))),
            // A branch may begin with an earlier one than its parent had at the fork.
            RecordKind::Checkpoint if seq < applied.begun_at => {}
            RecordKind::Branch => {
                let content = BranchRecord::decode(record.payload()).map_err(damaged)?;
                let covers = content.manifest.as_ref().map_or(Seq(0), |(covers, ..)| *covers);
                if covers >= seq || content.database != self.checksums.database() {
                    return Err(damaged(Malformed("it is a branch that no correct writer makes here")));
                }
                applied.machine.begin_branch(seq);
                applied.options.generation = content.generation;
                applied.floor = applied.floor.max(covers.next());
                let checkpoint = content.manifest.map(|(covers, manifest, manifest_hash)| CheckpointRef {
                    seq,
                    hash,
                    covers,
                    manifest,
                    manifest_hash,
                });
                applied.upkeep.begin_branch(seq, checkpoint);
            }
            RecordKind::Checkpoint => {
                let content = CheckpointRecord::decode(record.payload()).map_err(damaged)?;
                let is_impossible = content.covers >= seq || content.database != self.checksums.database();
                let is_possible = applied.upkeep.check_checkpoint(&content, applied.machine.checkpoints_from()).is_ok();
                if is_impossible || !is_possible {
                    return Err(damaged(Malformed("it is a checkpoint that no correct writer makes here")));
                }
                applied.machine.rebase(content.covers, content.base.clone()).map_err(damaged)?;
                applied.floor = applied.floor.max(content.floor.min(content.covers.next()));
                let (floor, collected) = (applied.floor, content.collected);
                applied.upkeep.checkpoint(seq, hash, record.time, floor, content);
                let mut housekeeping = self.housekeeping.lock();
                housekeeping.collected = housekeeping.collected.max(collected);
                housekeeping.saw(seq, self.env.monotonic());
            }
            RecordKind::Sweep => {
                let bound = crate::floor::decode(record.payload()).map_err(damaged)?;
                let grace = applied.options.grace;
                applied.upkeep.sweep(bound.min(seq), record.time, grace);
            }
            RecordKind::IngestBegin => {
                let begin = IngestBegin::decode(record.payload()).map_err(damaged)?;
                if applied.upkeep.check_lasts(begin.replaces).is_err() {
                    return Err(damaged(Malformed("it goes on with an ingest that had ended")));
                }
                applied.upkeep.begin_ingest(seq, record.time, begin);
            }
            RecordKind::Ingest => {
                let ingested = record.ingest().map_err(damaged)?;
                if applied.upkeep.check_brought(&ingested.brings).is_err() {
                    return Err(damaged(Malformed("it brings an object that a sweep may have removed")));
                }
                if !ingested.is_end() {
                    applied.machine.apply(record).map_err(damaged)?;
                }
                applied.upkeep.ingest(seq, ingested.begun.unwrap_or_default(), ingested.brings);
            }
        }
        Ok(())
    }
}

fn known_hash<M>(applied: &Applied<M>, recent: &Recent, seq: Seq) -> Option<ChainHash> {
    if seq == applied.seq { Some(applied.hash) } else { recent.get(seq.next()).map(|behind| behind.previous) }
}
