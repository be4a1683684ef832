//! What a database holds at one moment, by the names of its objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use bucketdb_documents::{BlobClaim, ClaimRow, Documents, KeyRange, TableId};
use bucketdb_log::{ChainHash, LogError, LogTime, Seq};
use bucketdb_lsm::Tier;

use crate::database::Inner;
use crate::origin::View;
use crate::row_scan::RowScan;
use crate::{Error, Result};

/// A moment, and all objects that it takes to have the database as it was then, with the past that it kept.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seq: Seq,
    pub(super) hash: ChainHash,
    pub(super) time: LogTime,
    pub(super) generation: u64,
    pub(super) first_to_replay: Seq,
    /// Each once, those first that are removed first.
    pub(super) names: Vec<String>,
}

/// What the state machine says.
struct Runs {
    /// Of the last checkpoint, and bulk-loaded behind it.
    present: BTreeSet<String>,
    /// All that the last checkpoint needs for itself and for the past, manifests included.
    all: Vec<String>,
    has_blobs: bool,
    /// Where the database begins, as long as there is no checkpoint.
    genesis: Seq,
}

fn runs(documents: &Documents) -> Runs {
    let loaded = documents.ingests().flat_map(|(_, tiers)| tiers).flat_map(Tier::runs);
    let loaded = loaded.map(|run| run.meta().name.to_string());
    Runs {
        present: documents.base().tree.runs().map(|run| run.meta().name.to_string()).chain(loaded).collect(),
        all: documents.base().objects().collect(),
        // Behind another one that was dropped, there is nothing up to there.
        genesis: documents.base().covers.max(Seq::FIRST),
        has_blobs: !documents.stats(TableId::BLOBS).is_empty(),
    }
}

impl Inner {
    /// What the database holds at a position that it has passed a moment ago; `None` if something else than writes came
    /// behind it: then what the log itself held there is not known any more.
    pub(super) async fn held_at(self: &Arc<Self>, seq: Option<Seq>) -> Result<Option<Held>> {
        let captured = self.log.capture(|documents, _| runs(documents))?;
        let seq = seq.unwrap_or(captured.seq());
        if !self.log.is_unchanged_between(seq, captured.seq()).await? {
            return Ok(None);
        }
        let Some(hash) = self.log.hash_of(seq).await? else { return Ok(None) };
        let time = self.existing_record(seq).await?.time;
        let Runs { present, all, has_blobs, genesis } = &captured.value;
        let mut names = self.log.record_names(&captured.kept_records(*genesis, seq)).await?;
        names.extend(captured.last_checkpoint().map(|checkpoint| checkpoint.manifest.clone()));
        names.extend(all.iter().filter(|name| !present.contains(*name)).cloned());
        names.extend(present.iter().cloned());
        if *has_blobs {
            names.extend(self.blobs_at(seq).await?);
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let (generation, first_to_replay) = (captured.generation(), captured.first_to_replay(*genesis));
        Ok(Some(Held { seq, hash, time, generation, first_to_replay, names }))
    }

    /// The blobs whose objects are there at a position: those that documents refer to, and those that are released and not
    /// given up.
    async fn blobs_at(self: &Arc<Self>, seq: Seq) -> Result<Vec<String>> {
        let moment = self.moment_at(seq).await?;
        let scan = |range: KeyRange| RowScan::new(View { moment: moment.clone(), transaction: None }, range);
        let mut names = Vec::new();
        let mut claims = scan(ClaimRow::claims())?;
        while let Some(row) = claims.next().await? {
            let claim = BlobClaim::decode(row.row).map_err(|malformed| self.damaged(seq, malformed))?;
            if let Some(ClaimRow::Claim(name)) = ClaimRow::of_key(&row.key).filter(|_| !claim.is_released) {
                names.push(name);
            }
        }
        let mut released = scan(ClaimRow::released())?;
        while let Some(row) = released.next().await? {
            if let Some(ClaimRow::Released(name)) = ClaimRow::of_key(&row.key) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// Whether a moment was given up while somebody looked at it.
pub(super) fn is_given_up(error: &Error) -> bool {
    matches!(error, Error::SnapshotExpired { .. } | Error::Log(LogError::BelowFloor { .. } | LogError::Missing { .. }))
}
