//! BucketDB.

use std::sync::Arc;

use anyhow::Result;
use bucketdb::{Database, Driver, Duplicates, FileDriver, MemoryDriver, Table};

use super::engine::{CACHE_BYTES, Engine, Place};
use super::item::Item;

#[derive(Clone)]
pub(crate) struct Bucket<R: Item> {
    db: Database,
    table: Table<R>,
}

impl<R: Item> Engine<R> for Bucket<R> {
    async fn create(place: &Place) -> Result<Self> {
        let (driver, prefix): (Arc<dyn Driver>, _) = match place {
            Place::Memory => (Arc::new(MemoryDriver::new()), ""),
            Place::Files(folder) => (Arc::new(FileDriver::new(folder)?), ""),
            Place::S3(bucket) => (Arc::new(bucket.driver()?), bucket.prefix.as_str()),
        };
        // Half of it is for what is read.
        let builder = Database::builder().shared_driver(driver).prefix(prefix);
        let db = builder.max_memory(2 * CACHE_BYTES).open().await?;
        let table = db.table::<R>().await?;
        Ok(Self { db, table })
    }

    async fn load(&self, documents: u64) -> Result<()> {
        let mut load = self.table.bulk_load(Duplicates::Fail).await?;
        for number in 0..documents {
            load.add(&R::make(number, 0)).await?;
        }
        load.finish().await?;
        Ok(())
    }

    async fn ready(self) -> Result<Self> {
        Ok(self)
    }

    async fn put(&self, items: &[R]) -> Result<()> {
        if let [item] = items {
            self.table.put(item).await?;
            return Ok(());
        }
        let mut batch = self.db.batch();
        items.iter().try_for_each(|item| batch.put(item).map(drop))?;
        batch.commit().await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<R>> {
        Ok(self.table.get(key).await?)
    }

    async fn scan(&self, from: &str, rows: usize) -> Result<Vec<R>> {
        Ok(self.table.query().keys(from.to_owned()..).limit(rows).fetch().await?)
    }

    async fn close(self) -> Result<()> {
        Ok(self.db.close().await?)
    }
}
