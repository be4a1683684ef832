use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_lsm::Tier;
use bucketdb_runs::{RunEntry, RunError};
use bytes::Bytes;

use crate::{Base, Found};

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
    /// The row, if all that it takes to tell is in memory.
    #[must_use]
    pub fn try_get(&self) -> Option<Option<Found>> {
        for run in self.ingests.iter().filter_map(|tier| tier.find(&self.key)) {
            if let Some(entry) = run.try_get(&self.key)? {
                return Some(found(entry));
            }
        }
        match &self.known {
            Some(known) => Some(known.clone()),
            None => Some(self.base.tree.try_get(&self.key)?.and_then(found)),
        }
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

pub(crate) fn found(entry: RunEntry) -> Option<Found> {
    let RunEntry { seq, row, .. } = entry;
    row.map(|row: Bytes| Found { row, version: Seq(seq.0) })
}
