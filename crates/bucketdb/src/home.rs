//! Where a database is: at a prefix of a store, or, if it is a branch, in that which it is a branch of.

use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::Driver;
use bucketdb_env::Environment;
use bucketdb_log::{BranchOrigin, Layout, LogError, MAX_BRANCH_DEPTH, TimedDriver, is_branch_name, open_branch_store};

use crate::{Error, Result};

/// Where a database is.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The store.
    pub(crate) raw: Arc<dyn Driver>,
    /// The same, which answers every request in time.
    pub(crate) timed: Arc<dyn Driver>,
    /// The store as the database sees it: itself, or that of the branch. What is in there may be encrypted.
    pub(crate) store: Arc<dyn Driver>,
    pub(crate) layout: Layout,
    /// What the branch comes of; `None` if it is none.
    pub(crate) origin: Option<BranchOrigin>,
    /// The place of the database that the first of these is a branch of.
    pub(crate) root: Layout,
    /// The names on the way to the branch; none if it is none.
    pub(crate) path: Vec<String>,
    /// How long a request may take.
    pub(crate) request_timeout: Duration,
}

impl Home {
    /// The database at a prefix, or the branch of it to which a path leads. One get for each name.
    ///
    /// # Errors
    /// [`LogError::NoDatabase`] if there is no such branch; otherwise if the store fails.
    pub(crate) async fn find(
        raw: Arc<dyn Driver>,
        env: &Arc<dyn Environment>,
        prefix: &str,
        (path, request_timeout): (Vec<String>, Duration),
    ) -> Result<Self> {
        let root = Layout::new(prefix).map_err(LogError::from)?;
        check_path(&path)?;
        let timed: Arc<dyn Driver> = Arc::new(TimedDriver::new(raw.clone(), env.clone(), request_timeout));
        let (store, layout, origin) = open_branch_store(&raw, &*timed, &**env, &root, &path).await?;
        Ok(Self { raw, timed, store, layout, origin, root, path, request_timeout })
    }

    /// The store as the database sees it, which answers every request in time.
    pub(crate) fn timed_store(&self, env: &Arc<dyn Environment>) -> Arc<dyn Driver> {
        Arc::new(TimedDriver::new(self.store.clone(), env.clone(), self.request_timeout))
    }
}

/// # Errors
/// [`Error::InvalidBranch`] if no branch can be there.
pub(crate) fn check_path(path: &[String]) -> Result<()> {
    let invalid = |reason: String| Err(Error::InvalidBranch { name: path.join("/"), reason });
    if path.len() > MAX_BRANCH_DEPTH {
        return invalid(format!("branches of branches are at most {MAX_BRANCH_DEPTH} deep"));
    }
    match path.iter().find(|name| !is_branch_name(name)) {
        Some(name) => invalid(format!("{name:?} is no name of a branch")),
        None => Ok(()),
    }
}
