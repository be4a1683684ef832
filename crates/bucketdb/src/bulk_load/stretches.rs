use std::ops::Bound;
use std::sync::Arc;

use bucketdb_documents::{Documents, EncodedKey, KeyRange, ReadSet, TableId, of_run_key};
use bucketdb_log::Seq;
use bucketdb_lsm::{KEEPS_ALL, Plan, Tier, TierWriter, Tree, TreeScan, Work};
use bucketdb_runs::{RunEntry, RunOptions, RunStore, ScanOptions};
use bytes::Bytes;

use super::Duplicates;
use super::buffer::{LoadBuffer, SortedRows, Twice};
use super::saved::Saved;
use crate::database::Inner;
use crate::rows::TableRef;
use crate::{Error, Result};

/// So many sorted stretches of one level are merged into one of the next: then a row is written again once for every
/// power of this number of buffers that there are.
const FAN_IN: usize = 24;

/// So many keys are looked up together.
const KEYS_TOGETHER: usize = 4096;

/// What was loaded so far, in sorted stretches beside the database.
pub(super) struct Stretches {
    inner: Arc<Inner>,
    table: TableRef,
    duplicates: Duplicates,
    begun_at: Seq,
    store: RunStore,
    /// In the order in which they were given.
    done: Vec<Stretch>,
    /// The one that is being written, for as long as what comes is behind it, and its last key.
    open: Option<(TierWriter, Bytes)>,
    skipped: u64,
    /// Whether what is done may have been saved: then it stays until something else is.
    is_saved: bool,
    /// Runs that were merged since.
    replaced: Vec<String>,
}

#[derive(Clone, Debug)]
struct Stretch {
    tier: Tier,
    /// How often its rows were merged.
    level: u32,
}

impl Stretches {
    pub(super) fn new(inner: Arc<Inner>, table: TableRef, duplicates: Duplicates, begun_at: Seq) -> Self {
        let store = inner.runs();
        let (done, replaced) = (Vec::new(), Vec::new());
        Self { inner, table, duplicates, begun_at, store, done, open: None, skipped: 0, is_saved: false, replaced }
    }

    /// Goes on from what was saved.
    pub(super) fn restore(inner: Arc<Inner>, table: TableRef, saved: &Saved) -> Self {
        let new = Self::new(inner, table, saved.duplicates, saved.begun_at);
        let tiers = saved.stretches.tiers().iter().cloned().zip(&saved.levels);
        let done = tiers.map(|(tier, level)| Stretch { tier, level: *level }).collect();
        Self { done, skipped: saved.skipped, is_saved: true, ..new }
    }

    /// Makes sure that the table has no key of what was loaded, as it had none at position `at`, and tells a position of which
    /// that is known. What somebody else wrote there meanwhile is a conflict.
    pub(super) async fn check_absent(&self, at: Seq) -> Result<Seq> {
        let everything = KeyRange::all(self.table.id);
        let mut reads = ReadSet::new(at);
        reads.ranges.push(everything);
        let is_absent = |documents: &Documents, seq| {
            (documents.check_reads(&reads).is_ok() || documents.stats(self.table.id).is_empty(), seq)
        };
        let (is_absent, seq) = self.inner.log.read(is_absent)?;
        if is_absent {
            return Ok(seq);
        }
        // Somebody may have written to the table, or it is too long ago to tell.
        let (tiers, all) = (self.tiers(0), (Bound::Unbounded, Bound::Unbounded));
        let options = ScanOptions { fill_cache: false, ..ScanOptions::default() };
        let mut scan = TreeScan::new(tiers.iter(), &all, options);
        let mut keys = Vec::new();
        loop {
            let entry = scan.next().await?;
            let is_last = entry.is_none();
            keys.extend(entry.and_then(|entry| Some((self.table.id, of_run_key(entry.key)?))));
            if is_last || keys.len() >= KEYS_TOGETHER {
                let found = self.inner.newest_many(&keys).await?;
                if let Some(((_, key), _)) = keys.iter().zip(found).find(|(_, row)| row.is_some()) {
                    return Err(Error::Conflict { table: self.table.name().to_owned(), key: key.to_string() });
                }
                keys.clear();
            }
            if is_last {
                return Ok(seq);
            }
        }
    }

    /// Brings everything to a state from which somebody else can go on.
    pub(super) async fn save(&mut self, added: u64, note: Bytes) -> Result<Saved> {
        self.end_stretch().await?;
        self.is_saved = true;
        Ok(Saved {
            table: self.table.id,
            duplicates: self.duplicates,
            begun_at: self.begun_at,
            added,
            skipped: self.skipped,
            stretches: Tree::new(self.done.iter().map(|stretch| stretch.tier.clone()).collect(), None),
            levels: self.done.iter().map(|stretch| stretch.level).collect(),
            note,
        })
    }

    /// Removes what was merged, now that nobody can go on from it any more.
    pub(super) async fn remove_replaced(&mut self) {
        // What cannot be removed now is left to a sweep: the load goes on without it.
        if let Err(error) = self.inner.discard(&std::mem::take(&mut self.replaced)).await {
            tracing::debug!(%error, "stretches that were merged are left to the next sweep");
        }
    }

    /// How many documents were left out because their keys were there.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    fn work(&self) -> Work<'_> {
        let block_bytes = self.inner.log.options().block_bytes as usize;
        let options = RunOptions { block_bytes };
        Work {
            store: &self.store,
            policy: &self.inner.maintenance.policy,
            options,
            begun_at: self.begun_at,
            fates: KEEPS_ALL,
        }
    }

    /// Writes what was gathered.
    pub(super) async fn write(&mut self, buffer: LoadBuffer) -> Result<()> {
        let sorted = buffer.sort(self.duplicates);
        let (mut rows, twice) = sorted.map_err(|Twice(key)| match key {
            Some(key) => self.table.already_exists(&key),
            None => self.given_twice(),
        })?;
        if self.duplicates == Duplicates::Skip {
            self.skipped += twice;
        }
        self.leave_out_existing(&mut rows).await?;
        if rows.len() == 0 {
            return Ok(());
        }
        // What comes in order stays one stretch, and its runs become as large as they may.
        if self.open.as_ref().is_some_and(|(_, last)| *last >= rows.key(0)) {
            self.end_stretch().await?;
        }
        let last_key = Bytes::copy_from_slice(&rows.key(rows.len() - 1));
        let mut writer = match self.open.take() {
            Some((writer, _)) => writer,
            None => self.work().tier_writer(),
        };
        for entry in rows.entries(self.begun_at) {
            writer.add(&entry).await?;
        }
        self.open = Some((writer, last_key));
        Ok(())
    }

    /// Brings what is being written to its end.
    async fn end_stretch(&mut self) -> Result<()> {
        let Some((writer, _)) = self.open.take() else { return Ok(()) };
        let (runs, _) = writer.finish().await?;
        if runs.is_empty() {
            return Ok(());
        }
        self.done.push(Stretch { tier: Tier::new(runs), level: 0 });
        while let Some(first) = self.done.len().checked_sub(FAN_IN)
            && let Some([oldest, later @ ..]) = self.done.get(first..)
            && later.iter().all(|stretch| stretch.level == oldest.level)
        {
            self.merge_from(first).await?;
        }
        Ok(())
    }

    /// Leaves out, or refuses, what the table has.
    async fn leave_out_existing(&mut self, rows: &mut SortedRows) -> Result<()> {
        if self.duplicates == Duplicates::Replace || self.inner.is_table_empty(self.table.id)? {
            return Ok(());
        }
        self.inner.check_clock(std::iter::once(self.table.id)).await?;
        let mut existing = Vec::new();
        for first in (0..rows.len()).step_by(KEYS_TOGETHER) {
            let places = first..rows.len().min(first + KEYS_TOGETHER);
            let keys: Vec<(TableId, EncodedKey)> =
                places.filter_map(|place| Some((self.table.id, of_run_key(rows.key(place))?))).collect();
            let found = self.inner.newest_many(&keys).await?;
            let found = found.iter().enumerate().filter(|(_, row)| row.is_some());
            existing.extend(found.map(|(place, _)| first + place));
        }
        if let Some(place) = existing.first().filter(|_| self.duplicates == Duplicates::Fail) {
            let key = of_run_key(rows.key(*place));
            return Err(key.map_or_else(|| self.given_twice(), |key| self.table.already_exists(&key)));
        }
        self.skipped += existing.len() as u64;
        rows.leave_out(&existing);
        Ok(())
    }

    /// Everything as tiers, the one first that decides. Where a key must not occur twice, there is one tier at most.
    pub(super) async fn finish(&mut self) -> Result<Vec<Tier>> {
        self.end_stretch().await?;
        if let Some(tier) = self.side_by_side() {
            return Ok(vec![tier]);
        }
        // Whether a key occurs twice is seen only where the stretches meet.
        if self.duplicates != Duplicates::Replace && self.done.len() > 1 {
            self.merge_from(0).await?;
        }
        Ok(self.tiers(0))
    }

    /// All runs as one tier, if they do not meet.
    fn side_by_side(&self) -> Option<Tier> {
        let mut runs: Vec<_> = self.done.iter().flat_map(|stretch| stretch.tier.runs()).cloned().collect();
        runs.sort_by(|left, right| left.meta().first_key.cmp(&right.meta().first_key));
        let mut neighbours = runs.iter().zip(runs.iter().skip(1));
        let meet = neighbours.any(|(left, right)| left.meta().last_key >= right.meta().first_key);
        (!meet && !runs.is_empty()).then(|| Tier::new(runs))
    }

    /// The stretches from this one on as tiers, the one first that decides.
    fn tiers(&self, from: usize) -> Vec<Tier> {
        let stretches = self.done.iter().skip(from).map(|stretch| stretch.tier.clone());
        if self.duplicates == Duplicates::Skip { stretches.collect() } else { stretches.rev().collect() }
    }

    /// Makes one stretch of all from this one on, and removes what it was made of.
    async fn merge_from(&mut self, first: usize) -> Result<()> {
        let level = self.done.iter().skip(first).map(|stretch| stretch.level).max().unwrap_or_default() + 1;
        let tree = Tree::new(self.tiers(first), None);
        let count = tree.tiers().len();
        let entries = |tree: &Tree| tree.tiers().iter().map(|tier| tier.entries().0).sum::<u64>();
        let mut nothing = std::iter::empty::<RunEntry>();
        let built = self.work().run(&tree, &mut nothing, Plan::Merge(count)).await?;
        let left_out = entries(&tree) - entries(&built.tree);
        match self.duplicates {
            Duplicates::Fail if left_out > 0 => return Err(self.given_twice()),
            Duplicates::Fail | Duplicates::Replace => {}
            Duplicates::Skip => self.skipped += left_out,
        }
        self.done.truncate(first);
        self.done.extend(built.tree.tiers().iter().cloned().map(|tier| Stretch { tier, level }));
        self.replaced.extend(tree.runs().map(|run| run.meta().name.to_string()));
        if !self.is_saved {
            self.remove_replaced().await;
        }
        Ok(())
    }

    /// Removes what was written, which will be part of nothing.
    pub(super) async fn discard(mut self) -> Result<()> {
        let open = self.open.take();
        let open = open.iter().flat_map(|(writer, _)| writer.runs());
        let done = self.done.iter().flat_map(|stretch| stretch.tier.runs());
        let written = done.chain(open).map(|run| run.meta().name.to_string());
        let names: Vec<String> = written.chain(std::mem::take(&mut self.replaced)).collect();
        self.inner.discard(&names).await
    }

    fn given_twice(&self) -> Error {
        Error::InvalidDocument {
            table: self.table.name().to_owned(),
            key: "of a document that was given twice".to_owned(),
            reason: "the load was to fail where a key occurs twice".to_owned(),
        }
    }
}
