//! The checkers on histories written by hand, each with one anomaly or none, and on histories made at random.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops where it fails")]

mod bank;
mod claims;
mod counter;
mod exhaustive;
mod format;
mod list_append;
mod list_values;
mod random;
mod register;
mod serial;
mod speed;
mod support;
