//! SQLite: one table of blobs by key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use rusqlite::{Connection, OptionalExtension, Row};

use super::engine::{CACHE_BYTES, Engine, Place};
use super::item::Item;

/// Documents in one transaction while loading.
const BATCH: u64 = 100_000;

pub(crate) struct Lite {
    /// None in memory, where there is one connection.
    path: Option<PathBuf>,
    connection: Arc<Mutex<Connection>>,
    /// Only one of all connections writes at a time: without, others would fail or look again after a pause.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Lite {
    fn connect(path: &Path) -> Result<Connection> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // Every commit is on the disk when it is answered.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "mmap_size", CACHE_BYTES as i64)?;
        Ok(connection)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<R: Item>(&self, items: impl Iterator<Item = R>) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("insert or replace into items values (?, ?)")?;
            for item in items {
                insert.execute((item.text_key(), item.to_bytes()))?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Clone for Lite {
    /// A connection of its own, as every thread must have one.
    fn clone(&self) -> Self {
        let own = self.path.as_deref().map(|path| Self::connect(path).expect("what was opened can be opened again"));
        let connection = own.map_or_else(|| self.connection.clone(), |own| Arc::new(Mutex::new(own)));
        Self { path: self.path.clone(), connection, turn: self.turn.clone() }
    }
}

fn item<R: Item>(row: &Row<'_>) -> rusqlite::Result<Result<R>> {
    Ok(R::from_bytes(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_blob()?))
}

impl<R: Item> Engine<R> for Lite {
    async fn create(place: &Place) -> Result<Self> {
        let path = match place {
            Place::Memory => None,
            Place::Files(folder) => {
                std::fs::create_dir_all(folder)?;
                Some(folder.join("sqlite"))
            }
            Place::S3(_) => bail!("SQLite keeps nothing in a bucket"),
        };
        let connection = match &path {
            Some(path) => Self::connect(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.pragma_update(None, "cache_size", -(CACHE_BYTES as i64 / 1024))?;
        connection.execute("create table items (key text primary key, body blob not null) without rowid", [])?;
        Ok(Self { path, connection: Arc::new(Mutex::new(connection)), turn: Arc::default() })
    }

    async fn load(&self, documents: u64) -> Result<()> {
        for first in (0..documents).step_by(BATCH as usize) {
            self.write((first..(first + BATCH).min(documents)).map(|number| R::make(number, 0)))?;
        }
        Ok(())
    }

    async fn ready(self) -> Result<Self> {
        if self.path.is_some() {
            self.connection().execute_batch("pragma wal_checkpoint(truncate)")?;
        }
        Ok(self)
    }

    async fn put(&self, items: &[R]) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.write(items.iter().cloned())
    }

    async fn get(&self, key: &str) -> Result<Option<R>> {
        let connection = self.connection();
        let mut select = connection.prepare_cached("select key, body from items where key = ?")?;
        select.query_row([key], item).optional()?.transpose()
    }

    async fn scan(&self, from: &str, rows: usize) -> Result<Vec<R>> {
        let connection = self.connection();
        let mut select =
            connection.prepare_cached("select key, body from items where key >= ? order by key limit ?")?;
        let found = select.query_map((from, rows as i64), item)?;
        found.map(|item| item?).collect()
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}
