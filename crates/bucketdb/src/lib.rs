//! BucketDB is a document database whose only server is an object-storage bucket.
//!
//! Open a [`Database`] on a bucket, a folder or memory, and any number of processes can share it: every change is one
//! record in a totally ordered log, created with one conditional put, and nothing is ever lost or overwritten.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), bucketdb::Error> {
//! use bucketdb::{Database, Document, MemoryDriver};
//!
//! #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, Document)]
//! #[document(table = "users", version = 1)]
//! struct User {
//!     #[document(key)]
//!     id: String,
//!     name: String,
//!     age: u8,
//! }
//!
//! let db = Database::builder().driver(MemoryDriver::new()).open().await?;
//! let users = db.table::<User>().await?;
//! let alice = User { id: "u_1".into(), name: "Alice".into(), age: 41 };
//! users.insert(&alice).await?;
//! users.update("u_1", |user| user.age += 1).await?;
//! let adults = users.query().filter(User::AGE.ge(18)).order_by(User::NAME).fetch().await?;
//! assert_eq!(adults, [User { age: 42, ..alice }]);
//! db.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Database::table`] gives a [`Table`] of a Rust type, [`Database::collection`] a [`Collection`] of JSON documents;
//!   both see the same data.
//! - [`Database::batch`] changes several tables at once.
//! - [`Freshness`] says how much a read may lag behind other processes, and so what it costs.
//! - [`Driver`] is all that a store must offer; [`conformance`] checks one of your own.
//! - [`Error`] tells what can be done about a failure.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

mod aggregates;
mod backup;
mod batch;
mod blobs;
mod branches;
mod builder;
mod bulk_load;
mod checkpoint;
mod collection;
mod common_rows;
mod cursor;
mod database;
mod databases;
mod definitions;
mod differences;
mod document;
mod earlier;
#[cfg(feature = "encryption")]
mod encryption;
mod endings;
mod entry_rows;
mod error;
mod feed;
mod fields_of;
mod flush;
mod home;
mod index_build;
mod index_scan;
mod indexes;
mod infer;
mod keeping;
mod key_bounds;
mod maintenance;
mod migration;
mod moment;
mod named_snapshot;
mod nested_fields;
mod origin;
mod others_work;
mod outcome;
mod page;
mod page_cursor;
mod past;
mod patch;
mod place;
mod plan;
mod point;
mod projection;
mod query;
mod reading;
mod request;
mod retention;
mod room;
mod row_reader;
mod row_scan;
mod rows;
mod seen;
mod sieve;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod snapshot;
mod sorting;
mod stats;
mod stored_document;
mod stretch;
mod table;
mod transact;
mod transaction;
mod verify;
mod versioned;
mod writes;
mod written;

/// Lets the derive macro's code, which says `::bucketdb`, work in this crate's own tests.
#[cfg(test)]
extern crate self as bucketdb;

pub use aggregates::Grouped;
pub use backup::{BackupMoment, BackupReport, Backups, CopyProgress, RestoreReport};
pub use batch::{Batch, Nested, Root};
pub use blobs::{BlobReader, Blobs};
pub use branches::Branch;
pub use bucketdb_derive::{Document, DocumentKey};
pub use bucketdb_documents::row::RowError;
pub use bucketdb_documents::{
    AsKey, Blob, DocumentKey, EncodedKey, Field, FieldType, InvalidBlob, InvalidSchema, KeyField, KeyFloat, KeyPart,
    KeyType, NestedType, Presence, RemovedField, Schema, SchemaBuilder, StandIn, TableStats,
};
#[cfg(unix)]
pub use bucketdb_driver::FileDriver;
pub use bucketdb_driver::{
    Capabilities, Condition, DelayDriver, Driver, DriverError, ETag, ErrorKind, Fault, FaultDriver, InvalidKey, Key,
    Latency, Listed, MemoryDriver, MeteredDriver, Object, Operation, OperationUsage, Page, Support, Usage, conformance,
};
#[cfg(feature = "encryption")]
pub use bucketdb_encryption::{
    EncryptedDriver, EncryptionKey, EncryptionKeys, InvalidEncryptionKey, KeyId, RekeyReport,
};
pub use bucketdb_env::{Environment, TokioEnvironment, WallTime};
pub use bucketdb_log::{
    Commit, CommitId, CommitOutcome, DatabaseId, DropReport, Freshness, GarbageReport, InvalidPrefix, Layout, LogError,
    LogTime, NodeId, Seq, SessionId, SlotNames, StoreCheck, StoreReport, SweepReport, Tail, Verdict,
};
#[cfg(feature = "azure")]
pub use bucketdb_object_store::AzureDriver;
#[cfg(feature = "gcs")]
pub use bucketdb_object_store::GcsDriver;
#[cfg(feature = "s3")]
pub use bucketdb_object_store::S3Driver;
pub use bucketdb_query::{
    Aggregate, AggregateTerm, Aggregation, AnyColumn, Column, Comparison, Direction, Expression, Filter, Function,
    Grouping, Number, Operand, Order, OrderTerm, ParseError, Path, Segment, Selection, SumType, TextType, TextValue,
    TypedFilter, TypedOrder,
};
#[cfg(feature = "redis")]
pub use bucketdb_redis::{RedisDriver, RedisUrl};
pub use bucketdb_runs::Cache;
pub use builder::DatabaseBuilder;
pub use bulk_load::{BulkLoad, BulkLoaded, Duplicates};
pub use collection::Collection;
pub use cursor::{Cursor, InvalidCursor, Since};
pub use database::Database;
pub use databases::FoundDatabase;
pub use definitions::TableDefinition;
pub use differences::{Difference, Differences};
pub use document::Document;
pub use earlier::EarlierDocument;
pub use error::{Error, Result};
pub use feed::{Change, ChangeKind, Feed, Previous};
pub use indexes::{BuiltDocuments, IndexInfo, IndexProgress};
pub use infer::{InferredField, InferredSchema};
pub use maintenance::CompactReport;
pub use migration::{Migration, MigrationProgress};
pub use named_snapshot::NamedSnapshot;
pub use page::DocumentPage;
pub use page_cursor::{InvalidPageCursor, PageCursor};
pub use place::Place;
pub use plan::{Explained, Explanation, Taken, Way};
pub use point::Point;
pub use query::Query;
pub use rows::Stored;
pub use snapshot::{Snapshot, SnapshotCollection, SnapshotTable};
pub use stats::{DatabaseStats, MemoryStats, NamedTableStats, StorageSize, TierStats};
pub use table::Table;
pub use transact::{TransactOptions, Transacted};
pub use transaction::Transaction;
pub use verify::{Finding, Verification, VerifyProgress};
pub use versioned::Versioned;
