use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{Driver, Key};
use bucketdb_env::Environment;

use crate::branch::BranchOrigin;
use crate::collect::DELETED_TOGETHER;
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
    /// The branches that are there still: as long as there is one, nothing is removed, since it shares what was there before it.
    pub held_by: Vec<String>,
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
/// Its data goes at once. The newest records of its log stay for a grace: a process that still believes that one of these
/// positions is free must find it taken (H3). With `wait`, that is waited for; without, they are left, for a later call that
/// waits, or for the database that is created next, which removes them in due time. The record that says that it was
/// dropped stays for good (H17).
///
/// A database that has branches keeps all that it has, for these, until the last of them is dropped and removed too (H16).
///
/// One get, one for every branch that it had, a listing for every 1,000 objects, and the deletions.
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
    let seen_at = env.monotonic();
    let mut report = DropReport::default();
    for name in &tombstone.branches {
        if BranchOrigin::read(&**store, &**env, &layout.branch(name)).await?.is_some() {
            report.held_by.push(name.clone());
        }
    }
    if !report.held_by.is_empty() && !is_planted(PlantedBug::BranchForgotten) {
        return Ok(report);
    }
    let FoundHead { head, etag } = head::read(&source).await?;
    if etag.is_some() && head.is_none_or(|head| head.checkpoint.seq <= tombstone.seq) {
        source.delete(&[layout.key(head::NAME)], &mut report).await?;
    }
    for kind in ObjectKind::ALL {
        let mut keys = Vec::new();
        reads::list(&**store, &**env, &source.object(kind.folder()), None, |object| {
            let name = object.key.as_str().strip_prefix(layout.prefix()).unwrap_or_default();
            match Layout::parse_unique(name) {
                Some(seq) if seq <= tombstone.seq => keys.push(object.key),
                // They come in the order of their positions; what is not ours is passed over.
                Some(_) => return ControlFlow::Break(()),
                None => {}
            }
            ControlFlow::Continue(())
        })
        .await?;
        source.delete(&keys, &mut report).await?;
    }
    let mut names = source.list_records(None).await?;
    names.retain(|name| name.seq > layout.fork() && name.seq <= tombstone.seq);
    let key = |name: &RecordName| layout.key(&name.name);
    let run = newest_run(&names);
    // What lies before a gap is older than what was removed there.
    let before: Vec<Key> = names.iter().take(names.len() - run.len()).map(key).collect();
    source.delete(&before, &mut report).await?;
    let records: Vec<Key> = run.iter().filter(|name| name.seq < tombstone.seq).map(key).collect();
    let mut left = tombstone.grace.saturating_sub(env.monotonic().saturating_sub(seen_at));
    if records.is_empty() {
        left = Duration::ZERO;
    } else if wait {
        env.sleep(left).await;
        left = Duration::ZERO;
    }
    if left.is_zero() {
        source.delete(&records, &mut report).await?;
    } else {
        (report.records_left, report.next_due) = (records.len() as u64, Some(left));
    }
    tracing::info!(prefix = layout.prefix(), removed = report.removed, "removed what a dropped database had left");
    Ok(report)
}

/// Removes what a branch has of its own that was not finished: its `head`, if it came that far. One deletion.
///
/// # Errors
/// If the store fails.
pub async fn remove_unfinished(store: &dyn Driver, env: &dyn Environment, layout: &Layout) -> Result<()> {
    let key = layout.key(head::NAME);
    Ok(reads::retry(env, || store.delete(&key)).await?)
}

impl Source<'_> {
    /// In the order given, so that what is left of a log has no gap.
    async fn delete(&self, keys: &[Key], report: &mut DropReport) -> Result<()> {
        for keys in keys.chunks(DELETED_TOGETHER) {
            reads::retry(self.env, || self.store.delete_many(keys)).await?;
            report.removed += keys.len() as u64;
        }
        Ok(())
    }
}
