use bucketdb_documents::TableStats;
use bucketdb_driver::Usage;
use bucketdb_log::{DatabaseId, NodeId, Seq, SlotNames};

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
    /// Its tables, by name.
    pub tables: Vec<NamedTableStats>,
    /// The requests of this process since it opened the database.
    pub usage: Usage,
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
