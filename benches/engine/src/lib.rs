//! What the benches share: tables with where they come from, and a store for peers whose requests are watched.

pub mod report;
#[cfg(feature = "peers")]
pub mod watched;
