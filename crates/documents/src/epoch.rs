use std::sync::Arc;

use bucketdb_log::Seq;
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_lsm::Tier;

use crate::lookup::{self, Lookup, RunLookup};
use crate::overlay::Overlay;
use crate::{Base, EncodedKey, TableId, run_key};

/// What is needed to read at any position from that of a base on: the base, and what was written since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epoch {
    pub(crate) base: Arc<Base>,
    /// Runs that were bulk-loaded behind the base, oldest first.
    pub(crate) ingests: Vec<Ingest>,
    pub(crate) overlay: Overlay,
    /// Of an earlier epoch: the highest number of an index that its overlay knows.
    pub(crate) last_index: u32,
}

/// Runs that joined at one position, each entry of which counts as written there.
#[derive(Clone, Debug)]
pub(crate) struct Ingest {
    pub(crate) seq: Seq,
    /// Newest first.
    pub(crate) tiers: Vec<Tier>,
}

impl Epoch {
    /// Whether everything there is to know is in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.base.tree.is_empty() && self.ingests.is_empty()
    }

    /// The row of a key as of a position.
    pub(crate) fn lookup(&self, table: TableId, key: &EncodedKey, at: Seq) -> Lookup {
        let written = self.overlay.at(table, key, at);
        let since = written.as_ref().map(|version| version.seq);
        let has_newer = |ingest: &&Ingest| {
            let is_newer = |since| ingest.seq > since && !is_planted(PlantedBug::LoadBelowAll);
            ingest.seq <= at && since.is_none_or(is_newer)
        };
        if !self.ingests.iter().any(|ingest| has_newer(&ingest)) {
            match written {
                Some(version) => return Lookup::Known(version.found()),
                None if self.base.tree.is_empty() => return Lookup::Known(None),
                None => {}
            }
        }
        let known = written.map(|version| version.found());
        let newer = || self.ingests.iter().rev().filter(has_newer).flat_map(|ingest| &ingest.tiers);
        // Most reads end here, and none of them takes memory or a share of the base.
        let at_hand = run_key::with(table, key, |key| lookup::at_hand(newer(), known.as_ref(), &self.base, key));
        if let Some(found) = at_hand {
            return Lookup::Known(found);
        }
        let (key, ingests) = (run_key::encode(table, key), newer().cloned().collect());
        Lookup::Runs(RunLookup { key, known, ingests, base: self.base.clone() })
    }

    /// Bulk-loaded runs that are visible at a position, newest first.
    pub(crate) fn ingests_at(&self, at: Seq) -> Vec<Tier> {
        self.ingests.iter().rev().filter(|ingest| ingest.seq <= at).flat_map(|ingest| ingest.tiers.clone()).collect()
    }

    /// The position of the last bulk load behind the base.
    pub(crate) fn last_ingest(&self) -> Option<Seq> {
        self.ingests.last().map(|ingest| ingest.seq)
    }

    /// Whether an object is needed to read here, or at an earlier position that the base keeps.
    pub(crate) fn refers_to(&self, name: &str) -> bool {
        let loaded = self.ingests.iter().flat_map(|ingest| ingest.tiers.iter().flat_map(Tier::runs));
        self.base.objects().any(|needed| needed == name)
            || loaded.into_iter().any(|run| run.meta().name.to_string() == name)
    }
}
