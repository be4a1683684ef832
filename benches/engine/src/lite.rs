//! SQLite: one table of blobs by key. Every clone has a connection of its own, as every thread must.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension};

use crate::document::{Maker, Person};
use crate::engine::{Engine, Scanned};

pub struct Lite {
    path: PathBuf,
    cache_bytes: u64,
    mapped_bytes: u64,
    connection: Mutex<Connection>,
}

impl Lite {
    /// With so much of its own cache for every connection, and so much of the file mapped into memory.
    pub fn open(path: &Path, cache_bytes: u64, mapped_bytes: u64) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "cache_size", -(cache_bytes as i64 / 1024))?;
        connection.pragma_update(None, "mmap_size", mapped_bytes as i64)?;
        connection.execute("create table if not exists people (id integer primary key, person blob not null)", [])?;
        Ok(Self { path: path.to_owned(), cache_bytes, mapped_bytes, connection: Mutex::new(connection) })
    }

    pub fn load(&self, documents: u64) -> Result<()> {
        let mut maker = Maker::new();
        let mut connection = self.connection.lock().expect("nobody panics");
        for first in (0..documents).step_by(100_000) {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare("insert into people values (?, ?)")?;
                for id in first..(first + 100_000).min(documents) {
                    insert.execute((id as i64, maker.person(id, 0).encode()))?;
                }
            }
            transaction.commit()?;
        }
        connection.execute_batch("pragma wal_checkpoint(truncate)")?;
        Ok(())
    }

    fn each(&self, mut visit: impl FnMut(&[u8])) -> Result<()> {
        let connection = self.connection.lock().expect("nobody panics");
        let mut statement = connection.prepare_cached("select id, person from people order by id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(row.get_ref(1)?.as_blob()?);
        }
        Ok(())
    }
}

impl Clone for Lite {
    fn clone(&self) -> Self {
        Self::open(&self.path, self.cache_bytes, self.mapped_bytes).expect("what was opened can be opened again")
    }
}

impl Engine for Lite {
    const NAME: &'static str = "SQLite";

    async fn put(&self, people: Vec<Person>) -> Result<()> {
        let mut connection = self.connection.lock().expect("nobody panics");
        let transaction = connection.transaction()?;
        for person in people {
            transaction.execute("insert or replace into people values (?, ?)", (person.id as i64, person.encode()))?;
        }
        Ok(transaction.commit()?)
    }

    async fn get(&self, id: u64) -> Result<Option<Person>> {
        let connection = self.connection.lock().expect("nobody panics");
        let mut select = connection.prepare_cached("select person from people where id = ?")?;
        let person = select.query_row([id as i64], |row| Ok(Person::decode(row.get_ref(0)?.as_blob()?)));
        Ok(person.optional()?)
    }

    async fn scan_stored(&self) -> Result<u64> {
        let mut rows = 0;
        self.each(|bytes| rows += u64::from(!std::hint::black_box(bytes).is_empty()))?;
        Ok(rows)
    }

    async fn scan_typed(&self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        self.each(|bytes| scanned.add(&Person::decode(bytes)))?;
        Ok(scanned)
    }
}
