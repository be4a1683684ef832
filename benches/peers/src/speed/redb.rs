//! redb: one table of bytes by key.

use std::sync::Arc;

use anyhow::{Result, bail};
use redb::backends::InMemoryBackend;
use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::engine::{CACHE_BYTES, Engine, Place};
use super::item::Item;

const ITEMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("items");

/// Documents in one transaction while loading.
const BATCH: u64 = 100_000;

#[derive(Clone)]
pub(crate) struct Redb {
    db: Arc<Database>,
    /// It has one writer at a time, for which others wait with their threads; so that these can do something else.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Redb {
    fn write<R: Item>(&self, items: impl Iterator<Item = R>) -> Result<()> {
        let mut transaction = self.db.begin_write()?;
        // Every commit is on the disk when it is answered.
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(ITEMS)?;
            for item in items {
                table.insert(item.text_key(), item.to_bytes().as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl<R: Item> Engine<R> for Redb {
    async fn create(place: &Place) -> Result<Self> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES as usize);
        let db = match place {
            Place::Memory => builder.create_with_backend(InMemoryBackend::new())?,
            Place::Files(folder) => {
                std::fs::create_dir_all(folder)?;
                builder.create(folder.join("redb"))?
            }
            Place::S3(_) => bail!("redb keeps nothing in a bucket"),
        };
        Ok(Self { db: Arc::new(db), turn: Arc::default() })
    }

    async fn load(&self, documents: u64) -> Result<()> {
        for first in (0..documents).step_by(BATCH as usize) {
            self.write((first..(first + BATCH).min(documents)).map(|number| R::make(number, 0)))?;
        }
        Ok(())
    }

    async fn ready(self) -> Result<Self> {
        Ok(self)
    }

    async fn put(&self, items: &[R]) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.write(items.iter().cloned())
    }

    async fn get(&self, key: &str) -> Result<Option<R>> {
        let table = self.db.begin_read()?.open_table(ITEMS)?;
        table.get(key)?.map(|bytes| R::from_bytes(key, bytes.value())).transpose()
    }

    async fn scan(&self, from: &str, rows: usize) -> Result<Vec<R>> {
        let table = self.db.begin_read()?.open_table(ITEMS)?;
        let found = table.range(from..)?.take(rows).map(|entry| {
            let (key, bytes) = entry?;
            R::from_bytes(key.value(), bytes.value())
        });
        found.collect()
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}
