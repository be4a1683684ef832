use std::time::Duration;

use bucketdb_documents::TableStats;
use bucketdb_driver::Usage;
use bucketdb_log::{DatabaseId, NodeId, Seq, SlotNames, Tail};
use bucketdb_lsm::Tier;

/// What a database is and holds, and what this process has used of the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseStats {
    /// Its id, given when it was created.
    pub database: DatabaseId,
    /// The store and folder that it is in.
    pub store: String,
    /// Its prefix there.
    pub prefix: String,
    /// This node.
    pub node: NodeId,
    /// How many nodes take turns.
    pub ring_size: u16,
    /// How its log records are named: shared where the store honours create-only.
    pub slot_names: SlotNames,
    /// The position of the last record that this process has seen.
    pub position: Seq,
    /// The position that the last checkpoint covers; `None` before the first one.
    pub checkpoint: Option<Seq>,
    /// What of the log no checkpoint covers.
    pub tail: Tail,
    /// The oldest position that can be read.
    pub floor: Seq,
    /// For how long nothing is removed that somebody may still need.
    pub grace: Duration,
    /// For how long the past can be read.
    pub history: Duration,
    /// The tiers of sorted runs, newest first; those of bulk loads that no checkpoint covers come before all others.
    pub tiers: Vec<TierStats>,
    /// What this process keeps in memory.
    pub memory: MemoryStats,
    /// Its tables, by name.
    pub tables: Vec<NamedTableStats>,
    /// The requests of this process since it opened the database.
    pub usage: Usage,
}

/// A tier of sorted runs: no two of its runs have a key in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierStats {
    /// How many runs.
    pub runs: u64,
    /// How many rows, those included that only say that a document was deleted.
    pub rows: u64,
    /// The size of the runs as objects, in bytes.
    pub size_bytes: u64,
}

impl TierStats {
    pub(crate) fn of(tier: &Tier) -> Self {
        let (rows, _) = tier.entries();
        Self { runs: tier.runs().len() as u64, rows, size_bytes: tier.size_bytes() }
    }
}

/// What a process keeps of a database in memory, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// What was written since the last checkpoint, and what is kept for those who read earlier positions, in bytes.
    pub written_bytes: u64,
    /// Parts of sorted runs that were read, in bytes.
    pub cache_bytes: u64,
}

/// A table and how much it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTableStats {
    /// Its name.
    pub name: String,
    /// The newest version of its schema.
    pub schema_version: u32,
    /// How much it holds.
    pub stats: TableStats,
}

/// What the objects of a database take in its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageSize {
    /// How many objects.
    pub objects: u64,
    /// How many bytes; `None` if the store does not tell sizes in a listing.
    pub bytes: Option<u64>,
}
