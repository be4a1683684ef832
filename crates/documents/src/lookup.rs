use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_lsm::Tier;
use bucketdb_runs::{RunEntry, RunError};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::{Base, EncodedKey, Found, TableId, run_key};

/// What the state in memory says of a row.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// All there is to say.
    Known(Option<Found>),
    /// That runs have to be asked.
    Runs(RunLookup),
    /// Nothing any more: the position is not kept.
    Expired,
}

/// A row that runs have to be asked for.
#[derive(Clone, Debug)]
pub struct RunLookup {
    /// The key in the runs.
    pub(crate) key: Bytes,
    /// What is known if no newer run has the key; `None` if the base has to be asked then.
    pub(crate) known: Option<Option<Found>>,
    /// Bulk-loaded runs that are newer than that, newest first.
    pub(crate) ingests: Vec<Tier>,
    pub(crate) base: Arc<Base>,
}

impl RunLookup {
    /// What a base has of a row, whatever was written since.
    #[must_use]
    pub fn in_base(base: &Arc<Base>, table: TableId, key: &EncodedKey) -> Self {
        Self { key: run_key::encode(table, key), known: None, ingests: Vec::new(), base: base.clone() }
    }

    /// The row, if all that it takes to tell is in memory.
    #[must_use]
    pub fn try_get(&self) -> Option<Option<Found>> {
        at_hand(self.ingests.iter(), self.known.as_ref(), &self.base, &self.key)
    }

    /// The row.
    ///
    /// # Errors
    /// If the store fails, or if a run is damaged or gone.
    pub async fn get(&self) -> Result<Option<Found>, RunError> {
        for run in self.ingests.iter().filter_map(|tier| tier.find(&self.key)) {
            if let Some(entry) = run.get(&self.key).await? {
                return Ok(found(entry));
            }
        }
        match &self.known {
            Some(known) => Ok(known.clone()),
            None => Ok(self.base.tree.get(&self.key).await?.and_then(found)),
        }
    }
}

impl RunLookup {
    /// The rows of many keys, as few requests as it takes.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many(lookups: &[Self]) -> Result<Vec<Option<Found>>, RunError> {
        // Most often all of them ask one base and nothing else.
        let base = lookups.first().map(|first| &first.base);
        let is_plain = |lookup: &Self| {
            let same = base.is_some_and(|base| Arc::ptr_eq(base, &lookup.base));
            same && lookup.known.is_none() && lookup.ingests.is_empty()
        };
        let Some(base) = base.filter(|_| lookups.iter().all(is_plain)) else {
            return stream::iter(lookups.to_vec()).map(get).buffered(PARALLEL_LOOKUPS).try_collect().await;
        };
        let mut order: Vec<usize> = (0..lookups.len()).collect();
        let key = |index: &usize| lookups.get(*index).map(|lookup| lookup.key.clone());
        order.sort_by_key(key);
        let keys: Vec<Bytes> = order.iter().filter_map(key).collect();
        let mut rows: Vec<Option<Found>> = vec![None; lookups.len()];
        for (index, entry) in order.into_iter().zip(base.tree.get_many(&keys).await?) {
            if let Some(row) = rows.get_mut(index) {
                *row = entry.and_then(found);
            }
        }
        Ok(rows)
    }
}

/// What bulk-loaded runs, newest first, then `known` or else the base say of a key in the runs, if all that it takes to tell
/// is in memory.
pub(crate) fn at_hand<'a>(
    ingests: impl Iterator<Item = &'a Tier>,
    known: Option<&Option<Found>>,
    base: &Base,
    key: &[u8],
) -> Option<Option<Found>> {
    for run in ingests.filter_map(|tier| tier.find(key)) {
        if let Some(entry) = run.try_get(key, false)? {
            return Some(found(entry));
        }
    }
    match known {
        Some(known) => Some(known.clone()),
        None => Some(base.tree.try_get(key)?.and_then(found)),
    }
}

async fn get(lookup: RunLookup) -> Result<Option<Found>, RunError> {
    lookup.get().await
}

/// So many rows are asked for at the same time where they cannot be asked for together.
const PARALLEL_LOOKUPS: usize = 16;

pub(crate) fn found(entry: RunEntry) -> Option<Found> {
    let RunEntry { seq, row, .. } = entry;
    row.map(|row: Bytes| Found { row, version: Seq(seq.0) })
}
