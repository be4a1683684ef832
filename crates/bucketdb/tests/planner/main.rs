//! Whether the planner takes a good way, judged by what it takes: every way that there is to answer a query is gone, each by a
//! process that has nothing in memory, and its requests and bytes are counted.
//!
//! The table in `docs/planner.md` is printed by
//! `cargo test -p bucketdb --release --test planner -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it fails")]

mod data;
mod first_match;
mod shapes;
mod suite;
