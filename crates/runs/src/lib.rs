//! Immutable sorted runs: one object each, in which every key stands once, in order, with its newest row or the note
//! that it was deleted.
//!
//! - [`RunStore`] knows where the runs of one database are. It opens and writes them, and checks them whole.
//! - [`Run`] reads one: single keys, many keys at once, stretches of keys in both directions.
//! - [`Merge`] puts several sources, newest first, into one order.
//! - [`Cache`] keeps what was read, by bytes, for all runs of a process; [`DiskCache`] does so in files.
//! - [`RunMeta`] is what has to be kept of a run elsewhere; [`mod@format`] says what is stored.
//!
//! What a key or a row means, and which runs make up a database, is not known here.

mod block;
mod cache;
mod compression;
mod disk_cache;
mod entry;
mod error;
mod filter;
mod finishing;
mod flights;
mod footer;
mod key_table;
mod many;
mod merge;
mod meta;
mod name;
mod partition;
mod probe;
mod read_ahead;
mod run;
mod scan;
mod separator;
mod store;
mod stretch;
mod strip;
mod upload;
mod verify;
mod window;
mod writer;

pub mod format;

pub use cache::Cache;
pub use disk_cache::{DiskCache, FileSealer};
pub use entry::RunEntry;
pub use error::{Result, RunError};
pub use finishing::Finishing;
pub use merge::{Merge, MergeSource};
pub use meta::RunMeta;
pub use name::{InvalidRunName, RunName};
pub use probe::{LookedAt, Probe};
pub use run::Run;
pub use scan::{Direction, RunScan, ScanOptions};
pub use store::RunStore;
pub use stretch::Stretch;
pub use strip::{Numbers, StripId};
pub use verify::RunReport;
pub use writer::{RunOptions, RunWriter};
