use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bucketdb_documents::{Base, Catalogue, Documents, TableId, has_any};
use bucketdb_log::{Captured, CheckpointContent, CheckpointError, Seq};
use bucketdb_lsm::{Built, Fate, Merging, Plan, Tier, Tree, Work, plan, plan_full, plan_pressing};
use bucketdb_runs::{RunEntry, RunOptions};
use tokio::sync::MutexGuard;

use crate::blobs::Superfluous;
use crate::database::Inner;
use crate::endings::Endings;
use crate::flush::WrittenRows;
use crate::index_build::{IndexBuilder, IndexPiece, IndexWork};
use crate::moment::{Moment, Pin};
use crate::retention::{Retention, Wanted, retained_as};
use crate::{Error, Result};

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
    /// Whether a merge was begun and has not ended.
    pub(crate) is_merging: bool,
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

impl Present {
    async fn index_work(
        &self,
        moment: &Moment,
        ended_ms: u64,
        (piece, is_pressing): (IndexPiece, bool),
    ) -> Result<IndexWork> {
        let Self { base, ingests, tables, catalogue, .. } = self;
        let is_loaded = |table: &TableId| ingests.iter().any(|(_, tiers)| has_any(tiers, *table));
        let indexed = catalogue.indexed_tables().map(|entry| entry.id);
        let (loaded, indexed): (Vec<TableId>, Vec<TableId>) = indexed.partition(is_loaded);
        let written: Vec<TableId> = indexed.into_iter().filter(|table| tables.contains(table)).collect();
        let (written, loaded) = (&written, &loaded);
        IndexBuilder { catalogue, base, written, loaded, moment, ended_ms, piece, is_pressing }.build().await
    }
}

impl Inner {
    /// Writes what is in memory, and as much of merges as one piece allows, and makes a checkpoint of it. Nobody waits
    /// for it, neither readers nor writers.
    pub(crate) async fn checkpoint(self: &Arc<Self>, goal: Goal) -> Result<Round> {
        let alone = self.maintenance.running.lock().await;
        self.checkpoint_alone(alone, goal).await
    }

    /// As [`checkpoint`](Self::checkpoint), for whoever has seen to it that nobody else in this process makes one.
    pub(crate) async fn checkpoint_alone(self: &Arc<Self>, alone: MutexGuard<'_, ()>, goal: Goal) -> Result<Round> {
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
        let outcome = self.checkpoint_captured(captured, &moment, goal).await;
        drop(moment);
        // Whoever commits may have to make a checkpoint first.
        drop(alone);
        let (round, superfluous) = outcome?;
        if round.covers.is_some()
            && let Err(error) = self.settle_blobs(superfluous).await
        {
            tracing::debug!(%error, "which blobs nobody needs is left to a later checkpoint, or the next sweep");
        }
        Ok(round)
    }

    async fn checkpoint_captured(
        self: &Arc<Self>,
        captured: Captured<Present>,
        moment: &Moment,
        goal: Goal,
    ) -> Result<(Round, Superfluous)> {
        let covers = captured.seq();
        let present = &captured.value;
        let base = present.base.clone();
        let store = self.runs();
        let options = RunOptions { block_bytes: self.log.options().block_bytes as usize };
        let ended_ms = self.ended_ms(&present.catalogue, captured.time().unix_ms()).await?.max(base.ended_ms);
        let is_pressing = self.log.is_full() || self.is_full()?;
        let has_time = !(self.maintenance.have_writers_waited.swap(false, Ordering::Relaxed) || is_pressing);
        let piece = (self.maintenance.index_piece, is_pressing);
        let unreferred = self.unreferred_blobs(&base, &present.tables, moment).await?;
        let IndexWork { entries, indexes, next_group, goes_on: builds_on } =
            present.index_work(moment, ended_ms, piece).await?;
        let endings = Endings::new(&present.catalogue, ended_ms);
        let fates = |entry: &RunEntry| match () {
            () if Base::is_abandoned(&indexes, &entry.key) => Fate::Abandoned,
            () if endings.has_ended(entry) => Fate::Deleted,
            () => Fate::Kept,
        };
        let work = Work { store: &store, policy: &self.maintenance.policy, options, begun_at: covers, fates: &fates };
        let Built { tree, read_bytes, written_bytes } =
            self.build(&work, present, entries, covers, (goal, has_time)).await?;
        let is_merging = tree.merging().is_some();
        let may_be_many = !present.ingests.is_empty() || !has_time;
        let goes_on = match goal {
            _ if is_merging || builds_on => true,
            // Tiers that were loaded in bulk may be many, and so may those that were not merged because writers waited. Others
            // can wait for the next checkpoint: whoever writes on would give each round something new to write, and never come
            // to an end.
            Goal::Keep => may_be_many && !matches!(plan(&tree, 0, work.policy), Plan::Merge(0)),
            Goal::Compact => tree.tiers().len() > 1,
        };
        let last = captured.last_checkpoint().cloned();
        let time_ms = captured.time().unix_ms();
        let ingested = captured.value.ingests.iter();
        let ingested: BTreeSet<String> = ingested
            .flat_map(|(_, tiers)| tiers.iter().flat_map(Tier::runs).map(|run| run.meta().name.to_string()))
            .collect();
        let catalogue = &captured.value.catalogue;
        let options = self.log.options();
        let keep = options.history.unwrap_or(options.grace);
        let present = retained_as(&base, last.as_ref(), ingested.iter().cloned().collect());
        let named: Vec<Seq> = catalogue.kept_positions().collect();
        let begun_with: Vec<Seq> = catalogue.branches().iter().map(|(_, pin)| pin.base).collect();
        let wanted = Wanted { keep, named: &named, begun_with: &begun_with };
        let Retention { retained, pinned, floor, spared } =
            Retention::new((&base.retained, base.pinned), present, (covers, time_ms), wanted);
        let given_up = self.superfluous_blobs(moment, floor, &spared).await?;
        let superfluous = Superfluous { unreferred, given_up };
        let ttls = catalogue.ttls_hash();
        let next = Base { covers, time_ms, ended_ms, ttls, tree, retained, pinned, indexes, next_group };
        let kept: BTreeSet<String> = next.objects().collect();
        let before: BTreeSet<String> = base.objects().chain(last.map(|last| last.manifest)).collect();
        let brings: Vec<String> =
            kept.iter().filter(|name| !before.contains(*name) && !ingested.contains(*name)).cloned().collect();
        let content = CheckpointContent {
            saved: Documents::save(catalogue, &next),
            base: next.encode(),
            floor,
            spared,
            brings: brings.clone(),
            obsolete: before
                .union(&ingested)
                .filter(|name| !kept.contains(*name))
                .chain(&superfluous.given_up)
                .cloned()
                .collect(),
        };
        let last_index = catalogue.last_index();
        if self.log.read(|documents, _| documents.catalogue().last_index() != last_index)? {
            // An index that was created meanwhile would not be whole any more with this one, which does not know it.
            self.discard(&brings).await?;
            let round = Round { covers: None, goes_on: true, is_merging, read_bytes, written_bytes };
            return Ok((round, superfluous));
        }
        match self.log.checkpoint(captured, content, self.commit_timeout).await {
            // Where later ones have taken its place already, they build on it: what it brought stays.
            outcome @ (Ok(_) | Err(CheckpointError::Replaced { .. })) => {
                if let Ok(made) = outcome {
                    self.maintenance.others_work.note_own(made.checkpoint.seq);
                }
                Ok((Round { covers: Some(covers), goes_on, is_merging, read_bytes, written_bytes }, superfluous))
            }
            // Somebody else did it, and what was written here can never become part of the log any more.
            Err(CheckpointError::Superseded { .. } | CheckpointError::Swept { .. }) => {
                if let Err(error) = self.discard(&brings).await {
                    tracing::debug!(%error, "what a checkpoint wrote in vain is left to the next sweep");
                }
                Ok((Round { covers: None, goes_on: true, is_merging, read_bytes, written_bytes }, superfluous))
            }
            Err(error) => Err(self.explain_checkpoint(error)),
        }
    }

    async fn build(
        self: &Arc<Self>,
        work: &Work<'_>,
        present: &Present,
        index_entries: Vec<RunEntry>,
        covers: Seq,
        (goal, has_time): (Goal, bool),
    ) -> Result<Built> {
        let Present { base, ingests, tables, overlay_bytes, .. } = present;
        let rows = |between| WrittenRows::new(self.clone(), covers, tables, between);
        if ingests.is_empty() {
            // Objects are compressed: about by half.
            let index_bytes: usize = index_entries.iter().map(|entry| entry.key.len()).sum();
            let new_bytes = ((*overlay_bytes + index_bytes) / 2) as u64;
            let plan = match goal {
                Goal::Keep if !has_time => plan_pressing(&base.tree, new_bytes, work.policy),
                Goal::Keep => plan(&base.tree, new_bytes, work.policy),
                Goal::Compact => plan_full(&base.tree, new_bytes, work.policy),
            };
            let mut rows = rows((Seq::default(), covers));
            // The groups of indexes are behind those of all tables.
            let built = work.run(&base.tree, &mut rows.by_ref().chain(index_entries), plan).await?;
            rows.finish()?;
            return Ok(built);
        }
        // Newest first: what was written behind the last bulk load, the load, what was written before it, and so on.
        let (mut tiers, mut written_bytes, mut until) = (Vec::new(), 0, covers);
        let mut index_entries = index_entries;
        for (seq, loaded) in ingests.iter().rev() {
            let entries = std::mem::take(&mut index_entries);
            written_bytes += self.write_tier(work, rows((*seq, until)), entries, &mut tiers).await?;
            tiers.extend(loaded.iter().cloned());
            until = *seq;
        }
        written_bytes += self.write_tier(work, rows((Seq::default(), until)), Vec::new(), &mut tiers).await?;
        let added = tiers.len();
        tiers.extend(base.tree.tiers().iter().cloned());
        let merging = base.tree.merging().map(|merging| Merging { output: merging.output + added, ..merging });
        Ok(Built { tree: Tree::new(tiers, merging), read_bytes: 0, written_bytes })
    }

    async fn write_tier(
        &self,
        work: &Work<'_>,
        mut rows: WrittenRows,
        index_entries: Vec<RunEntry>,
        tiers: &mut Vec<Tier>,
    ) -> Result<u64> {
        let (runs, written_bytes) = work.write(&mut rows.by_ref().chain(index_entries)).await?;
        rows.finish()?;
        if !runs.is_empty() {
            tiers.push(Tier::new(runs));
        }
        Ok(written_bytes)
    }

    fn explain_checkpoint(&self, error: CheckpointError) -> Error {
        match error {
            CheckpointError::Log(error) => error.into(),
            // It is in the log or not; whoever reads on will see.
            _ => Error::CommitTimedOut,
        }
    }
}
