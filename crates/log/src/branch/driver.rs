use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb_driver::{
    Capabilities, Condition, Driver, DriverError, ETag, ErrorKind, Key, Listed, Object, Operation, Page, Result,
};
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::branch::BranchOrigin;
use crate::layout::BRANCHES;
use crate::planted::{PlantedBug, is_planted};
use crate::{Layout, Seq};

/// What the names of log records begin with.
const LOG: &str = "log/";

/// The store of a branch, in which it looks like any other database: what is named for positions up to the fork is read from
/// its parent, and everything else is in its own place.
///
/// Nothing of the parent is ever written or removed through it (H16): puts are refused, and deletions do nothing. A listing
/// shows what is its own, and the parent's records up to the fork.
#[derive(Clone, Debug)]
pub struct BranchDriver {
    store: Arc<dyn Driver>,
    parent: Arc<dyn Driver>,
    parent_prefix: String,
    /// The prefix of the branch, as whoever uses this driver sees it.
    prefix: String,
    /// The prefix of its own objects in the store.
    own_prefix: String,
    fork: Seq,
}

/// Where an object is.
enum Routed {
    Own(Key),
    Parents(Key),
}

impl BranchDriver {
    /// Of the branch at a layout that came of `parent`, in the same store.
    #[must_use]
    pub fn new(
        store: Arc<dyn Driver>,
        (parent, parent_layout): (Arc<dyn Driver>, &Layout),
        branch: &Layout,
        origin: &BranchOrigin,
    ) -> Self {
        let prefix = branch.prefix().to_owned();
        let own_prefix = format!("{prefix}{:032x}/", u128::from_be_bytes(origin.id));
        Self { store, parent, parent_prefix: parent_layout.prefix().to_owned(), prefix, own_prefix, fork: origin.fork }
    }

    fn is_parents(&self, name: &str) -> bool {
        Layout::position_of(name).is_some_and(|seq| seq <= self.fork)
    }

    fn route(&self, key: &Key) -> Routed {
        match key.as_str().strip_prefix(&self.prefix) {
            Some(name) if self.is_parents(name) => Routed::Parents(with_prefix(&self.parent_prefix, name)),
            Some(name) if !name.starts_with(BRANCHES) => Routed::Own(with_prefix(&self.own_prefix, name)),
            _ => Routed::Own(key.clone()),
        }
    }

    /// Where an object is that is read.
    fn source(&self, key: &Key) -> (&Arc<dyn Driver>, Key) {
        match self.route(key) {
            Routed::Own(key) => (&self.store, key),
            Routed::Parents(key) => (&self.parent, key),
        }
    }

    /// Where an object is that is written.
    fn target(&self, key: &Key) -> Result<Key> {
        match self.route(key) {
            Routed::Own(key) => Ok(key),
            Routed::Parents(_) => {
                let detail = format!("it lies before position {}, up to which the branch shares its log", self.fork);
                Err(DriverError::new(ErrorKind::Permanent, Operation::Put, key.as_str(), detail))
            }
        }
    }

    /// What a page of its own objects is to those who use this driver.
    fn shown(&self, own: Page) -> Page {
        let show = |listed: Listed| {
            let name = listed.key.as_str().strip_prefix(&self.own_prefix)?;
            Some(Listed { key: with_prefix(&self.prefix, name), ..listed })
        };
        Page { objects: own.objects.into_iter().filter_map(show).collect(), next: own.next }
    }

    /// The objects below a prefix and behind a key, where records of the parent may be among them.
    async fn list_merged(&self, prefix: &str, after: Option<&Key>) -> Result<Page> {
        let wanted = prefix.strip_prefix(&self.prefix).unwrap_or_default();
        let behind = after.and_then(|after| after.as_str().strip_prefix(&self.prefix));
        let own_prefix = format!("{}{wanted}", self.own_prefix);
        let own = match behind {
            Some(name) => self.store.list_after(&own_prefix, &with_prefix(&self.own_prefix, name)).await?,
            None => self.store.list(&own_prefix, None).await?,
        };
        let own = self.shown(own);
        let parents = self.list_parents(wanted, behind).await?;
        // What one of the two may still show before the other's keys is not passed over.
        let reach = |page: &Page| page.next.is_some().then(|| page.objects.last().map(|last| last.key.clone()));
        let ends: Vec<Option<Key>> = [&own, &parents].into_iter().filter_map(reach).collect();
        let end = ends.iter().flatten().min().cloned();
        let goes_on = !ends.is_empty();
        if ends.iter().any(Option::is_none) && end.is_none() {
            let detail = "a page of a listing that goes on shows nothing";
            return Err(DriverError::new(ErrorKind::Transient, Operation::List, prefix, detail));
        }
        let mut objects: Vec<Listed> = own.objects.into_iter().chain(parents.objects).collect();
        objects.retain(|listed| end.as_ref().is_none_or(|end| listed.key <= *end));
        objects.sort_by(|one, other| one.key.cmp(&other.key));
        let next = end.filter(|_| goes_on).map(|end| end.as_str().to_owned());
        Ok(Page { objects, next })
    }

    /// The parent's records up to the fork that are wanted.
    async fn list_parents(&self, wanted: &str, behind: Option<&str>) -> Result<Page> {
        let last = Layout::slot_name(self.fork);
        let nothing = Page { objects: Vec::new(), next: None };
        if behind.is_some_and(|behind| behind >= last.as_str()) {
            return Ok(nothing);
        }
        let narrower = if wanted.starts_with(LOG) { wanted } else { LOG };
        let prefix = format!("{}{narrower}", self.parent_prefix);
        let mut page = match behind.filter(|behind| *behind >= LOG) {
            Some(behind) => self.parent.list_after(&prefix, &with_prefix(&self.parent_prefix, behind)).await?,
            None => self.parent.list(&prefix, None).await?,
        };
        let mut objects = Vec::with_capacity(page.objects.len());
        for listed in page.objects {
            let Some(name) = listed.key.as_str().strip_prefix(&self.parent_prefix) else { continue };
            match Layout::parse_record_name(name) {
                Some(record) if record.seq <= self.fork => {
                    objects.push(Listed { key: with_prefix(&self.prefix, name), ..listed });
                }
                Some(_) => {
                    page.next = None;
                    break;
                }
                None => {}
            }
        }
        Ok(Page { objects, next: page.next })
    }
}

fn with_prefix(prefix: &str, name: &str) -> Key {
    #[expect(clippy::expect_used, reason = "both are parts of keys, and prefixes leave room for names")]
    Key::new(format!("{prefix}{name}")).expect("a name below a checked prefix is a valid key")
}

#[async_trait]
impl Driver for BranchDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        let (store, key) = self.source(key);
        store.get(&key).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        self.store.put(&self.target(key)?, body, condition).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        match self.route(key) {
            Routed::Own(key) => self.store.delete(&key).await,
            Routed::Parents(key) if is_planted(PlantedBug::BranchRemovesParents) => self.parent.delete(&key).await,
            Routed::Parents(_) => Ok(()),
        }
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        let Some(wanted) = prefix.strip_prefix(&self.prefix).filter(|wanted| !wanted.starts_with(BRANCHES)) else {
            return self.store.list(prefix, continuation).await;
        };
        if LOG.starts_with(wanted) || wanted.starts_with(LOG) {
            let after = continuation
                .map(Key::new)
                .transpose()
                .map_err(|error| DriverError::new(ErrorKind::Permanent, Operation::List, prefix, error.to_string()))?;
            return self.list_merged(prefix, after.as_ref()).await;
        }
        let own = self.store.list(&format!("{}{wanted}", self.own_prefix), continuation).await?;
        Ok(self.shown(own))
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        let Some(wanted) = prefix.strip_prefix(&self.prefix).filter(|wanted| !wanted.starts_with(BRANCHES)) else {
            return self.store.list_after(prefix, after).await;
        };
        if LOG.starts_with(wanted) || wanted.starts_with(LOG) {
            return self.list_merged(prefix, Some(after)).await;
        }
        let own_prefix = format!("{}{wanted}", self.own_prefix);
        let own = match after.as_str().strip_prefix(&self.prefix) {
            Some(name) => self.store.list_after(&own_prefix, &with_prefix(&self.own_prefix, name)).await?,
            None => self.store.list(&own_prefix, None).await?,
        };
        Ok(self.shown(own))
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        let (store, key) = self.source(key);
        store.get_range(&key, range).await
    }

    async fn get_stream(&self, key: &Key) -> Result<BoxStream<'_, Result<Bytes>>> {
        let (store, key) = self.source(key);
        store.get_stream(&key).await
    }

    async fn put_stream(&self, key: &Key, pieces: BoxStream<'_, Result<Bytes>>, condition: Condition) -> Result<ETag> {
        self.store.put_stream(&self.target(key)?, pieces, condition).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        let own = |key: &Key| match self.route(key) {
            Routed::Own(key) => Some(key),
            Routed::Parents(key) if is_planted(PlantedBug::BranchRemovesParents) => Some(key),
            Routed::Parents(_) => None,
        };
        let keys: Vec<Key> = keys.iter().filter_map(own).collect();
        if keys.is_empty() { Ok(()) } else { self.store.delete_many(&keys).await }
    }

    async fn presign_get(&self, key: &Key, expires_in: Duration) -> Result<String> {
        let (store, key) = self.source(key);
        store.presign_get(&key, expires_in).await
    }

    async fn server_time(&self) -> Result<Option<SystemTime>> {
        self.store.server_time().await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn fingerprint(&self) -> String {
        self.store.fingerprint()
    }
}

#[cfg(test)]
mod tests;
