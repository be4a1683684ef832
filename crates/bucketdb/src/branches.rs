//! Branches: writable copies of a database as it was at a moment, which share what was there with it.

use std::sync::Arc;

use bucketdb_documents::{BranchPin, Proposal};
use bucketdb_driver::Driver;
use bucketdb_env::{Random, WallTime};
use bucketdb_log::{
    BranchBase, BranchDriver, BranchOrigin, ChainHash, DropReport, Freshness, LogError, Seq, find_dropped,
    remove_dropped, remove_unfinished,
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
        Box::pin(self.inner.create_branch(name, None)).await
    }

    /// As [`create_branch`](Self::create_branch), of the database as it was at a moment of the past that is kept.
    ///
    /// # Errors
    /// As [`create_branch`](Self::create_branch) and [`at`](Self::at).
    pub async fn create_branch_at(&self, name: &str, point: impl Into<Point>) -> Result<Branch> {
        let seq = self.inner.resolve(point.into()).await?;
        Box::pin(self.inner.create_branch(name, Some(seq))).await
    }

    /// The branches of this database, in the order of their names, as fresh as its reads are.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn branches(&self) -> Result<Vec<Branch>> {
        self.refresh(self.freshness()).await?;
        let all = |documents: &bucketdb_documents::Documents, _| {
            documents.catalogue().branches().iter().map(|(name, pin)| Branch::new(name, pin)).collect()
        };
        Ok(self.inner.log.read(all)?)
    }

    /// Drops a branch of this database, as [`drop_database`](Self::drop_database) drops a database, and lets go of what this one kept
    /// for it. One that has branches itself is dropped too, and what it shares with them stays until they are dropped.
    ///
    /// One that was not finished is removed; so is one that somebody began to drop. The newest records of its log stay, as those of
    /// a database do, and nothing removes them later: [`drop_branch_and_wait`](Self::drop_branch_and_wait) does.
    ///
    /// # Errors
    /// [`Error::UnknownBranch`]; otherwise if the store fails: then it can be dropped again.
    pub async fn drop_branch(&self, name: &str) -> Result<DropReport> {
        self.remove_branch(name, false).await
    }

    /// As [`drop_branch`](Self::drop_branch), and waits for a [grace](DatabaseBuilder::grace) until nobody can write to the branch any
    /// more: then all of it is gone but the one record that says so.
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
        let origin =
            BranchOrigin::read(&*inner.home.timed, &**inner.log.env(), &inner.log.layout().branch(name)).await?;
        let report = match origin {
            Some(origin) if origin.id == pin.id => Box::pin(self.branch_builder(name).remove_branch(wait)).await?,
            // It was removed before, or never came to be, and is not to come to be later.
            _ => {
                let origin = BranchOrigin { database: inner.log.database(), id: pin.id, fork: pin.fork };
                origin.retire(&*inner.home.timed, &**inner.log.env(), &inner.log.layout().branch(name)).await?;
                DropReport::default()
            }
        };
        if report.held_by.is_empty() {
            inner.forget_branch(name, pin.id).await?;
        }
        Ok(report)
    }

    /// What opens a branch of this database.
    pub(crate) fn branch_builder(&self, name: &str) -> DatabaseBuilder {
        let mut builder = self.same_builder();
        builder.branch.push(name.to_owned());
        builder
    }

    /// What opens this database once more.
    pub(crate) fn same_builder(&self) -> DatabaseBuilder {
        let Inner { home, log, commit_timeout, .. } = &*self.inner;
        let mut builder = Self::builder()
            .shared_driver(home.raw.clone())
            .prefix(home.root.prefix())
            .commit_timeout(*commit_timeout)
            .create(false);
        builder.environment = Some(log.env().clone());
        builder.branch.clone_from(&home.path);
        #[cfg(feature = "encryption")]
        {
            builder.encryption = self.inner.keys.clone();
        }
        builder
    }
}

impl Inner {
    async fn find_branch(&self, name: &str) -> Result<Option<BranchPin>> {
        self.log.refresh(Freshness::Strict).await?;
        Ok(self.log.read(|documents, _| documents.catalogue().branches().get(name))?)
    }

    /// As [`forget_branch`](Self::forget_branch), whichever has the name.
    pub(crate) async fn forget_branch_named(self: &Arc<Self>, name: &str) -> Result<()> {
        match self.find_branch(name).await? {
            Some(pin) => self.forget_branch(name, pin.id).await,
            None => Ok(()),
        }
    }

    /// Lets go of what a branch needed. One that is not known any more is gone.
    async fn forget_branch(self: &Arc<Self>, name: &str, id: [u8; 16]) -> Result<()> {
        match self.change_catalogue(Proposal::DropBranch { name: name.to_owned(), id }).await {
            Ok(_) | Err(Error::UnknownBranch { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn create_branch(self: &Arc<Self>, name: &str, at: Option<Seq>) -> Result<Branch> {
        let log = &self.log;
        let invalid = |reason: &str| Error::InvalidBranch { name: name.to_owned(), reason: reason.to_owned() };
        if log.is_read_only() {
            return Err(LogError::ReadOnly.into());
        }
        if !log.can_branch() {
            return Err(invalid("the store of this database has no create-only puts"));
        }
        let path: Vec<String> = self.home.path.iter().cloned().chain([name.to_owned()]).collect();
        check_path(&path)?;
        let at = match at {
            None => None,
            Some(seq) if self.keeps(seq)? => Some((seq, self.nearest_checkpoint(seq)?.0)),
            Some(_) => return Err(self.expired()),
        };
        let id = log.env().random_128();
        self.change_catalogue(Proposal::CreateBranch { name: name.to_owned(), id, at }).await?;
        let (pin, known) = log.read(|documents, _| {
            let base = documents.base();
            let kept = base.retained.iter().map(|kept| (kept.covers, kept.manifest.clone(), ChainHash(kept.hash)));
            let last = (base.covers, String::new(), ChainHash::default());
            (documents.catalogue().branches().get(name), kept.chain([last]).collect::<Vec<_>>())
        })?;
        let pin = pin.filter(|pin| pin.id == id).ok_or_else(|| Error::UnknownBranch { name: name.to_owned() })?;
        let last = log.last_checkpoint().map(|last| (last.covers, last.manifest, last.manifest_hash));
        let begins_with = |covers: Seq| covers == pin.base;
        let base = last.into_iter().chain(known).find(|(covers, ..)| begins_with(*covers));
        // What it begins with stays from now on.
        let Some((covers, manifest, hash)) = base else { return Err(self.expired()) };
        let manifest = Some((covers, manifest, hash)).filter(|(_, manifest, _)| !manifest.is_empty());
        let generation = log.env().wall_clock().0.max(log.options().generation.saturating_add(1));
        let origin = BranchOrigin { database: log.database(), id, fork: pin.fork };
        let layout = log.layout().branch(name);
        if !origin.create(&*self.home.timed, &**log.env(), &layout).await? {
            // It was dropped before it was there.
            return Err(Error::UnknownBranch { name: name.to_owned() });
        }
        let home = &self.home;
        let store = BranchDriver::new(home.timed.clone(), (home.store.clone(), log.layout()), &layout, &origin);
        let store = self.sealing(Arc::new(store), &layout);
        let base = BranchBase { manifest, fork: pin.fork, generation };
        log.write_branch(&store, &layout, &base).await?;
        // Whoever dropped this database before it saw the branch removed what that shares with it.
        match self.find_branch(name).await? {
            Some(found) if found.id == id => Ok(Branch::new(name, pin)),
            _ => Err(Error::UnknownBranch { name: name.to_owned() }),
        }
    }

    /// A store in which what is written is encrypted, if this database is.
    #[cfg(feature = "encryption")]
    fn sealing(&self, store: Arc<dyn Driver>, layout: &bucketdb_log::Layout) -> Arc<dyn Driver> {
        match self.keys.clone() {
            Some(keys) => Arc::new(crate::encryption::seal(store, keys, self.log.env().clone(), layout)),
            None => store,
        }
    }

    #[cfg(not(feature = "encryption"))]
    #[expect(clippy::unused_self, reason = "what it has of keys is another feature")]
    fn sealing(&self, store: Arc<dyn Driver>, _: &bucketdb_log::Layout) -> Arc<dyn Driver> {
        store
    }
}

impl DatabaseBuilder {
    /// Drops the branch that this opens, and removes what is its own; that something is there at all is known.
    pub(crate) async fn remove_branch(mut self, wait: bool) -> Result<DropReport> {
        let (raw, store, env, layout) = self.parts().await?;
        let origin = BranchOrigin::read(&*raw, &*env, &layout).await?;
        let tombstone = match self.write_drop((&store, &env, &layout)).await {
            // Nobody ever wrote to it.
            Err(Error::Log(LogError::UnfinishedBranch { .. })) => None,
            tombstone => Some(tombstone?),
        };
        // Nothing more of one that is not finished comes to be from then on, as far as that can be told.
        if let Some(origin) = origin.filter(|_| tombstone.is_none()) {
            origin.retire(&*raw, &*env, &layout).await?;
        }
        let report = match tombstone {
            Some(tombstone) => remove_dropped(&store, &env, &layout, &tombstone, wait).await?,
            None => {
                remove_unfinished(&*store, &*env, &layout).await?;
                DropReport::default()
            }
        };
        if let Some(origin) = origin.filter(|_| report.held_by.is_empty()) {
            origin.retire(&*raw, &*env, &layout).await?;
        }
        Ok(report)
    }

    /// Lets go of the branch that this opened, which is gone, wherever something was kept for it: in the database that it was a
    /// branch of, and if that was dropped, and nothing holds it any more, it is removed as well, and so on.
    pub(crate) async fn forget_upwards(mut self, id: [u8; 16], wait: bool) -> Result<()> {
        let mut id = id;
        loop {
            let Some(name) = self.branch.pop() else { return Ok(()) };
            let (raw, store, env, layout) = self.parts().await?;
            match self.clone().create(false).open().await {
                Ok(db) => {
                    db.inner.forget_branch(&name, id).await?;
                    return db.close().await;
                }
                Err(Error::Log(error @ LogError::Dropped { .. })) => {
                    let tombstone = find_dropped(&store, &env, &layout).await?.ok_or(error)?;
                    let report = remove_dropped(&store, &env, &layout, &tombstone, wait).await?;
                    let origin = BranchOrigin::read(&*raw, &*env, &layout).await;
                    if !report.held_by.is_empty() || self.branch.is_empty() {
                        return Ok(());
                    }
                    let Some(origin) = origin? else { return Ok(()) };
                    origin.retire(&*raw, &*env, &layout).await?;
                    id = origin.id;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
