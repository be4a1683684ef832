use std::ops::ControlFlow;
use std::time::Duration;

use bucketdb_driver::Key;

use crate::collect::DELETED_TOGETHER;
use crate::layout::ObjectKind;
use crate::submission::Work;
use crate::{Layout, Log, Result, Seq, StateMachine, reads};

/// What a sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepReport {
    /// What is named from this position on was spared.
    pub below: Seq,
    /// How many objects were looked at.
    pub looked_at: u64,
    /// How many of them were removed.
    pub removed: u64,
    /// After which time a sweep will find more to remove: the newest records of branches that are gone have to stay for
    /// a grace.
    /// `None` if there are none.
    pub next_due: Option<Duration>,
}

impl<M: StateMachine> Log<M> {
    /// Removes the objects that nothing refers to: those of checkpoints and ingests that came to nothing. `is_needed`
    /// tells whether a state of the machine refers to an object, by its name relative to the database.
    ///
    /// First a record says below which position it looks; what is named below that can never become part of the log any
    /// more (H1). So what is not referred to then never will be. One put, a listing for every 1,000 objects, and the
    /// deletions. Blobs are left to whoever knows what refers to them: see [`objects_below`](Self::objects_below).
    ///
    /// # Errors
    /// If the store fails, or if the record is not written by the deadline.
    pub async fn sweep(
        &self,
        is_needed: impl Fn(&M, &str) -> bool + Send + Sync,
        deadline: Duration,
    ) -> Result<SweepReport> {
        self.control(Work::Sweep, deadline).await?;
        let shared = &self.shared;
        let below = shared.applied.read().upkeep.swept;
        let mut report = SweepReport { below, looked_at: 0, removed: 0, next_due: None };
        for kind in [ObjectKind::Manifest, ObjectKind::Run] {
            let mut names = Vec::new();
            let prefix = shared.object(kind.folder());
            reads::list(&*shared.store, &*shared.env, &prefix, None, |object| {
                let name = object.key.as_str().strip_prefix(shared.layout.prefix()).unwrap_or_default();
                match Layout::parse_unique(name) {
                    Some(seq) if seq < below => names.push(name.to_owned()),
                    // They come in the order of their positions; what is not ours is passed over.
                    Some(_) => return ControlFlow::Break(()),
                    None => {}
                }
                ControlFlow::Continue(())
            })
            .await?;
            report.looked_at += names.len() as u64;
            for names in names.chunks(DELETED_TOGETHER) {
                let orphans: Vec<Key> = {
                    let applied = shared.applied.read();
                    let is_orphan =
                        |name: &&String| !applied.upkeep.refers_to(name) && !is_needed(&applied.machine, name);
                    names.iter().filter(is_orphan).map(|name| shared.layout.key(name)).collect()
                };
                if !orphans.is_empty() {
                    shared.delete(&orphans).await?;
                    report.removed += orphans.len() as u64;
                }
            }
        }
        tracing::info!(%below, removed = report.removed, "swept");
        Ok(report)
    }

    /// The position of the last sweep: what is named below it can never become part of the log any more (H1).
    #[must_use]
    pub fn swept(&self) -> Seq {
        self.shared.applied.read().upkeep.swept
    }

    /// Whether the log itself needs an object, by its name relative to the database, or will remove it in due time.
    #[must_use]
    pub fn refers_to(&self, name: &str) -> bool {
        self.shared.applied.read().upkeep.refers_to(name)
    }

    /// The next objects of a kind, by their names relative to the database, that are named below a position and behind a
    /// name: `most` at most, in order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn objects_below(
        &self,
        kind: ObjectKind,
        below: Seq,
        behind: Option<&str>,
        most: usize,
    ) -> Result<Vec<String>> {
        let shared = &self.shared;
        let mut names: Vec<String> = Vec::new();
        let behind = behind.map(|name| shared.layout.key(name));
        let prefix = shared.object(kind.folder());
        reads::list(&*shared.store, &*shared.env, &prefix, behind.as_ref(), |object| {
            let name = object.key.as_str().strip_prefix(shared.layout.prefix()).unwrap_or_default();
            match Layout::parse_unique(name) {
                Some(seq) if seq < below && names.len() < most => names.push(name.to_owned()),
                Some(_) => return ControlFlow::Break(()),
                None => {}
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(names)
    }
}
