//! The database as applications use it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it fails")]

mod answers;
mod backup;
mod batches;
mod blob_model;
mod blobs;
mod branch_model;
mod branches;
mod bulk_loads;
mod caches;
mod collections;
mod conditions;
mod damage;
mod dropping;
mod encryption;
mod feeds;
mod feeds_of_loads;
mod floor;
mod freshness;
mod indexes;
mod isolation;
mod key_types;
mod migration_steps;
mod migrations;
mod model;
mod named_snapshots;
mod numbers;
mod opening;
mod orders;
mod processes;
mod queries;
mod query_writes;
mod requests;
mod scans;
mod schemas;
mod serial_model;
mod several_databases;
mod snapshots;
mod support;
mod tables;
mod text_type_versions;
mod text_types;
mod transactions;
mod ttl;
mod unique;
