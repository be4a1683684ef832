//! Branches: writable copies of a database as it was at a moment, which share what was there with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_documents::{BranchPin, Documents, Proposal};
use bucketdb_driver::Driver;
use bucketdb_env::{Random, WallTime};
use bucketdb_log::{
    BranchBase, BranchDriver, BranchOrigin, Branches, Creation, DropReport, Freshness, Layout, LogError, Seq,
    SweepReport, drop_begun, remove_dropped,
};

use crate::database::Inner;
use crate::home::check_path;
use crate::{Database, DatabaseBuilder, Error, Point, Result};

/// A branch of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Branch {
    /// Its name, with which [`DatabaseBuilder::branch`] opens it.
    pub name: String,
    /// The last position of the log that both have in common.
    pub fork: Seq,
    /// When it was created.
    pub time: WallTime,
}

impl Branch {
    fn new(name: &str, pin: BranchPin) -> Self {
        Self { name: name.to_owned(), fork: pin.fork, time: WallTime(pin.time_ms) }
    }
}

impl Database {
    /// Creates a branch: another database, which begins as this one is now, and goes its own way from there. Nothing is copied:
    /// it reads what was there from the objects of this one, which keeps them for as long as the branch exists. Four puts and
    /// a get, however large the database is.
    ///
    /// [`DatabaseBuilder::branch`] opens it, in any process. What is written to one of the two never shows in the other. A
    /// branch has everything that a database has, but for the past before it and the snapshots with names; it may have
    /// branches of its own. [`drop_branch`](Self::drop_branch) removes it. Either can be dropped first: what a branch shares
    /// with a database that was dropped stays until the branch is dropped too.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # use bucketdb::{Database, MemoryDriver};
    /// # use serde_json::json;
    /// let store = MemoryDriver::new();
    /// let db = Database::builder().driver(store.clone()).open().await?;
    /// let users = db.collection("users");
    /// users.insert(&json!({"id": 1, "name": "Ada"})).await?;
    ///
    /// db.create_branch("staging").await?;
    /// let staging = Database::builder().driver(store).branch("staging").open().await?;
    /// staging.collection("users").query().delete().await?;
    ///
    /// assert_eq!(staging.collection("users").query().count().await?, 0);
    /// assert_eq!(users.query().count().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::BranchExists`]; [`Error::InvalidBranch`] if none can have that name, if there are 1,000, or if the store has no
    /// create-only puts. If the store fails midway, drop the branch and create it again.
    pub async fn create_branch(&self, name: &str) -> Result<Branch> {
        Box::pin(self.branch_off(name, None)).await
    }

    /// As [`create_branch`](Self::create_branch), of the database as it was at a moment of the past that is kept.
    ///
    /// # Errors
    /// As [`create_branch`](Self::create_branch) and [`at`](Self::at).
    pub async fn create_branch_at(&self, name: &str, point: impl Into<Point>) -> Result<Branch> {
        let seq = self.inner.resolve(point.into()).await?;
        Box::pin(self.branch_off(name, Some(seq))).await
    }

    /// The branches of this database, in the order of their names, as fresh as its reads are.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn branches(&self) -> Result<Vec<Branch>> {
        self.refresh(self.freshness()).await?;
        let all = |documents: &Documents, _| {
            documents.catalogue().branches().iter().map(|(name, pin)| Branch::new(name, pin)).collect()
        };
        Ok(self.inner.log.read(all)?)
    }

    /// Drops a branch of this database, as [`drop_database`](Self::drop_database) drops a database, and lets go of what this one kept
    /// for it. One that has branches itself is dropped too, and what it shares with them stays until they are dropped.
    ///
    /// One that was not finished is removed; so is one that somebody began to drop. The newest records of its log stay
    /// for a grace, as those of a database do: then a [sweep](Self::sweep) removes them, with what those wrote
    /// meanwhile who had not heard of it. [`drop_branch_and_wait`](Self::drop_branch_and_wait) waits for that.
    ///
    /// # Errors
    /// [`Error::UnknownBranch`]; otherwise if the store fails: then it can be dropped again.
    pub async fn drop_branch(&self, name: &str) -> Result<DropReport> {
        self.remove_branch(name, false).await
    }

    /// As [`drop_branch`](Self::drop_branch), and waits for a [grace](DatabaseBuilder::grace) until nobody can write to the branch any
    /// more: then all of it is gone but the record and the small object that say so.
    ///
    /// # Errors
    /// As [`drop_branch`](Self::drop_branch).
    pub async fn drop_branch_and_wait(&self, name: &str) -> Result<DropReport> {
        self.remove_branch(name, true).await
    }

    async fn remove_branch(&self, name: &str, wait: bool) -> Result<DropReport> {
        let inner = &self.inner;
        let Some(pin) = inner.find_branch(name).await? else {
            return Err(Error::UnknownBranch { name: name.to_owned() });
        };
        let (store, env, layout) = (&*inner.home.timed, &**inner.log.env(), inner.log.layout().branch(name));
        let origin = BranchOrigin { database: inner.log.database(), id: pin.id, fork: pin.fork };
        // It was removed before, or never came to be, and is not to come to be later; or it is there.
        let report = match origin.forbid(store, env, &layout).await? {
            true => DropReport::default(),
            false => {
                Box::pin(self.branch_builder(name).remove_branch(wait, pin.id, Some(inner.log.options().grace))).await?
            }
        };
        if report.held_by.is_empty() {
            inner.forget_branch(name, pin.id).await?;
        }
        if report.next_due.is_some() {
            inner.maintenance.gone_branches.note(pin.id, env.monotonic());
        }
        Ok(report)
    }

    async fn branch_off(&self, name: &str, at: Option<Seq>) -> Result<Branch> {
        let Inner { home, log, .. } = &*self.inner;
        let inner = &self.inner;
        let invalid = |reason: &str| Error::InvalidBranch { name: name.to_owned(), reason: reason.to_owned() };
        let unknown = || Error::UnknownBranch { name: name.to_owned() };
        if log.is_read_only() {
            return Err(LogError::ReadOnly.into());
        }
        if !log.can_branch() {
            return Err(invalid("the store of this database has no create-only puts"));
        }
        let builder = self.branch_builder(name);
        check_path(&builder.branch)?;
        let at = match at {
            None => None,
            Some(seq) if inner.keeps(seq)? => Some(seq),
            Some(_) => return Err(inner.expired()),
        };
        let id = log.env().random_128();
        inner.change_catalogue(Proposal::CreateBranch { name: name.to_owned(), id, at }).await?;
        let pin = log.read(|documents, _| documents.catalogue().branches().get(name))?;
        let pin = pin.filter(|pin| pin.id == id).ok_or_else(unknown)?;
        // What it begins with stays from now on.
        let (covers, manifest) = inner.nearest_checkpoint(pin.base)?;
        if covers != pin.base {
            return Err(inner.expired());
        }
        let manifest = manifest.map(|(manifest, hash)| (covers, manifest, hash));
        let generation = log.env().wall_clock().0.max(log.options().generation.saturating_add(1));
        let origin = BranchOrigin { database: log.database(), id, fork: pin.fork };
        let layout = log.layout().branch(name);
        let mut forgotten = None;
        loop {
            match origin.create(&*home.timed, &**log.env(), &layout, forgotten).await? {
                Creation::There => break,
                // Whoever has a name has it in the catalogue first, and to the end. So whoever has it there, and finds another one,
                // finds one that was created too late: in a database that was dropped, or when it was dropped itself.
                Creation::Taken(other) if forgotten != Some(other) && inner.has_branch(name, id).await? => {
                    forgotten = Some(other);
                }
                // It was dropped before it was there.
                Creation::Taken(_) | Creation::Gone => return Err(unknown()),
            }
        }
        let store =
            BranchDriver::new(home.timed.clone(), (home.timed_store(log.env()), log.layout()), &layout, &origin);
        let store = builder.unsealing(Arc::new(store), log.env(), &layout);
        let base = BranchBase { manifest, fork: pin.fork, generation };
        let written = log.write_branch(&store, &layout, &base).await;
        // Whoever dropped this database, or the branch, before it was there, did not wait for it, and may have removed what it
        // shares.
        let is_dropped = match inner.has_branch(name, id).await {
            Ok(true) => return Ok(written.map(|()| Branch::new(name, pin))?),
            Ok(false) => unknown(),
            Err(error @ Error::Log(LogError::Dropped { .. })) => error,
            Err(error) => return Err(written.err().map_or(error, Error::from)),
        };
        let layout = layout.with_fork(origin.fork);
        let begun = (&store, &layout, &origin);
        if let Err(error) = Box::pin(inner.undo_branch(builder, name, begun, &is_dropped)).await {
            tracing::warn!(%error, branch = name, "what is there of a branch that was dropped while it was created stays for now");
        }
        Err(is_dropped)
    }

    /// What opens a branch of this database.
    pub(crate) fn branch_builder(&self, name: &str) -> DatabaseBuilder {
        let mut builder = self.inner.same_builder();
        builder.branch.push(name.to_owned());
        builder
    }
}

impl Inner {
    /// What opens this database once more.
    pub(crate) fn same_builder(&self) -> DatabaseBuilder {
        let Self { home, log, commit_timeout, .. } = self;
        let mut builder = Database::builder()
            .shared_driver(home.raw.clone())
            .prefix(home.root.prefix())
            .commit_timeout(*commit_timeout)
            .request_timeout(home.request_timeout)
            .create(false);
        builder.environment = Some(log.env().clone());
        builder.branch.clone_from(&home.path);
        #[cfg(feature = "encryption")]
        {
            builder.encryption = self.encryption.as_ref().map(|driver| driver.keys().clone());
        }
        builder
    }

    async fn find_branch(&self, name: &str) -> Result<Option<BranchPin>> {
        self.log.refresh(Freshness::Strict).await?;
        Ok(self.log.read(|documents, _| documents.catalogue().branches().get(name))?)
    }

    /// Whether a branch has its name, and was not dropped.
    async fn has_branch(&self, name: &str, id: [u8; 16]) -> Result<bool> {
        Ok(self.find_branch(name).await?.is_some_and(|pin| pin.id == id))
    }

    /// Removes a branch that this process created, when it or this database had been dropped already.
    async fn undo_branch(
        &self,
        builder: DatabaseBuilder,
        name: &str,
        (store, layout, origin): (&Arc<dyn Driver>, &Layout, &BranchOrigin),
        is_dropped: &Error,
    ) -> Result<()> {
        let (env, timed) = (self.log.env(), &*self.home.timed);
        match drop_begun(store, env, layout, origin, Some(self.log.options().grace)).await? {
            Some(tombstone) => {
                remove_dropped(store, env, layout, &tombstone, false).await?;
                origin.retire(timed, &**env, &self.log.layout().branch(name)).await?;
            }
            // Somebody wrote to it in that moment.
            None => _ = builder.clone().remove_branch(false, origin.id, Some(self.log.options().grace)).await?,
        }
        match is_dropped {
            // What it held of that may go, too.
            Error::Log(LogError::Dropped { .. }) => builder.forget_upwards(origin.id, false).await,
            _ => Ok(()),
        }
    }

    /// Lets go of what all branches need: they are those of the database that this one is a copy of.
    pub(crate) async fn forget_branches(self: &Arc<Self>) -> Result<()> {
        let all = |documents: &Documents, _| -> Vec<(String, BranchPin)> {
            documents.catalogue().branches().iter().map(|(name, pin)| (name.to_owned(), pin)).collect()
        };
        for (name, pin) in self.log.read(all)? {
            self.forget_branch(&name, pin.id).await?;
        }
        Ok(())
    }

    /// Removes what branches have left that are gone.
    pub(crate) async fn sweep_branches(&self, report: &mut SweepReport) -> Result<()> {
        if !self.log.can_branch() {
            return Ok(());
        }
        let all = |documents: &Documents, _| -> BTreeMap<String, [u8; 16]> {
            documents.catalogue().branches().iter().map(|(name, pin)| (name.to_owned(), pin.id)).collect()
        };
        let living = self.log.read(all)?;
        let (store, env, keys) = (&self.home.timed, self.log.env(), self.same_builder());
        let (layout, grace) = (self.log.layout(), self.log.options().grace);
        let branches = Branches { store: &**store, env, layout, living: &living, grace };
        let known = &self.maintenance.gone_branches;
        let found = branches.remove_gone(known, false, |place| keys.unsealing(store.clone(), env, place)).await?;
        report.looked_at += found.looked_at;
        report.removed += found.left.removed;
        report.next_due = found.left.next_due;
        Ok(())
    }

    /// Lets go of what a branch needed. One that is not known any more is gone.
    async fn forget_branch(self: &Arc<Self>, name: &str, id: [u8; 16]) -> Result<()> {
        match self.change_catalogue(Proposal::DropBranch { name: name.to_owned(), id }).await {
            Ok(_) | Err(Error::UnknownBranch { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl DatabaseBuilder {
    /// Drops the branch that this opens, and removes what is its own, if it is that with an id: another one may have its name by now.
    /// `grace` is what it has, if that is known: one that was cut off when it was created does not say.
    pub(crate) async fn remove_branch(
        mut self,
        wait: bool,
        id: [u8; 16],
        grace: Option<Duration>,
    ) -> Result<DropReport> {
        let parts = match self.parts().await {
            Ok(parts) if parts.home.origin.is_some_and(|origin| origin.id == id) => parts,
            Ok(_) | Err(Error::Log(LogError::NoDatabase { .. })) => return Ok(DropReport::default()),
            Err(error) => return Err(error),
        };
        let tombstone = match self.write_drop(&parts).await {
            // Nobody ever wrote to it, and nobody is to come to; or what it was to share is gone.
            Err(Error::Log(
                error @ (LogError::UnfinishedBranch { .. } | LogError::Missing { .. } | LogError::NoDatabase { .. }),
            )) => parts.drop_begun(error, grace).await?,
            tombstone => tombstone?,
        };
        let report = parts.remove_dropped(&tombstone, wait).await?;
        if report.held_by.is_empty() {
            parts.retire().await?;
        }
        Ok(report)
    }

    /// Lets go of the branch that this opened, which is gone, wherever something was kept for it: in the database that it was a
    /// branch of, and if that was dropped, and nothing holds it any more, it is removed as well, and so on.
    pub(crate) async fn forget_upwards(mut self, mut id: [u8; 16], wait: bool) -> Result<()> {
        while let Some(name) = self.branch.pop() {
            let parts = self.parts().await?;
            let error = match self.clone().create(false).open().await {
                Ok(db) => {
                    db.inner.forget_branch(&name, id).await?;
                    return db.close().await;
                }
                Err(Error::Log(error @ LogError::Dropped { .. })) => error,
                Err(error) => return Err(error),
            };
            let tombstone = parts.find_dropped(error).await?;
            let report = parts.remove_dropped(&tombstone, wait).await?;
            let Some(origin) = parts.home.origin.filter(|_| report.held_by.is_empty()) else { return Ok(()) };
            parts.retire().await?;
            id = origin.id;
        }
        Ok(())
    }
}
