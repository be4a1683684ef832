//! What the benches share: tables with where they come from, and a store for peers whose requests are watched, and settings of one of these.

pub mod report;
#[cfg(feature = "peers")]
pub mod slate_settings;
#[cfg(feature = "peers")]
pub mod watched;
