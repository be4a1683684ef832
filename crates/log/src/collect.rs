use std::time::Duration;

use bucketdb_driver::Key;
use bucketdb_env::Environment;

use crate::planted::{PlantedBug, is_planted};
use crate::shared::Shared;
use crate::stretch::{self, Stretch};
use crate::upkeep::Mark;
use crate::{Layout, Log, LogError, Result, Seq, SlotNames, StateMachine, reads};

/// So many objects are removed by one call.
pub(crate) const DELETED_TOGETHER: usize = 500;

/// What was removed, and what is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GarbageReport {
    /// How many objects beside the log were removed. Some may have been removed by others before.
    pub objects: u64,
    /// How many positions of the log were removed.
    pub records: u64,
    /// After which time there will be more to remove; `None` if there is nothing left.
    pub next_due: Option<Duration>,
}

impl<M: StateMachine> Log<M> {
    /// Removes what checkpoints made superfluous, once a grace has passed since every opener finds such a checkpoint (H2,
    /// H23): by the store's clock where it tells the time, and by this process's monotonic clock since it knows (H20). No
    /// request if there is nothing. Any number of processes may do it, and it may stop anywhere and begin again.
    ///
    /// # Errors
    /// If the store fails, or if the log was opened read-only.
    pub async fn collect_garbage(&self) -> Result<GarbageReport> {
        let shared = &self.shared;
        if shared.read_only {
            return Err(LogError::ReadOnly);
        }
        shared.failure.check()?;
        let marks = shared.marks();
        let mut report = GarbageReport::default();
        let Some(newest) = marks.last() else { return Ok(report) };
        let has_head = shared.has_head();
        if has_head && shared.housekeeping.lock().head_covers < newest.seq {
            // Whoever made the checkpoint may have come to grief before it replaced `head`.
            let checkpoint = shared.applied.read().upkeep.checkpoint.clone();
            if let Some(checkpoint) = checkpoint {
                shared.advance_head(&checkpoint, None).await?;
            }
        }
        let grace = shared.applied.read().options.grace;
        let mut store_time_ms = None;
        for mark in marks {
            let mut left = shared.left_of(&mark, grace, has_head);
            if left.is_some() && mark.covered_ms.is_some() && store_time_ms.is_none() {
                store_time_ms = shared.store_time_ms().await;
            }
            if let (Some(covered), Some(now)) = (mark.covered_ms, store_time_ms) {
                let by_store = grace.saturating_sub(Duration::from_millis(now.saturating_sub(covered)));
                left = left.map(|left| left.min(by_store)).filter(|left| !left.is_zero());
            }
            if let Some(left) = left {
                report.next_due = Some(left);
                break;
            }
            shared.remove(&mark, &mut report).await?;
        }
        Ok(report)
    }

    /// Removes objects that were written for a record which is known never to come to be, by their names relative to the
    /// database. One that was part of the log for a moment only must never be among them: others may have built on it.
    ///
    /// # Errors
    /// If the store fails. A sweep removes what is left.
    pub async fn discard(&self, names: &[String]) -> Result<()> {
        let keys: Vec<Key> = names.iter().map(|name| self.shared.layout.key(name)).collect();
        if keys.is_empty() { Ok(()) } else { self.shared.delete(&keys).await }
    }
}

impl<M: StateMachine> Shared<M> {
    /// What is superfluous and was not deleted by this process, in order.
    fn marks(&self) -> Vec<Mark> {
        let applied = self.applied.read();
        let collected = self.housekeeping.lock().collected;
        applied.upkeep.garbage.iter().filter(|mark| mark.seq > collected).cloned().collect()
    }

    /// For how long what was marked has to stay, as far as this process knows by itself; `None` if it can go.
    fn left_of(&self, mark: &Mark, grace: Duration, has_head: bool) -> Option<Duration> {
        if is_planted(PlantedBug::DeleteAtOnce) {
            return None;
        }
        if is_planted(PlantedBug::DeadlineByWallClock) {
            let age_ms = self.env.wall_clock().0.saturating_sub(mark.time.unix_ms());
            return Some(grace.saturating_sub(Duration::from_millis(age_ms))).filter(|left| !left.is_zero());
        }
        let known_since = self.housekeeping.lock().known_since(mark.seq, has_head);
        let Some(known_since) = known_since else { return Some(grace) };
        let passed = self.env.monotonic().saturating_sub(known_since);
        Some(grace.saturating_sub(passed)).filter(|left| !left.is_zero())
    }

    async fn remove(&self, mark: &Mark, report: &mut GarbageReport) -> Result<()> {
        // A branch gives up what it had of its parent; that is the parent's to remove (H16).
        let is_own = |name: &&String| self.layout.is_own(name) || is_planted(PlantedBug::BranchRemovesParents);
        let own: Vec<String> = mark.names.iter().filter(is_own).cloned().collect();
        for names in own.chunks(DELETED_TOGETHER) {
            let keys: Vec<Key> = names.iter().map(|name| self.layout.key(name)).collect();
            self.delete(&keys).await?;
            report.objects += keys.len() as u64;
        }
        let (begins, spared) = {
            let applied = self.applied.read();
            let begins = applied.upkeep.log_begins.max(self.housekeeping.lock().log_begins);
            (begins, applied.upkeep.spared_by(mark.seq))
        };
        let mut records = Vec::new();
        for stretch in &mark.released {
            records.extend(self.record_keys(stretch.first, stretch.last.next(), &spared).await?);
        }
        records.extend(self.record_keys(begins, mark.records_below, &spared).await?);
        // In ascending order, so that what is left of the log has no gap.
        for keys in records.chunks(DELETED_TOGETHER) {
            self.delete(keys).await?;
            report.records += keys.len() as u64;
        }
        let mut housekeeping = self.housekeeping.lock();
        housekeeping.collected = housekeeping.collected.max(mark.seq);
        housekeeping.log_begins = housekeeping.log_begins.max(mark.records_below);
        tracing::info!(checkpoint = %mark.seq, records_below = %mark.records_below, "removed what was superfluous");
        Ok(())
    }

    /// Those from `from` on and below `below` that are not spared.
    async fn record_keys(&self, from: Seq, below: Seq, spared: &[Stretch]) -> Result<Vec<Key>> {
        let from = from.max(self.layout.fork().next());
        if from >= below {
            return Ok(Vec::new());
        }
        match self.names {
            SlotNames::Shared => {
                let positions = stretch::outside(from, below, spared);
                Ok(positions.map(|seq| self.layout.key(&Layout::slot_name(seq))).collect())
            }
            SlotNames::PerSession => {
                let names = self.list_from(from).await?;
                let goes = |seq: Seq| seq < below && !stretch::contain(spared, seq);
                Ok(names.iter().filter(|name| goes(name.seq)).map(|name| self.layout.key(&name.name)).collect())
            }
        }
    }

    pub(crate) async fn delete(&self, keys: &[Key]) -> Result<()> {
        Ok(reads::retry(&*self.env, || self.store.delete_many(keys)).await?)
    }
}
