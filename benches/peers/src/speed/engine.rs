//! What is asked of every engine.

use std::path::PathBuf;

use anyhow::Result;

use super::item::Item;

/// What each engine may keep in memory of what it read: enough for everything.
pub(crate) const CACHE_BYTES: u64 = 1 << 30;

/// Where an engine keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    /// A new folder.
    Files(PathBuf),
}

impl Place {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Files(_) => "files",
        }
    }
}

/// A store of documents of one kind. A clone serves another task.
pub(crate) trait Engine<R: Item>: Clone + Send + Sync + 'static {
    /// Opens an empty one, as is best for what comes next: a load.
    fn create(place: &Place) -> impl Future<Output = Result<Self>> + Send;

    /// Brings documents 0 to `documents`, in this order.
    fn load(&self, documents: u64) -> impl Future<Output = Result<()>> + Send;

    /// After the load, as is best for everything else; what is not measured is done here.
    fn ready(self) -> impl Future<Output = Result<Self>> + Send;

    /// Writes documents in one commit, which is in the store when it is answered.
    fn put(&self, items: &[R]) -> impl Future<Output = Result<()>> + Send;

    fn get(&self, key: &str) -> impl Future<Output = Result<Option<R>>> + Send;

    /// So many documents from this key on, fewer at the end.
    fn scan(&self, from: &str, rows: usize) -> impl Future<Output = Result<Vec<R>>> + Send;

    fn close(self) -> impl Future<Output = Result<()>> + Send;
}
