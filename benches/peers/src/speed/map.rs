//! An ordered map of this process: what memory alone allows. It is in no store, and gone with the process.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Result, ensure};

use super::engine::{Engine, Place};
use super::item::Item;

#[derive(Clone, Default)]
pub(crate) struct Map(Arc<RwLock<BTreeMap<String, Vec<u8>>>>);

impl Map {
    fn write<R: Item>(&self, items: impl Iterator<Item = R>) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        map.extend(items.map(|item| (item.text_key().to_owned(), item.to_bytes())));
    }
}

impl<R: Item> Engine<R> for Map {
    async fn create(place: &Place) -> Result<Self> {
        ensure!(*place == Place::Memory, "a map has no files");
        Ok(Self::default())
    }

    async fn load(&self, documents: u64) -> Result<()> {
        (0..documents).for_each(|number| self.write(std::iter::once(R::make(number, 0))));
        Ok(())
    }

    async fn ready(self) -> Result<Self> {
        Ok(self)
    }

    async fn put(&self, items: &[R]) -> Result<()> {
        self.write(items.iter().cloned());
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<R>> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.get(key).map(|bytes| R::from_bytes(key, bytes)).transpose()
    }

    async fn scan(&self, from: &str, rows: usize) -> Result<Vec<R>> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.range(from.to_owned()..).take(rows).map(|(key, bytes)| R::from_bytes(key, bytes)).collect()
    }

    async fn close(self) -> Result<()> {
        Ok(())
    }
}
