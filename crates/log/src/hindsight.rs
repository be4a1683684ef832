use crate::checkpoint_record::CheckpointRecord;
use crate::upkeep::CheckpointRef;
use crate::{Log, LogError, Record, RecordKind, Result, Seq, StateMachine};

/// What a record said, whether or not its position was given up since.
#[derive(Clone, Debug)]
pub struct Hindsight {
    /// The record.
    pub record: Record,
    /// The checkpoint that it tells of, and the floor from then on.
    pub checkpoint: Option<(CheckpointRef, Seq)>,
}

impl<M: StateMachine> Log<M> {
    /// Reads a record that was applied, above the floor or below it: for simulations whose store forgets nothing.
    ///
    /// # Errors
    /// If the record is not there, or damaged.
    pub async fn hindsight(&self, seq: Seq) -> Result<Hindsight> {
        let stored = self.shared.fetch_own_object(seq).await?;
        let damaged = |error: crate::codec::Malformed| LogError::Damaged {
            object: self.shared.object(&stored.name),
            detail: error.to_string(),
        };
        let checkpoint = if stored.record.kind == RecordKind::Checkpoint {
            let content = CheckpointRecord::decode(stored.record.payload()).map_err(damaged)?;
            let (covers, manifest, manifest_hash) = (content.covers, content.manifest, content.manifest_hash);
            Some((CheckpointRef { seq, hash: stored.hash, covers, manifest, manifest_hash }, content.floor))
        } else {
            None
        };
        Ok(Hindsight { record: stored.record, checkpoint })
    }
}
