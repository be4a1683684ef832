use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bucketdb_documents::Documents;
use bucketdb_env::{Environment, Random};
use bucketdb_log::{Freshness, GoneBranches, Seq};
use bucketdb_lsm::Policy;
use futures::FutureExt;
use futures::future::{self, Either};
use tokio::sync::{Mutex, Notify};

use crate::checkpoint::{Goal, Round};
use crate::database::Inner;
use crate::index_build::IndexPiece;
use crate::others_work::OthersWork;
use crate::{Database, GarbageReport, Result, SweepReport};

/// Every so many checkpoints, about, this process looks for what others left that were killed.
const CHECKPOINTS_PER_SWEEP: u64 = 512;

/// A process that builds an index has made a checkpoint; so many intervals later it is not awaited any more.
const INTERVALS_PER_PIECE: u32 = 2;

/// The background looks again no sooner than that.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// So many rows are freed before others may go on: for less than a millisecond.
const ROWS_FREED_AT_ONCE: usize = 2_048;

/// How long the background waits after a failure before it tries again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// With so many records behind the last checkpoint, one is made when the database is closed. It takes four puts.
const RECORDS_WORTH_A_CHECKPOINT: u64 = 32;

/// What a process needs to know of its own maintenance.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(crate) policy: Policy,
    /// How much of the indexes that are being built one checkpoint does.
    pub(crate) index_piece: IndexPiece,
    /// Held by whoever makes a checkpoint: one at a time in a process.
    pub(crate) running: Mutex<()>,
    /// How long each node has authority before it is the next one's.
    pub(crate) interval: Duration,
    /// What may be written since the last checkpoint, in bytes of memory, before there should be one.
    pub(crate) overlay_bytes: usize,
    /// Whether this process wrote anything: one that only reads does no maintenance.
    pub(crate) has_written: AtomicBool,
    /// Whether any writer had to wait for a checkpoint since the last one began.
    pub(crate) have_writers_waited: AtomicBool,
    /// Whether others build what this one would.
    pub(crate) others_work: OthersWork,
    /// Since when branches are known to be gone that have something left.
    pub(crate) gone_branches: GoneBranches,
    /// Wakes those who wait for a checkpoint.
    pub(crate) done: Notify,
    /// Wakes the background.
    pub(crate) wanted: Arc<Notify>,
}

/// How urgent a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    None,
    /// An index is to be built, which has time.
    Building,
    /// Whoever has authority should make one.
    Due,
    /// Anybody should.
    Overdue,
    /// Writers wait.
    Pressing,
}

impl Maintenance {
    pub(crate) fn new(interval: Duration, overlay_bytes: usize, policy: Policy, index_piece: IndexPiece) -> Self {
        Self {
            policy,
            index_piece,
            running: Mutex::new(()),
            interval,
            overlay_bytes,
            has_written: AtomicBool::new(false),
            have_writers_waited: AtomicBool::new(false),
            others_work: OthersWork::default(),
            gone_branches: GoneBranches::default(),
            done: Notify::new(),
            wanted: Arc::default(),
        }
    }
}

impl Inner {
    /// Whether nothing came behind the last checkpoint, whose record has this position, and nothing that came before its record is left: another one would
    /// have no end, since its own record counts as much as this one's.
    fn is_settled(&self, last: Option<Seq>) -> bool {
        let has_more = |documents: &Documents, position: Seq| {
            Some(position) != last
                || documents.overlay_bytes() > 0
                || documents.ingests().next().is_some()
                || documents.is_index_unbuilt()
        };
        !self.log.read(has_more).unwrap_or(true)
    }

    fn urgency(&self, last: Option<Seq>) -> Urgency {
        if self.is_settled(last) {
            return Urgency::None;
        }
        let options = self.log.options();
        let tail = self.log.tail();
        let (overlay_bytes, is_index_unbuilt) =
            self.log.read(|documents, _| (documents.overlay_bytes(), documents.is_index_unbuilt())).unwrap_or_default();
        let of = |have: u64, soft: u64| if soft == 0 { 0.0 } else { have as f64 / soft as f64 };
        let share = of(tail.records, options.tail_limits.soft_records)
            .max(of(tail.bytes, options.tail_limits.soft_bytes))
            .max(of(overlay_bytes as u64, self.maintenance.overlay_bytes as u64));
        match share {
            // Nobody can write: it is not the time to wait for whoever has authority.
            _ if tail.is_over_hard(&options.tail_limits) => Urgency::Pressing,
            share if share < 1.0 => {
                if is_index_unbuilt {
                    Urgency::Building
                } else {
                    Urgency::None
                }
            }
            share if share < 2.0 => Urgency::Due,
            _ if overlay_bytes > 2 * self.maintenance.overlay_bytes => Urgency::Pressing,
            _ => Urgency::Overdue,
        }
    }

    /// Whether it is this node's turn: maintenance goes round the ring by the wall clock. Nothing that must be safe rests
    /// on it.
    fn has_authority(&self) -> bool {
        let window = self.log.env().wall_clock().0 / (self.maintenance.interval.as_millis() as u64).max(1);
        window % u64::from(self.log.options().ring_size) == u64::from(self.log.node().0)
    }

    /// When this process should make a checkpoint, from now on, as far as is known.
    fn wanted_in(&self) -> Option<Duration> {
        if !self.maintenance.has_written.load(Ordering::Relaxed) {
            return None;
        }
        let last = self.log.last_checkpoint().map(|last| last.seq);
        let (now, patience) = (self.log.env().monotonic(), INTERVALS_PER_PIECE * self.maintenance.interval);
        let wait = self.maintenance.others_work.wait(last, now, patience);
        let is_wanted = match self.urgency(last) {
            Urgency::None => false,
            Urgency::Building if wait.is_some() => return wait,
            // Of several with one node id, the one that wrote last.
            Urgency::Building | Urgency::Due => self.has_authority() && self.log.wrote_last(),
            Urgency::Overdue | Urgency::Pressing => true,
        };
        is_wanted.then_some(Duration::ZERO)
    }

    /// Makes a checkpoint for whoever comes next, if it saves them more than it costs.
    pub(crate) async fn leave_checkpoint(self: &Arc<Self>) {
        let has_written = self.maintenance.has_written.load(Ordering::Relaxed);
        if !has_written || self.log.is_closed() || !self.is_worth_a_checkpoint() {
            return;
        }
        if let Err(error) = self.checkpoint(Goal::Keep).await {
            tracing::warn!(%error, "no checkpoint could be made at the end: the next opening takes longer");
        }
    }

    /// Whether the next opening is so much cheaper with a checkpoint of its own: with many records, or with runs that none tells
    /// of, as in a database that was loaded and closed at once, which are looked at one after the other otherwise.
    fn is_worth_a_checkpoint(&self) -> bool {
        let is_first = || self.log.last_checkpoint().is_none();
        self.log.tail().records >= RECORDS_WORTH_A_CHECKPOINT
            || is_first() && self.log.read(|documents, _| documents.has_runs()).unwrap_or(false)
    }

    /// Removes what was written and never became part of the database.
    pub(crate) async fn sweep(self: &Arc<Self>) -> Result<SweepReport> {
        let is_needed = |documents: &Documents, name: &str| documents.refers_to(name);
        let mut report = self.log.sweep(is_needed, self.commit_timeout).await?;
        self.sweep_blobs(&mut report).await?;
        self.sweep_branches(&mut report).await?;
        Ok(report)
    }

    /// Frees what checkpoints have taken the place of, a little at a time.
    async fn free_leftovers(&self) {
        if !self.log.read(|documents, _| documents.has_leftovers()).unwrap_or(false) {
            return;
        }
        for mut leftover in self.log.adjust(|documents, _| documents.take_leftovers()) {
            while leftover.free_some(ROWS_FREED_AT_ONCE) {
                bucketdb_env::yield_now().await;
            }
        }
    }

    /// Does what is due.
    async fn maintain(self: &Arc<Self>) -> Result<()> {
        loop {
            let round = self.checkpoint(Goal::Keep).await?;
            self.maintenance.done.notify_waiters();
            self.free_leftovers().await;
            self.log.adjust(|documents, _| documents.limit_earlier(self.memory.earlier_bytes));
            if round.covers.is_none() || !round.goes_on {
                break;
            }
            // Whoever is the last to hold the database must not keep it open until all is merged.
            if self.log.is_closed() || Arc::strong_count(self) == 1 {
                return Ok(());
            }
        }
        self.log.collect_garbage().await?;
        self.end_abandoned().await?;
        if self.log.env().random_below(CHECKPOINTS_PER_SWEEP) == 0 {
            self.sweep().await?;
        }
        Ok(())
    }
}

/// Looks after a database for as long as it is open. Holds on to nothing that would keep it open.
pub(crate) async fn run(inner: Weak<Inner>, env: Arc<dyn Environment>) {
    let Some((mut positions, wanted)) =
        inner.upgrade().map(|inner| (inner.log.positions(), inner.maintenance.wanted.clone()))
    else {
        return;
    };
    loop {
        let Some(open) = inner.upgrade().filter(|inner| !inner.log.is_closed()) else { return };
        open.free_leftovers().await;
        let wanted_in = open.wanted_in();
        if wanted_in != Some(Duration::ZERO) {
            drop(open);
            // A record that somebody adds, or a writer that waits.
            let grown = std::pin::pin!(positions.changed());
            // Less than a clock tells apart would be no wait at all.
            let later = wanted_in.map_or_else(|| future::pending().boxed(), |wait| env.sleep(wait.max(LEAST_WAIT)));
            let waiting = std::pin::pin!(future::select(later, Box::pin(wanted.notified())));
            if let Either::Left((Err(_), _)) = future::select(grown, waiting).await {
                return;
            }
            continue;
        }
        let outcome = open.maintain().await;
        drop(open);
        if let Err(error) = outcome {
            tracing::warn!(%error, "maintenance failed; it will be tried again");
            env.sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}

/// So many merges are enough for all that was there when a compaction began: one that was under way, one round that takes
/// in bulk loads, one of everything in runs, and one more of what was in memory.
const COMPACTION_PASSES: u32 = 4;

/// What [`Database::compact`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactReport {
    /// How many pieces it took.
    pub pieces: u64,
    /// Bytes that were read of older runs, about.
    pub read_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
}

impl Database {
    /// Makes a checkpoint: writes what is in memory into a sorted run, so that whoever opens the database need not read
    /// the log up to here. A database that is written to does this by itself. Four puts, and more if runs are merged.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn checkpoint(&self) -> Result<()> {
        loop {
            if self.inner.checkpoint(Goal::Keep).await?.covers.is_some() {
                return Ok(());
            }
            self.inner.log.refresh(Freshness::Strict).await?;
        }
    }

    /// Merges everything into one tier of sorted runs: reads are as cheap as they get, and what was deleted or written
    /// again leaves; what is written meanwhile may stay apart. In pieces of bounded memory, each of which counts once it
    /// is done; readers and writers go on.
    ///
    /// # Errors
    /// If the store fails. What was done stays done.
    pub async fn compact(&self) -> Result<CompactReport> {
        self.compact_with(|_| {}).await
    }

    /// As [`compact`](Self::compact), and tells after every piece what was done so far.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn compact_with(&self, mut progress: impl FnMut(&CompactReport) + Send) -> Result<CompactReport> {
        let mut report = CompactReport::default();
        let mut passes = 0;
        loop {
            let round = self.inner.checkpoint(Goal::Compact).await?;
            let Round { covers, goes_on, is_merging, read_bytes, written_bytes } = round;
            report.pieces += 1;
            report.read_bytes += read_bytes;
            report.written_bytes += written_bytes;
            progress(&report);
            passes += u32::from(covers.is_some() && !is_merging);
            // Who goes on writing puts a new tier in front all the time.
            if !goes_on || passes == COMPACTION_PASSES {
                return Ok(report);
            }
            if covers.is_none() {
                self.inner.log.refresh(Freshness::Strict).await?;
            }
        }
    }

    /// Removes what nobody needs any more and what has not been needed for the [grace](crate::DatabaseBuilder::grace).
    /// A database that is written to does this by itself. No request if nothing is due.
    ///
    /// # Errors
    /// If the store fails. What was removed stays removed.
    pub async fn collect_garbage(&self) -> Result<GarbageReport> {
        Ok(self.inner.log.collect_garbage().await?)
    }

    /// Removes what was written and never became part of the database: what processes left that were killed, or that
    /// lost to others, while they made a checkpoint or loaded documents; and what branches have left that are gone, of
    /// which the newest records of the log stay for a [grace](crate::DatabaseBuilder::grace). One put, a list for every
    /// 1,000 objects, but for those of branches that are there, one for each of these, and the deletions; for a branch
    /// that is gone, some ten requests more, as long as it has left more than the record that says so.
    ///
    /// # Errors
    /// If the store fails. What was removed stays removed.
    pub async fn sweep(&self) -> Result<SweepReport> {
        self.inner.sweep().await
    }

    /// The position that the last checkpoint covers, as far as this process knows.
    #[must_use]
    pub fn checkpointed(&self) -> Seq {
        self.inner.log.last_checkpoint().map(|last| last.covers).unwrap_or_default()
    }
}
