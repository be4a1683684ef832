//! A suite that any driver can be checked with.
//!
//! A [`Suite`] works in a scratch prefix of a store, tries everything that the contract of [`Driver`](crate::Driver)
//! promises and that can be tried from outside, and gives a [`Report`] of named checks. Each that failed says in a
//! sentence what the driver did and what it should have done.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() {
//! use std::sync::Arc;
//!
//! use bucketdb_driver::MemoryDriver;
//! use bucketdb_driver::conformance::Suite;
//! use bucketdb_env::TokioEnvironment;
//!
//! let suite = Suite::new(Arc::new(MemoryDriver::new()), Arc::new(TokioEnvironment::new()));
//! suite.rounds(20).run().await.assert_ok();
//! # }
//! ```
//!
//! Races need a runtime with several threads to be worth something. Races between processes take a few lines of the
//! test's own: each process calls [`race_worker`], then one of them hands what all have won to [`check_race`].
//!
//! What the suite cannot see is whether an acknowledged write survives a loss of power.

mod claims;
mod conditions;
mod context;
mod keys;
mod listing;
mod objects;
mod processes;
mod races;
mod report;
mod sizes;
mod suite;

pub use processes::{RaceFailure, check_race, race_worker};
pub use report::{Check, Outcome, Report};
pub use suite::Suite;

/// The guide for authors of drivers, whose code is thereby compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/writing-a-driver.md")]
struct WritingADriver;
