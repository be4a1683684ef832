//! Drivers for S3-compatible stores, Google Cloud Storage and Azure Blob Storage.
//!
//! All three speak through the `object_store` crate; what this crate adds is what a database needs to trust them:
//!
//! - **A conditional put is sent exactly once.** A client that repeats it after a lost answer can lose to its own first
//!   attempt and report a conflict that never was. So each driver holds two clients over one connection pool: one
//!   without retries for puts with a condition, one with a few retries for everything that may be repeated. Both are
//!   built here, which is why a client of one's own comes in as a builder and not as a built client.
//! - **Errors by the store's own answer.** Status and error code of the last answer decide, not the text of an error:
//!   a missing bucket is not a missing object, and a conflict in flight is not a condition that failed.
//! - **Conditions as each store has them.** ETags on S3 and Azure, generations on Google Cloud Storage; stores that are
//!   known to ignore or refuse conditions get [`Unsupported`](bucketdb_driver::ErrorKind::Unsupported) before anything
//!   is sent.
//! - **Listings as they are.** Names that no [`Key`](bucketdb_driver::Key) can have, such as the `folder/` markers that
//!   web consoles leave, are passed over.
//!
//! This crate knows no database: no log, no record, no document.

mod azure;
mod config;
mod connector;
mod delete;
mod error;
mod gcs;
mod listing;
mod read;
mod s3;
mod service;
mod store;
mod upload;
mod xml;

pub use azure::{AzureBuilder, AzureDriver};
pub use config::ConfigError;
pub use gcs::{GcsBuilder, GcsDriver};
pub use s3::{S3Builder, S3Driver};

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod tests;
