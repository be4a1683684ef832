use std::fmt;
use std::ops::Bound;

use bucketdb_log::Seq;
use bucketdb_runs::{RunEntry, RunError, RunOptions, RunStore, ScanOptions};
use bytes::Bytes;

use crate::{Merging, Plan, Policy, Tier, TierRun, TierWriter, Tree, TreeScan};

/// How much of all tiers that are merged is in memory, in bytes, however many they are: a scan holds up to twice what one of
/// its requests asks for.
const MERGE_READ_BYTES: u64 = 48 << 20;

/// But no request asks for less than this.
const LEAST_READ_BYTES: u64 = 256 << 10;

/// Why a piece of work came to nothing. What it wrote is garbage.
pub type WorkError = RunError;

/// Rows that become a tier, or part of one: in ascending order of their keys, one entry a key.
pub type Flush<'a> = dyn Iterator<Item = RunEntry> + Send + 'a;

/// What a merge does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Kept,
    /// It goes as if it had been deleted: no older one of its key comes back.
    Deleted,
    /// It goes, and so does every older one of its key whenever it is met.
    Abandoned,
}

/// Which entries are not wanted any more.
pub type Fates<'a> = dyn Fn(&RunEntry) -> Fate + Send + Sync + 'a;

/// Writes the next tree.
pub struct Work<'a> {
    /// Where runs are read and written.
    pub store: &'a RunStore,
    /// How large they become.
    pub policy: &'a Policy,
    /// How they are laid out.
    pub options: RunOptions,
    /// The position of the log that was known when the work began; the names of new runs say it.
    pub begun_at: Seq,
    /// Which entries merges leave in.
    pub fates: &'a Fates<'a>,
}

/// Of a merge that leaves everything in.
pub const KEEPS_ALL: &Fates<'static> = &|_| Fate::Kept;

/// What a piece of work came to.
#[derive(Clone, Debug)]
pub struct Built {
    /// The next tree.
    pub tree: Tree,
    /// Bytes that were read of older runs, as their objects have them; about.
    pub read_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
}

impl Work<'_> {
    /// Does what a plan says with the rows in `flush`.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn run(&self, tree: &Tree, flush: &mut Flush<'_>, plan: Plan) -> Result<Built, WorkError> {
        match plan {
            Plan::Merge(count) => self.merge(tree, flush, count).await,
            Plan::Piece { goes_on, first, inputs } => {
                let flushed = self.merge(tree, flush, 0).await?;
                // The new tier, if there is one, is in front of all others.
                let first = first + (flushed.tree.tiers().len() - tree.tiers().len());
                let piece = self.piece(&flushed.tree, goes_on, first, inputs).await?;
                Ok(Built {
                    tree: piece.tree,
                    read_bytes: flushed.read_bytes + piece.read_bytes,
                    written_bytes: flushed.written_bytes + piece.written_bytes,
                })
            }
        }
    }

    /// Writes rows as runs, in the order in which they come.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn write(&self, flush: &mut Flush<'_>) -> Result<(Vec<TierRun>, u64), WorkError> {
        let mut writer = self.tier_writer();
        for entry in flush {
            writer.add(&entry).await?;
        }
        writer.finish().await
    }

    /// A writer for rows that come little by little.
    #[must_use]
    pub fn tier_writer(&self) -> TierWriter {
        TierWriter::new(self.store.clone(), self.begun_at, self.options.clone(), self.policy.run_bytes)
    }

    /// How tiers are read that are merged, so many at a time.
    fn scan_options(&self, tiers: usize) -> ScanOptions {
        let usual = ScanOptions { fill_cache: false, ..ScanOptions::default() };
        let share = MERGE_READ_BYTES / 2 / tiers.max(1) as u64;
        ScanOptions { read_ahead_bytes: share.clamp(LEAST_READ_BYTES, usual.read_ahead_bytes), ..usual }
    }

    /// What becomes of the newest entry of a key.
    fn merged(&self, entry: RunEntry, keeps_deletions: bool) -> Option<RunEntry> {
        let entry = match (self.fates)(&entry) {
            Fate::Kept => entry,
            Fate::Deleted => RunEntry { row: None, ..entry },
            Fate::Abandoned => return None,
        };
        (entry.row.is_some() || keeps_deletions).then_some(entry)
    }

    /// Makes one tier of the rows and the `count` newest tiers.
    async fn merge(&self, tree: &Tree, flush: &mut Flush<'_>, count: usize) -> Result<Built, WorkError> {
        let (merged, rest) = tree.tiers().split_at(count.min(tree.tiers().len()));
        let keeps_deletions = rest.iter().any(|tier| !tier.is_empty());
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let mut scan = TreeScan::new(merged.iter(), &everything, self.scan_options(merged.len())).with_deletions();
        let mut writer = self.tier_writer();
        let mut new = flush.next();
        let mut old = next(&mut scan).await?;
        loop {
            let entry = match (&new, &old) {
                (None, None) => break,
                (Some(_), None) => std::mem::replace(&mut new, flush.next()),
                (Some(first), Some(second)) if first.key <= second.key => {
                    if first.key == second.key {
                        old = next(&mut scan).await?;
                    }
                    std::mem::replace(&mut new, flush.next())
                }
                _ => std::mem::replace(&mut old, next(&mut scan).await?),
            };
            if let Some(entry) = entry.and_then(|entry| self.merged(entry, keeps_deletions)) {
                writer.add(&entry).await?;
            }
        }
        let (runs, written_bytes) = writer.finish().await?;
        let mut tiers = Vec::with_capacity(rest.len() + 1);
        let gone = merged.len();
        let is_new = !runs.is_empty();
        if is_new {
            tiers.push(Tier::new(runs));
        }
        tiers.extend(rest.iter().cloned());
        let merging =
            tree.merging().map(|merging| Merging { output: merging.output + usize::from(is_new) - gone, ..merging });
        let read_bytes = merged.iter().map(Tier::size_bytes).sum();
        Ok(Built { tree: Tree::new(tiers, merging), read_bytes, written_bytes })
    }

    /// Merges the next stretch of keys of some tiers.
    async fn piece(&self, tree: &Tree, goes_on: bool, first: usize, inputs: usize) -> Result<Built, WorkError> {
        let mut tiers = tree.tiers().to_vec();
        let first = if goes_on {
            first
        } else {
            tiers.insert(first, Tier::default());
            first + 1
        };
        let output = first - 1;
        let behind = first + inputs;
        let keeps_deletions = tiers.iter().skip(behind).any(|tier| !tier.is_empty());
        let merged = tiers.get(first..behind).unwrap_or_default();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let mut scan = TreeScan::new(merged.iter(), &everything, self.scan_options(merged.len())).with_deletions();
        let mut writer = self.tier_writer();
        let mut read_bytes = 0;
        let mut next_key: Option<Bytes> = None;
        while let Some(entry) = next(&mut scan).await? {
            // Deletions that leave are read too: a piece that writes nothing must end as well.
            if writer.bytes_written() >= self.policy.piece_bytes || read_bytes >= 4 * self.policy.piece_bytes {
                next_key = Some(entry.key);
                break;
            }
            read_bytes += (entry.key.len() + entry.row.as_ref().map_or(0, Bytes::len)) as u64;
            if let Some(entry) = self.merged(entry, keeps_deletions) {
                writer.add(&entry).await?;
            }
        }
        let (runs, written_bytes) = writer.finish().await?;
        let merging = match next_key {
            Some(key) => {
                for tier in tiers.iter_mut().skip(first).take(inputs) {
                    *tier = tier.clipped(&key);
                }
                Some(Merging { output, inputs })
            }
            None => {
                tiers.drain(first..behind);
                None
            }
        };
        if let Some(tier) = tiers.get_mut(output) {
            *tier = tier.extended(runs);
            if tier.is_empty() && merging.is_none() {
                tiers.remove(output);
            }
        }
        Ok(Built { tree: Tree::new(tiers, merging), read_bytes, written_bytes })
    }
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Work")
            .field("policy", self.policy)
            .field("begun_at", &self.begun_at)
            .finish_non_exhaustive()
    }
}

async fn next(scan: &mut TreeScan) -> Result<Option<RunEntry>, RunError> {
    match scan.next_ready() {
        Some(entry) => Ok(Some(entry)),
        None => scan.next().await,
    }
}
