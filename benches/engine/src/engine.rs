//! What is asked of every engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::document::Person;

/// What a scan saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    pub rows: u64,
    pub digest: u64,
}

impl Scanned {
    pub fn add(&mut self, person: &Person) {
        self.rows += 1;
        self.digest = self.digest.wrapping_mul(31).wrapping_add(person.digest());
    }
}

/// A store of documents. Clones share what they can and serve another task.
pub trait Engine: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    /// Writes documents in one commit, which is durable as far as the engine makes it so.
    fn put(&self, people: Vec<Person>) -> impl Future<Output = Result<()>> + Send;

    /// A document by its key.
    fn get(&self, id: u64) -> impl Future<Output = Result<Option<Person>>> + Send;

    /// Visits every stored row, and decodes none.
    fn scan_stored(&self) -> impl Future<Output = Result<u64>> + Send;

    /// Visits every document.
    fn scan_typed(&self) -> impl Future<Output = Result<Scanned>> + Send;
}

/// An ordered map in memory, and the peers' decoding. Clones share it.
#[derive(Clone)]
pub struct Map(Arc<BTreeMap<[u8; 8], Vec<u8>>>);

impl Map {
    pub fn new(people: impl Iterator<Item = Person>) -> Self {
        Self(Arc::new(people.map(|person| (person.id.to_be_bytes(), person.encode())).collect()))
    }
}

impl Engine for Map {
    const NAME: &'static str = "ordered map";

    async fn put(&self, _: Vec<Person>) -> Result<()> {
        bail!("a map that is shared without a lock is made anew instead")
    }

    async fn get(&self, id: u64) -> Result<Option<Person>> {
        Ok(self.0.get(&id.to_be_bytes()).map(|bytes| Person::decode(bytes)))
    }

    async fn scan_stored(&self) -> Result<u64> {
        Ok(self.0.values().map(|bytes| u64::from(!std::hint::black_box(bytes).is_empty())).sum())
    }

    async fn scan_typed(&self) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        self.0.values().for_each(|bytes| scanned.add(&Person::decode(bytes)));
        Ok(scanned)
    }
}
