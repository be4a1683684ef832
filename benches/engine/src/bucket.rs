//! BucketDB through its public API.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use bucketdb::{Database, Driver, Duplicates, FileDriver, Table};
use futures::TryStreamExt;

use crate::document::{Maker, Person};
use crate::engine::{Engine, Scanned};

#[derive(Clone)]
pub struct Bucket {
    pub db: Database,
    pub people: Table<Person>,
}

impl Bucket {
    pub async fn open(driver: Arc<dyn Driver>, max_memory: u64) -> Result<Self> {
        let db = Database::builder().shared_driver(driver).max_memory(max_memory).open().await?;
        let people = db.table::<Person>().await?;
        Ok(Self { db, people })
    }

    pub async fn open_folder(folder: &Path, max_memory: u64) -> Result<Self> {
        Self::open(Arc::new(FileDriver::new(folder)?), max_memory).await
    }

    /// Loads documents as a user who has many would.
    pub async fn load(&self, documents: u64, shuffled: bool) -> Result<()> {
        let mut maker = Maker::new();
        let mut load = self.people.bulk_load(Duplicates::Fail).await?;
        for number in 0..documents {
            // A prime that divides none of the numbers of documents that anybody loads.
            let id = if shuffled { number * 7_368_787 % documents } else { number };
            load.add(maker.person(id, 0)).await?;
        }
        load.finish().await?;
        Ok(())
    }
}

impl Engine for Bucket {
    const NAME: &'static str = "BucketDB";

    async fn put(&self, people: Vec<Person>) -> Result<()> {
        let mut batch = self.db.batch();
        people.iter().try_for_each(|person| batch.put(person).map(drop))?;
        batch.commit().await?;
        Ok(())
    }

    async fn get(&self, id: u64) -> Result<Option<Person>> {
        Ok(self.people.get(id).await?)
    }

    /// The public API has no rows that are not decoded; `count` walks all of them, keys and bodies, and decodes none.
    async fn scan_stored(&self) -> Result<u64> {
        // Otherwise it would be answered from counters.
        Ok(self.people.query().without_index().count().await?)
    }

    async fn scan_typed(&self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        let mut people = std::pin::pin!(self.people.query().stream().await?);
        while let Some(person) = people.try_next().await? {
            scanned.add(&person);
        }
        Ok(scanned)
    }
}
