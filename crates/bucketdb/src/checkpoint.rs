use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bucketdb_documents::{Base, Catalogue, Documents, Retained, TableId};
use bucketdb_log::{Captured, CheckpointContent, CheckpointError, CheckpointRef, Seq};
use bucketdb_lsm::{Built, Merging, Plan, Tier, Tree, Work, plan, plan_full};
use bucketdb_runs::RunOptions;

use crate::database::Inner;
use crate::flush::WrittenRows;
use crate::moment::{Moment, Pin};
use crate::{Error, Result};

/// Of the time for which the past is kept, so many earlier checkpoints are kept, about; positions between them are made
/// from the log.
const KEPT_CHECKPOINTS: u64 = 32;

/// What a round of maintenance is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The state is to be read from runs, of which there are to be few.
    Keep,
    /// One tier of runs is to hold everything.
    Compact,
}

/// What a round of maintenance came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// The position that its checkpoint covers; `None` if somebody else's came first.
    pub(crate) covers: Option<Seq>,
    /// Whether there is more to do.
    pub(crate) goes_on: bool,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
}

/// What is taken from the state at one moment.
struct Present {
    base: Arc<Base>,
    ingests: Vec<(Seq, Vec<Tier>)>,
    tables: Vec<TableId>,
    overlay_bytes: usize,
    catalogue: Catalogue,
}

impl Inner {
    /// Writes what is in memory, and as much of merges as one piece allows, and makes a checkpoint of it. Nobody waits
    /// for it, neither readers nor writers.
    pub(crate) async fn checkpoint(self: &Arc<Self>, goal: Goal) -> Result<Round> {
        let _alone = self.maintenance.running.lock().await;
        let captured = self.log.capture(|documents, seq| {
            documents.pin(seq);
            Present {
                base: documents.base().clone(),
                ingests: documents.ingests().map(|(seq, tiers)| (seq, tiers.to_vec())).collect(),
                tables: documents.written_tables(),
                overlay_bytes: documents.overlay_bytes(),
                catalogue: documents.catalogue().clone(),
            }
        })?;
        let moment = Moment::Pinned(Arc::new(Pin::adopt(self.clone(), captured.seq())));
        let outcome = self.checkpoint_captured(captured, goal).await;
        drop(moment);
        outcome
    }

    async fn checkpoint_captured(self: &Arc<Self>, captured: Captured<Present>, goal: Goal) -> Result<Round> {
        let covers = captured.seq();
        let present = &captured.value;
        let base = present.base.clone();
        let store = self.runs();
        let options = RunOptions { block_bytes: self.log.options().block_bytes as usize };
        let work = Work { store: &store, policy: &self.maintenance.policy, options, begun_at: covers };
        let Built { tree, read_bytes, written_bytes } = self.build(&work, present, covers, goal).await?;
        let goes_on = match goal {
            _ if tree.merging().is_some() => true,
            Goal::Keep => !matches!(plan(&tree, 0, work.policy), Plan::Merge(0)),
            Goal::Compact => tree.tiers().len() > 1,
        };
        let last = captured.last_checkpoint().cloned();
        let time_ms = captured.time().unix_ms();
        let retained = self.retain(&base, last.as_ref(), time_ms);
        let next = Base { covers, time_ms, tree, retained };
        let kept: BTreeSet<String> = next.objects().collect();
        let before: BTreeSet<String> = base.objects().chain(last.map(|last| last.manifest)).collect();
        let ingested = captured.value.ingests.iter();
        let ingested: BTreeSet<String> = ingested
            .flat_map(|(_, tiers)| tiers.iter().flat_map(Tier::runs).map(|run| run.meta().name.to_string()))
            .collect();
        let brings: Vec<String> =
            kept.iter().filter(|name| !before.contains(*name) && !ingested.contains(*name)).cloned().collect();
        let content = CheckpointContent {
            saved: Documents::save(&captured.value.catalogue, &next),
            base: next.encode(),
            floor: next.retained.first().map_or(covers, |oldest| oldest.covers.max(Seq::FIRST)),
            brings: brings.clone(),
            obsolete: before.union(&ingested).filter(|name| !kept.contains(*name)).cloned().collect(),
        };
        match self.log.checkpoint(captured, content, self.commit_timeout).await {
            Ok(_) => Ok(Round { covers: Some(covers), goes_on, read_bytes, written_bytes }),
            // It was made, and others have gone on from it.
            Err(CheckpointError::Replaced { .. }) => {
                Ok(Round { covers: Some(covers), goes_on: true, read_bytes, written_bytes })
            }
            // Somebody else did it, and what was written here can never become part of the log any more.
            Err(CheckpointError::Superseded { .. } | CheckpointError::Swept { .. }) => {
                if let Err(error) = self.discard(&brings).await {
                    tracing::debug!(%error, "what a checkpoint wrote in vain is left to the next sweep");
                }
                Ok(Round { covers: None, goes_on: true, read_bytes, written_bytes })
            }
            Err(error) => Err(self.explain_checkpoint(error)),
        }
    }

    async fn build(self: &Arc<Self>, work: &Work<'_>, present: &Present, covers: Seq, goal: Goal) -> Result<Built> {
        let Present { base, ingests, tables, overlay_bytes, .. } = present;
        let rows = |between| WrittenRows::new(self.clone(), covers, tables, between);
        if ingests.is_empty() {
            // Objects are compressed: about by half.
            let new_bytes = (*overlay_bytes / 2) as u64;
            let plan = match goal {
                Goal::Keep => plan(&base.tree, new_bytes, work.policy),
                Goal::Compact => plan_full(&base.tree, new_bytes, work.policy),
            };
            let mut rows = rows((Seq::default(), covers));
            let built = work.run(&base.tree, &mut rows, plan).await?;
            rows.finish()?;
            return Ok(built);
        }
        // Newest first: what was written behind the last bulk load, the load, what was written before it, and so on.
        let (mut tiers, mut written_bytes, mut until) = (Vec::new(), 0, covers);
        for (seq, loaded) in ingests.iter().rev() {
            written_bytes += self.write_tier(work, rows((*seq, until)), &mut tiers).await?;
            tiers.extend(loaded.iter().cloned());
            until = *seq;
        }
        written_bytes += self.write_tier(work, rows((Seq::default(), until)), &mut tiers).await?;
        let added = tiers.len();
        tiers.extend(base.tree.tiers().iter().cloned());
        let merging = base.tree.merging().map(|merging| Merging { output: merging.output + added, ..merging });
        Ok(Built { tree: Tree::new(tiers, merging), read_bytes: 0, written_bytes })
    }

    async fn write_tier(&self, work: &Work<'_>, mut rows: WrittenRows, tiers: &mut Vec<Tier>) -> Result<u64> {
        let (runs, written_bytes) = work.write(&mut rows).await?;
        rows.finish()?;
        if !runs.is_empty() {
            tiers.push(Tier::new(runs));
        }
        Ok(written_bytes)
    }

    /// Which earlier checkpoints are kept: those from which positions younger than the history can be made.
    fn retain(&self, base: &Base, last: Option<&CheckpointRef>, now_ms: u64) -> Vec<Retained> {
        let options = self.log.options();
        let keep_ms = options.history.unwrap_or(options.grace).as_millis() as u64;
        let mut retained: VecDeque<Retained> = base.retained.iter().cloned().collect();
        retained.push_back(Retained {
            covers: base.covers,
            time_ms: base.time_ms,
            manifest: last.map(|last| last.manifest.clone()).unwrap_or_default(),
            hash: last.map(|last| last.manifest_hash.0).unwrap_or_default(),
            runs: base.tree.runs().map(|run| run.meta().name.to_string()).collect(),
        });
        // One is for the positions up to the next.
        while let (Some(_), next) = (retained.front(), retained.get(1).map_or(now_ms, |next| next.time_ms)) {
            if next.saturating_add(keep_ms) > now_ms && keep_ms > 0 {
                break;
            }
            retained.pop_front();
        }
        let apart_ms = keep_ms / KEPT_CHECKPOINTS;
        let mut index = 1;
        while let (Some(before), Some(after)) = (retained.get(index - 1), retained.get(index + 1)) {
            if after.time_ms.saturating_sub(before.time_ms) < apart_ms {
                retained.remove(index);
            } else {
                index += 1;
            }
        }
        retained.into()
    }

    fn explain_checkpoint(&self, error: CheckpointError) -> Error {
        match error {
            CheckpointError::Log(error) => error.into(),
            // It is in the log or not; whoever reads on will see.
            _ => Error::CommitTimedOut,
        }
    }
}
