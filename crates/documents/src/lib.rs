//! Keys, rows, schemas, and the state that a log of document writes adds up to.
//!
//! - [`EncodedKey`] is a primary key whose bytes compare as the key does.
//! - [`row`] is how a document is stored.
//! - [`Schema`] describes a table; the [`Catalogue`] holds all of them.
//! - [`Documents`] is the [`StateMachine`](bucketdb_log::StateMachine): every row of every table, in order, with the
//!   versions that open snapshots still read.
//!
//! This crate knows the log's records, and no store: it never sees a driver, an object or a request.

mod base;
mod base_index;
mod base_scan;
mod blob;
mod blob_claim;
mod catalogue;
mod documents;
mod epoch;
mod evolution;
mod facts;
mod field;
mod group;
mod index;
mod index_range;
mod index_value;
mod key;
mod key_type;
mod layout;
mod loaded;
mod lookup;
mod overlay;
mod overlay_index;
mod pins;
mod read_set;
mod recent_writes;
mod refusal;
mod run_key;
mod schema;
mod stand_in;
mod succession;
mod transaction;
mod ttl;

pub mod row;

pub use base::{Base, Retained};
pub use base_index::{BaseIndex, IndexBuilt};
pub use base_scan::{
    BaseRows, BaseScan, IndexBaseScan, index_entry, index_run_entry, index_run_entry_ends_ms, run_entry,
};
pub use blob::{Blob, InvalidBlob, MAX_BLOB_BYTES, blob_name, blobs_in, blobs_of_row, new_blob};
pub use blob_claim::{BlobClaim, ClaimRow};
pub use catalogue::{
    BranchPin, BranchPins, Catalogue, MAX_BRANCHES, MAX_SNAPSHOT_NAME_BYTES, MAX_SNAPSHOTS, Migrated, NamedPosition,
    NamedSnapshots, TableEntry, TableId,
};
pub use documents::{
    Claim, Documents, IndexExtent, IndexPage, IndexState, MOST_SKEW_MS, Proposal, RunStoreFor, ScanPage, TableStats,
    Write, has_any,
};
pub use evolution::Evolution;
pub use facts::Facts;
pub use field::{Field, FieldType, NestedType, Presence};
pub use group::Group;
pub use index::{Index, IndexDefinition, IndexEntry, IndexId, IndexValues, indexed_document};
pub use index_range::{IndexCondition, IndexRange};
pub use key::{EncodedKey, InvalidKeyBytes, KeyFloat, KeyPart, MAX_KEY_BYTES};
pub use key_type::{AsKey, DocumentKey, KeyFromValueError, KeyType, key_from_text, key_from_value};
pub use layout::{Layout, Layouts};
pub use loaded::{LoadScan, Loaded, LoadedRow};
pub use lookup::{Lookup, RunLookup};
pub use overlay::{Found, Leftover, Scan, ScanRow, WrittenRow};
pub use read_set::{KeyRange, ReadSet};
pub use recent_writes::Before;
pub use refusal::Refusal;
pub use run_key::{is_index_group, of_run_key, put_run_key, run_group};
pub use schema::{InvalidSchema, KeyField, Schema, SchemaBuilder};
pub use stand_in::{RemovedField, StandIn};
pub use transaction::{Change, ChangeKind, Condition, Transaction};
pub use ttl::{Expiry, Ttl};
