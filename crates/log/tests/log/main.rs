//! The log as its users see it, on stores that behave and stores that do not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it fails"
)]

mod ambiguity;
mod checkpoints;
mod closing;
mod contention;
mod damage;
mod deletion;
mod drop_unseen;
mod dropped_again;
mod dropping;
mod liar;
mod lying_stores;
mod many_writers;
mod opening;
mod outcomes;
mod per_session;
mod performance;
#[cfg(feature = "simulation")]
mod planted;
mod removed_records;
mod requests;
mod support;
mod upkeep_model;
mod upkeep_races;
