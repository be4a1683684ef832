//! A place that holds backups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bucketdb_driver::Key;
use bucketdb_env::Environment;
use bucketdb_log::{Layout, LogError, Seq, retry};

use super::copying::{Content, Side};
use super::listing::{FOLDER, Item, Listing, Unreadable};
use crate::{Error, Place, Result};

/// Where copies of objects are, below the prefix. Their names are not those of a database's layout: nobody can open a backup as
/// a database and write to it.
const OBJECTS: &str = "objects/";

/// A place that holds backups of one database, or none yet.
#[derive(Clone, Debug)]
pub(super) struct Vault {
    pub(super) side: Side,
    pub(super) place: String,
    layout: Layout,
}

/// What is in a place that holds backups.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The copies by the names of their originals, with their sizes in bytes where the store tells them in a listing.
    pub(super) objects: BTreeMap<String, Option<u64>>,
    /// The moments, in ascending order.
    pub(super) moments: Vec<Seq>,
}

impl Vault {
    pub(super) fn new(place: &Place, env: Arc<dyn Environment>) -> Result<Self> {
        let layout = Layout::new(place.prefix()).map_err(LogError::from)?;
        Ok(Self { side: Side::new(place.driver().clone(), env), place: place.describe(), layout })
    }

    pub(super) fn prefix(&self) -> &str {
        self.layout.prefix()
    }

    /// The key of the copy of an object.
    pub(super) fn key_of(&self, name: &str) -> Key {
        self.layout.key(&format!("{OBJECTS}{}", name.replacen('/', "-", 1)))
    }

    pub(super) fn listing_key(&self, seq: Seq) -> Key {
        self.layout.key(&Listing::name_of(seq))
    }

    pub(super) fn unusable(&self, reason: impl Into<String>) -> Error {
        Error::Backup { place: self.place.clone(), reason: reason.into() }
    }

    /// What is there. One request for every 1,000 objects.
    pub(super) async fn contents(&self) -> Result<Contents> {
        let mut contents = Contents::default();
        for folder in [FOLDER, OBJECTS] {
            let prefix = format!("{}{folder}", self.layout.prefix());
            for (key, size_bytes) in list(&self.side, &prefix).await? {
                let name = key.as_str().strip_prefix(self.layout.prefix()).unwrap_or_default();
                match name.strip_prefix(OBJECTS) {
                    Some(name) => _ = contents.objects.insert(name.replacen('-', "/", 1), size_bytes),
                    None => contents.moments.extend(Listing::parse_name(name)),
                }
            }
        }
        Ok(contents)
    }

    /// What a database held at a moment of which there is a backup.
    pub(super) async fn listing(&self, seq: Seq) -> Result<Listing> {
        let key = self.listing_key(seq);
        let found = retry(&*self.side.env, || self.side.driver.get(&key)).await.map_err(LogError::from)?;
        let object = key.as_str().to_owned();
        Listing::decode(&found.body, seq).map_err(|error| {
            Error::Log(match error {
                Unreadable::Damaged(detail) => LogError::Damaged { object, detail: detail.to_owned() },
                Unreadable::Newer(version) => {
                    let detail = format!("it has format version {version}, and this version knows 1");
                    LogError::NeedsNewerVersion { object, detail }
                }
            })
        })
    }

    /// The newest listing that can be read, of those of these moments: it tells what need not be copied again.
    pub(super) async fn newest_listing(&self, moments: &[Seq]) -> Result<Option<Listing>> {
        for seq in moments.iter().rev() {
            match self.listing(*seq).await {
                Ok(listing) => return Ok(Some(listing)),
                Err(error @ Error::Log(LogError::Damaged { .. })) => {
                    tracing::warn!(%error, "a backup cannot be restored: what it has is compared with what is there");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Whether a backup needs an object to be this.
    pub(super) async fn is_listed(&self, moments: &[Seq], name: &str, content: Content) -> Result<bool> {
        for seq in moments {
            let listing = match self.listing(*seq).await {
                Err(Error::Log(LogError::Damaged { .. })) => continue,
                listing => listing?,
            };
            if listing.item(name).is_some_and(|item| item.content() == content) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Listing {
    pub(super) fn item(&self, name: &str) -> Option<&Item> {
        let at = self.items.binary_search_by(|item| item.name.as_str().cmp(name)).ok()?;
        self.items.get(at)
    }

    pub(super) fn by_name(self) -> HashMap<String, Content> {
        self.items.into_iter().map(|item| (item.name.clone(), item.content())).collect()
    }
}

impl Item {
    pub(super) fn content(&self) -> Content {
        Content { size_bytes: self.size_bytes, hash: self.hash }
    }
}

/// All keys below a prefix, with the sizes of their objects where the store tells them.
pub(super) async fn list(side: &Side, prefix: &str) -> Result<Vec<(Key, Option<u64>)>> {
    let (mut found, mut next) = (Vec::new(), None::<String>);
    loop {
        let page = retry(&*side.env, || side.driver.list(prefix, next.as_deref())).await.map_err(LogError::from)?;
        found.extend(page.objects.into_iter().map(|object| (object.key, object.size_bytes)));
        match page.next {
            Some(more) => next = Some(more),
            None => return Ok(found),
        }
    }
}
