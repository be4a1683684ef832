//! The storage contract of BucketDB: what a place must offer to hold a database, and what comes with it.
//!
//! A [`Driver`] has four methods: get, put with a condition, delete, list. Everything else has a default built on
//! those four. A database is as safe as its driver is truthful, so the [`conformance`] suite is public: run it
//! against a driver of your own.
//!
//! This crate knows no database: no log, no record, no document.

mod delay;
mod driver;
mod error;
mod fault;
#[cfg(unix)]
mod file;
mod key;
mod memory;
mod metered;

pub mod conformance;

pub use delay::DelayDriver;
pub use driver::{Capabilities, Condition, Driver, ETag, Listed, Object, Page, Support};
pub use error::{DriverError, ErrorKind, Operation, Result};
pub use fault::{Fault, FaultDriver};
#[cfg(unix)]
pub use file::FileDriver;
pub use key::{InvalidKey, Key, MAX_KEY_BYTES};
pub use memory::MemoryDriver;
pub use metered::{Latency, MeteredDriver, OperationUsage, Usage};
