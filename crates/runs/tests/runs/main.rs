//! Runs as their users see them.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops where it fails")]

mod damage;
mod measure;
mod model;
mod read_ahead;
mod requests;
mod support;
mod threads;
mod writing;
