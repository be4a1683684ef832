//! Branches: databases that begin as another one was at a position, and share its objects up to there.
//!
//! The log of a branch has the records of its parent up to the *fork*, and goes on with its own from the next position on.
//! Every name but `head` says at which position its object was begun, so it says whose object it is: up to the fork it is the
//! parent's, behind it the branch's own. A [`BranchDriver`] reads each from where it is, and writes and removes nothing of the
//! parent's (H16); to everything above it, a branch is a database as any other.
//!
//! The first record of its own is of kind [`Branch`](crate::RecordKind::Branch). It takes the place of the record of a checkpoint: it
//! names the manifest of the parent with which reading begins, and gives up what the parent keeps for others.
//!
//! A branch lies inside the place of its parent:
//!
//! | key | contents |
//! |---|---|
//! | `branch/<name>/origin` | says that there is such a branch, or that it is gone, where it forks, and its id |
//! | `branch/<name>/<id>/…` | its own objects |
//! | `branch/<name>/branch/…` | its branches |
//!
//! The id is in the way to its objects so that a name can be used again: a process that still has an earlier branch of that
//! name open writes beside the new one, and not into it.

mod begun;
mod driver;
mod gone;
mod origin;
mod record;

use std::sync::Arc;

use bucketdb_driver::{Condition, Driver};
use bucketdb_env::{Environment, Random};

use crate::head::{self, Head};
use crate::upkeep::CheckpointRef;
use crate::{
    ChainHash, Entry, Layout, Log, LogError, Record, RecordKind, Result, Seq, SessionId, SlotNames, StateMachine,
    format, reads,
};

pub use self::begun::drop_begun;
pub use self::driver::BranchDriver;
pub use self::gone::{Branches, GoneBranches, GoneReport};
pub use self::origin::{BranchOrigin, Creation};
pub(crate) use self::record::BranchRecord;

/// The longest name of a branch in bytes.
pub const MAX_BRANCH_NAME_BYTES: usize = 64;

/// How deep branches of branches may lie.
pub const MAX_BRANCH_DEPTH: usize = 4;

/// Whether a branch can have this name: letters, digits, `-`, `_` and `.` of ASCII, the first a letter or a digit.
#[must_use]
pub fn is_branch_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric();
    let is_allowed = |byte: u8| is_letter(byte) || b"-_.".contains(&byte);
    (1..=MAX_BRANCH_NAME_BYTES).contains(&name.len())
        && name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(is_allowed)
}

/// With what a branch begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchBase {
    /// What a checkpoint covers, its manifest, and the hash of that; `None` if the log is read from its first record on.
    pub manifest: Option<(Seq, String, ChainHash)>,
    /// The last position that it has in common with its parent.
    pub fork: Seq,
    /// Which life of a database it is: cursors of feeds do not go over from one to another.
    pub generation: u64,
}

impl<M: StateMachine> Log<M> {
    /// Writes `head` and the first own record of a branch of this database, through the store of the branch: two puts at
    /// most, and a get if the record behind the fork is not at hand. The branch is there once this has come to its end.
    ///
    /// # Errors
    /// If the store fails, or if there is a record of its own already.
    pub async fn write_branch(&self, store: &Arc<dyn Driver>, layout: &Layout, base: &BranchBase) -> Result<()> {
        let shared = &self.shared;
        let env = &*shared.env;
        let seq = base.fork.next();
        let missing = || {
            let detail = "a branch is to go on from there".to_owned();
            LogError::Missing { object: shared.object(&Layout::slot_name(base.fork)), detail }
        };
        let previous = self.hash_of(base.fork).await?.ok_or_else(missing)?;
        let database = self.database();
        let content = BranchRecord { database, generation: base.generation, manifest: base.manifest.clone() };
        let record = Record {
            kind: RecordKind::Branch,
            seq,
            time: shared.applied.read().time.tick(env.wall_clock().0),
            node: shared.node,
            session: SessionId(env.random_128()),
            previous,
            entries: vec![Entry { counter: 1, payload: content.encode() }],
        };
        let name = Layout::slot_name(seq);
        let bytes = format::encode(&record, &name, &shared.checksums);
        if let Some((covers, manifest, manifest_hash)) = base.manifest.clone() {
            let hash = format::chain_hash(&bytes);
            let checkpoint = CheckpointRef { seq, hash, covers, manifest, manifest_hash };
            let head = Head { database, checkpoint, manifest: bytes::Bytes::new() };
            let (key, bytes) = (layout.key(head::NAME), head.encode());
            reads::retry(env, || store.put(&key, bytes.clone(), Condition::Always)).await?;
        }
        reads::put_new(&**store, env, &layout.key(&name), &bytes, true).await?;
        Ok(())
    }

    /// Whether there can be branches: where each session has names of its own for records, none can be shared.
    #[must_use]
    pub fn can_branch(&self) -> bool {
        self.shared.names == SlotNames::Shared
    }
}

/// The store of a branch, where it is, and what it comes of: through the stores of all that it is a branch of, by the names on the
/// way to it; without names, the database itself. `timed` is the same store, which answers in time. One get for each name.
///
/// # Errors
/// [`LogError::NoDatabase`] if there is no such branch; otherwise if the store fails.
pub async fn open_branch_store(
    store: &Arc<dyn Driver>,
    timed: &dyn Driver,
    env: &dyn Environment,
    root: &Layout,
    path: &[String],
) -> Result<(Arc<dyn Driver>, Layout, Option<BranchOrigin>)> {
    let (mut at, mut layout, mut last) = (store.clone(), root.clone(), None);
    for name in path {
        let branch = layout.branch(name);
        let Some(origin) = BranchOrigin::read(timed, env, &branch).await? else {
            let place = format!("{} prefix {:?}, branch {name:?}", store.fingerprint(), layout.prefix());
            return Err(LogError::NoDatabase { place });
        };
        let driver = BranchDriver::new(store.clone(), (at, &layout), &branch, &origin);
        (at, layout, last) = (Arc::new(driver), branch.with_fork(origin.fork), Some(origin));
    }
    Ok((at, layout, last))
}
