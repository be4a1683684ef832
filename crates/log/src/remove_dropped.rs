use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{Driver, Key};
use bucketdb_env::Environment;

use crate::branch::BranchOrigin;
use crate::collect::DELETED_TOGETHER;
use crate::drop_mark::DropMark;
use crate::head::{self, FoundHead};
use crate::layout::{ObjectKind, RecordName};
use crate::planted::{PlantedBug, is_planted};
use crate::prove::newest_run;
use crate::source::Source;
use crate::tombstone::Cut;
use crate::{Layout, Result, Seq, Tombstone, reads};

/// What was removed of a database that was dropped, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropReport {
    /// How many objects were removed.
    pub removed: u64,
    /// How many records of its log stay for now, beside the one that says that it was dropped, which stays for good.
    pub records_left: u64,
    /// For how long they have to stay; `None` if none are left.
    pub next_due: Option<Duration>,
    /// Whether that time passes for every later call, since the store's clock says how much of it has. Where the store
    /// tells no time, no call knows of an earlier one: then only one that waits removes them.
    pub is_dated: bool,
    /// The branches that are there still: as long as there is one, nothing is removed, since it shares what was there before it.
    pub held_by: Vec<String>,
}

impl DropReport {
    /// Takes in what was removed elsewhere and is left there.
    pub fn add(&mut self, other: Self) {
        let of = |report: &Self| report.next_due.map(|_| report.is_dated);
        let are_dated = [of(self), of(&other)];
        self.is_dated =
            self.next_due.or(other.next_due).is_some() && are_dated.iter().flatten().all(|is_dated| *is_dated);
        self.removed += other.removed;
        self.records_left += other.records_left;
        self.next_due = self.next_due.max(other.next_due);
        self.held_by.extend(other.held_by);
    }
}

/// The database that was dropped at a prefix, unless there is another one by now.
///
/// # Errors
/// If the store fails.
pub async fn find_dropped(
    store: &Arc<dyn Driver>,
    env: &Arc<dyn Environment>,
    layout: &Layout,
) -> Result<Option<Tombstone>> {
    let source = Source { store: &**store, env: &**env, layout, thorough: false };
    match source.find_cut(Seq::FIRST).await? {
        Some(Cut::Dropped(tombstone)) => Ok(Some(tombstone)),
        _ => Ok(None),
    }
}

/// Removes what a database has left that was dropped: everything that is named by this layout and by no later position, so
/// that it touches nothing of a database that was created there since, however late it comes. It may stop anywhere and
/// begin again.
///
/// Its data goes at once. The newest records of its log stay for a grace: a process that still believes that one of
/// these positions is free must find it taken (H3). With `wait`, that is waited for; without, they are left, for a
/// later call, or for the database that is created next, which removes them in due time. How much of the grace has
/// passed is measured by the store's clock where that tells the time, from the first call on, whoever makes it;
/// elsewhere by the monotonic clock of this process, from this call on. The record that says that it was dropped stays
/// for good (H17).
///
/// A database that has branches keeps all that it has, for these, until the last of them is dropped and removed too (H16).
///
/// One get, one for every branch that it had, a listing for every 1,000 objects, and the deletions. Where records are
/// left and the store tells the time, that is asked for, and a small put or get more.
///
/// # Errors
/// If the store fails.
pub async fn remove_dropped(
    store: &Arc<dyn Driver>,
    env: &Arc<dyn Environment>,
    layout: &Layout,
    tombstone: &Tombstone,
    wait: bool,
) -> Result<DropReport> {
    let source = Source { store: &**store, env: &**env, layout, thorough: false };
    let known_since = env.monotonic();
    let mut report = DropReport::default();
    for name in &tombstone.branches {
        if BranchOrigin::read(&**store, &**env, &layout.branch(name)).await?.is_some() {
            report.held_by.push(name.clone());
        }
    }
    if !report.held_by.is_empty() && !is_planted(PlantedBug::BranchForgotten) {
        return Ok(report);
    }
    let rest = source.remove_data(tombstone, known_since, &mut report).await?;
    source.remove_rest(rest, wait, &mut report).await?;
    tracing::info!(prefix = layout.prefix(), removed = report.removed, "removed what a dropped database had left");
    Ok(report)
}

/// What of a dropped database has to stay for some time.
pub(crate) struct Rest {
    /// The newest records of its log, in ascending order.
    records: Vec<Key>,
    /// What says since when it is dropped, if there is such an object.
    mark: Option<Key>,
    /// For how long they have to stay; zero if they can go.
    left: Duration,
    /// Whether that is known by the store's clock.
    is_dated: bool,
}

impl Source<'_> {
    /// Removes all that a dropped database has left but the newest records of its log. It is known to be dropped since
    /// `known_since` at least, by this process's monotonic clock.
    pub(crate) async fn remove_data(
        &self,
        tombstone: &Tombstone,
        known_since: Duration,
        report: &mut DropReport,
    ) -> Result<Rest> {
        let Source { store, env, layout, .. } = *self;
        let FoundHead { head, etag } = head::read(self).await?;
        if etag.is_some() && head.is_none_or(|head| head.checkpoint.seq <= tombstone.seq) {
            self.delete(&[layout.key(head::NAME)], report).await?;
        }
        let mark = layout.key(&DropMark::name(tombstone));
        let mut has_mark = false;
        for kind in ObjectKind::ALL {
            let mut keys = Vec::new();
            reads::list(store, env, &self.object(kind.folder()), None, |object| {
                let name = object.key.as_str().strip_prefix(layout.prefix()).unwrap_or_default();
                match Layout::parse_unique(name) {
                    Some(_) if object.key == mark => has_mark = true,
                    Some(seq) if seq <= tombstone.seq => keys.push(object.key),
                    // They come in the order of their positions; what is not ours is passed over.
                    Some(_) => return ControlFlow::Break(()),
                    None => {}
                }
                ControlFlow::Continue(())
            })
            .await?;
            self.delete(&keys, report).await?;
        }
        let mut names = self.list_records(None).await?;
        names.retain(|name| name.seq > layout.fork() && name.seq <= tombstone.seq);
        let key = |name: &RecordName| layout.key(&name.name);
        let run = newest_run(&names);
        // What lies before a gap is older than what was removed there.
        let before: Vec<Key> = names.iter().take(names.len() - run.len()).map(key).collect();
        self.delete(&before, report).await?;
        let stays = |name: &&RecordName| name.seq == tombstone.seq && !is_planted(PlantedBug::DropForgotten);
        let records: Vec<Key> = run.iter().filter(|name| !stays(name)).map(key).collect();
        if records.is_empty() {
            let mark = has_mark.then_some(mark);
            return Ok(Rest { records, mark, left: Duration::ZERO, is_dated: false });
        }
        let dropped_for = self.dropped_for_ms(tombstone, has_mark).await?.map(Duration::from_millis);
        let known_for = env.monotonic().saturating_sub(known_since);
        let left = tombstone.grace.saturating_sub(known_for.max(dropped_for.unwrap_or_default()));
        let is_dated = dropped_for.is_some();
        Ok(Rest { records, mark: (has_mark || is_dated).then_some(mark), left, is_dated })
    }

    /// Removes all of a branch that has no record.
    pub(crate) async fn remove_all_but_records(&self, report: &mut DropReport) -> Result<()> {
        let mut keys = vec![self.layout.key(head::NAME)];
        for kind in ObjectKind::ALL {
            reads::list(self.store, self.env, &self.object(kind.folder()), None, |object| {
                let name = object.key.as_str().strip_prefix(self.layout.prefix()).unwrap_or_default();
                keys.extend(Layout::parse_unique(name).map(|_| object.key.clone()));
                ControlFlow::Continue(())
            })
            .await?;
        }
        self.delete(&keys, report).await
    }

    /// Removes what had to stay, unless it still has to. With `wait`, that is waited for.
    pub(crate) async fn remove_rest(&self, rest: Rest, wait: bool, report: &mut DropReport) -> Result<()> {
        let Rest { records, mark, left, is_dated } = rest;
        if wait {
            self.env.sleep(left).await;
        } else if !left.is_zero() && !is_planted(PlantedBug::DropAtOnce) {
            (report.records_left, report.next_due, report.is_dated) = (records.len() as u64, Some(left), is_dated);
            return Ok(());
        }
        self.delete(&records, report).await?;
        // Last, so that whoever is cut off need not begin the grace anew.
        if let Some(mark) = mark {
            reads::retry(self.env, || self.store.delete(&mark)).await?;
        }
        Ok(())
    }

    /// In the order given, so that what is left of a log has no gap.
    async fn delete(&self, keys: &[Key], report: &mut DropReport) -> Result<()> {
        for keys in keys.chunks(DELETED_TOGETHER) {
            reads::retry(self.env, || self.store.delete_many(keys)).await?;
            report.removed += keys.len() as u64;
        }
        Ok(())
    }
}
