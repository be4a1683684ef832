//! Several databases in one store: which there are, and how one is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::Driver;
use bucketdb_env::Environment;
use bucketdb_log::{
    Branches, DatabaseId, DropReport, GoneBranches, Layout, LogError, Tombstone, drop_begun, find_dropped,
    list_databases, remove_dropped,
};

use crate::home::Home;
use crate::place::address_of;
use crate::{Database, DatabaseBuilder, Error, Result};

/// A database that was found in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDatabase {
    /// Its name: what [`Database::drop_database`] asks for.
    pub name: String,
    /// Its prefix: empty, or ending in one `/`.
    pub prefix: String,
    /// Its id; `None` if what it holds cannot be read, because it is damaged, from a newer version, or encrypted with a key
    /// that was not given.
    pub database: Option<DatabaseId>,
    /// Whether it was dropped, and no other one was created in its place.
    pub is_dropped: bool,
}

/// The name of the database at a prefix: the prefix without the last `/`. One that has a store for itself is named as the
/// bucket or the folder is.
fn name_of(driver: &dyn Driver, layout: &Layout) -> String {
    if let Some(name) = layout.prefix().strip_suffix('/') {
        return name.to_owned();
    }
    let address = address_of(driver);
    let address = address.trim_end_matches('/');
    address.rsplit(['/', ':']).next().unwrap_or(address).to_owned()
}

fn check_name(given: &str, driver: &dyn Driver, layout: &Layout) -> Result<()> {
    let expected = name_of(driver, layout);
    if given.strip_suffix('/').unwrap_or(given) == expected {
        return Ok(());
    }
    Err(Error::WrongName { given: given.to_owned(), expected })
}

impl DatabaseBuilder {
    /// The databases at and below the prefix, in the order of their prefixes: of a store that holds many, without a prefix,
    /// all. With [encryption](Self::encryption), those that are encrypted with these keys can be told.
    ///
    /// What is inside a database is passed over, however much it is: each takes two listings and two gets as a rule.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_databases(mut self) -> Result<Vec<FoundDatabase>> {
        self.branch.clear();
        let Parts { home, env, .. } = self.parts().await?;
        let store = home.timed;
        let store_of = |layout: &Layout| self.unsealing(store.clone(), &env, layout);
        let found = list_databases(&store, &env, &home.layout, store_of).await?;
        let named = found.into_iter().map(|found| {
            let bucketdb_log::FoundDatabase { prefix, database, is_dropped } = found;
            let name = Layout::new(&prefix).map(|layout| name_of(&*store, &layout)).map_err(LogError::from)?;
            Ok(FoundDatabase { name, prefix, database, is_dropped })
        });
        named.collect()
    }

    /// The name of the database that this would open: what [`drop_database`](Self::drop_database) asks for.
    ///
    /// # Errors
    /// If the URL or the prefix is not understood.
    pub async fn database_name(&mut self) -> Result<String> {
        let Home { timed, layout, .. } = self.parts().await?.home;
        Ok(name_of(&*timed, &layout))
    }

    /// Drops the database, as [`Database::drop_database`] does, or goes on with that where somebody was cut off. With
    /// `wait`, it waits, for a [grace](Self::grace) at most, until nothing of it has to stay but the one record that
    /// says so. Without, where the store tells the time, whoever calls it again after the grace removes the rest; see
    /// [`DropReport::is_dated`].
    ///
    /// # Errors
    /// [`Error::WrongName`]; [`LogError::NoDatabase`] if there is none, and what is wrong with it if it cannot be opened.
    pub async fn drop_database(mut self, name: &str, wait: bool) -> Result<DropReport> {
        self = self.create(false);
        let parts = self.parts().await?;
        check_name(name, &*parts.home.timed, &parts.home.layout)?;
        let Some(origin) = parts.home.origin else {
            let tombstone = self.write_drop(&parts).await?;
            return parts.remove_dropped(&tombstone, wait).await;
        };
        let report = Box::pin(self.clone().remove_branch(wait, origin.id, self.grace)).await?;
        if report.held_by.is_empty() {
            Box::pin(self.forget_upwards(origin.id, wait)).await?;
        }
        Ok(report)
    }

    /// The record that says that what this opens is dropped, which is written unless it is there.
    pub(crate) async fn write_drop(self, parts: &Parts) -> Result<Tombstone> {
        let commit_timeout = self.commit_timeout;
        match self.create(false).open().await {
            // Another branch has the name by now.
            Ok(db) if db.inner.home.origin != parts.home.origin => {
                let place = parts.home.layout.prefix().to_owned();
                Err(LogError::NoDatabase { place }.into())
            }
            Ok(db) => {
                let dropped = db.inner.log.drop_database(commit_timeout).await;
                let _ = db.inner.log.close(commit_timeout).await;
                Ok(dropped?)
            }
            Err(Error::Log(error @ LogError::Dropped { .. })) => parts.find_dropped(error).await,
            Err(error) => Err(error),
        }
    }

    /// A store as the database at a layout is read from it, and written: with its keys, if it is encrypted.
    #[cfg(feature = "encryption")]
    pub(crate) fn unsealing(
        &self,
        store: Arc<dyn Driver>,
        env: &Arc<dyn Environment>,
        layout: &Layout,
    ) -> Arc<dyn Driver> {
        match self.encryption.clone() {
            Some(keys) => Arc::new(crate::encryption::seal(store, keys, env.clone(), layout)),
            None => store,
        }
    }

    #[cfg(not(feature = "encryption"))]
    #[expect(clippy::unused_self, reason = "what it has of keys is another feature")]
    pub(crate) fn unsealing(&self, store: Arc<dyn Driver>, _: &Arc<dyn Environment>, _: &Layout) -> Arc<dyn Driver> {
        store
    }

    pub(crate) async fn parts(&mut self) -> Result<Parts> {
        let (driver, prefix) = self.place().await?;
        let env = self.environment_or_default();
        let home = Home::find(driver, &env, &prefix, (self.branch.clone(), self.request_timeout)).await?;
        let store = self.unsealing(home.timed_store(&env), &env, &home.layout);
        Ok(Parts { home, store, env, builder: self.clone() })
    }
}

/// What it takes to look after a database that may not open.
pub(crate) struct Parts {
    pub(crate) home: Home,
    /// The store as the database sees it, which answers every request in time, with its keys.
    pub(crate) store: Arc<dyn Driver>,
    pub(crate) env: Arc<dyn Environment>,
    /// What has its keys.
    builder: DatabaseBuilder,
}

impl Parts {
    /// The record that says that the database was dropped; `otherwise` if there is another one by now.
    pub(crate) async fn find_dropped(&self, otherwise: LogError) -> Result<Tombstone> {
        let found = find_dropped(&self.store, &self.env, &self.home.layout).await?;
        Ok(found.ok_or(otherwise)?)
    }

    /// Says that a branch is dropped to which nobody ever wrote, without opening it; `otherwise` if it is more than that.
    pub(crate) async fn drop_begun(&self, otherwise: LogError, grace: Option<Duration>) -> Result<Tombstone> {
        let Some(origin) = &self.home.origin else { return Err(otherwise.into()) };
        let found = drop_begun(&self.store, &self.env, &self.home.layout, origin, grace).await?;
        Ok(found.ok_or(otherwise)?)
    }

    /// Removes what the database has left, and what those of its branches have that are gone.
    pub(crate) async fn remove_dropped(&self, tombstone: &Tombstone, wait: bool) -> Result<DropReport> {
        let Self { home, store, env, .. } = self;
        let remove = async |wait| remove_dropped(store, env, &home.layout, tombstone, wait).await;
        let mut report = remove(false).await?;
        if !report.held_by.is_empty() {
            return Ok(report);
        }
        let known = GoneBranches::default();
        let mut gone = self.remove_gone_branches(&known, tombstone.grace, false).await?;
        let again = |before: &DropReport, now: DropReport| DropReport { removed: before.removed + now.removed, ..now };
        if wait && report.next_due.is_some() {
            report = again(&report, remove(true).await?);
        }
        // What was waited for counts for these, too.
        if wait && gone.next_due.is_some() {
            gone = again(&gone, self.remove_gone_branches(&known, tombstone.grace, true).await?);
        }
        report.add(gone);
        Ok(report)
    }

    async fn remove_gone_branches(&self, known: &GoneBranches, grace: Duration, wait: bool) -> Result<DropReport> {
        let Self { home, env, builder, .. } = self;
        let (store, living) = (&home.timed, BTreeMap::new());
        let branches = Branches { store: &**store, env, layout: &home.layout, living: &living, grace };
        let found = branches.remove_gone(known, wait, |place| builder.unsealing(store.clone(), env, place)).await?;
        Ok(found.left)
    }

    /// Says that a branch is gone; nothing if this is none.
    pub(crate) async fn retire(&self) -> Result<()> {
        let Home { origin, timed, layout, .. } = &self.home;
        match origin {
            Some(origin) => Ok(origin.retire(&**timed, &*self.env, layout).await?),
            None => Ok(()),
        }
    }
}

impl Database {
    /// The name of the database: its prefix without the last `/`. One that has a store for itself is named as the bucket or
    /// the folder is.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(&**self.inner.log.driver(), self.inner.log.layout())
    }

    /// Drops the database with all that is in it. Its [name](Self::name) is asked for, so that it is not the wrong one.
    ///
    /// One record says so, and cannot be taken back: from then on, every process that reads on answers
    /// [`LogError::Dropped`] to whatever it is asked. Then the objects are removed, but for the newest records of the
    /// log: these stay for a [grace](DatabaseBuilder::grace), since a process that writes at the same moment must find
    /// its place taken. The database that is created there next removes them in due time, or
    /// [`DatabaseBuilder::drop_database`] does, which can wait, or be called again.
    ///
    /// Whoever opens it anew, and [may create](DatabaseBuilder::create) one, creates another database in its place. It has an id
    /// of its own, and goes on with the positions of the log, so that nothing that was on its way to the one that was dropped
    /// ever gets into it.
    ///
    /// # Errors
    /// [`Error::WrongName`]; the store's error otherwise. If the record was written, whoever drops it again goes on.
    pub async fn drop_database(&self, name: &str) -> Result<DropReport> {
        let log = &self.inner.log;
        check_name(name, &**log.driver(), log.layout())?;
        if log.layout().is_branch() {
            // What it is a branch of has to let go of it, too.
            return Box::pin(self.inner.same_builder().drop_database(name, false)).await;
        }
        let tombstone = log.drop_database(self.inner.commit_timeout).await?;
        let (home, store) = (self.inner.home.clone(), log.timed_driver().clone());
        let parts = Parts { home, store, env: log.env().clone(), builder: self.inner.same_builder() };
        parts.remove_dropped(&tombstone, false).await
    }
}
