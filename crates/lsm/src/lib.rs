//! A log-structured merge tree (O'Neil et al., "The Log-Structured Merge-Tree", 1996) of sorted runs in an object store.
//!
//! A [`Tree`] is a list of [`Tier`]s, newest first; a tier is a list of runs whose key ranges do not meet. Of a key, the
//! newest tier that has an entry decides. Trees never change: [`plan`] says which tiers should become one, [`Work`] does
//! a piece of that and gives the next tree, of which the caller makes a checkpoint.
//!
//! Keys are bytes here. What they mean, the first four included, by which [`Totals`] are kept, is the business of whoever
//! uses the tree.

mod plan;
mod probe;
mod scan;
mod tier;
mod tier_writer;
mod totals;
mod tree;
mod work;

pub use plan::{Plan, Policy, plan, plan_full, plan_pressing};
pub use probe::RunProbe;
pub use scan::TreeScan;
pub use tier::{Tier, TierRun};
pub use tier_writer::TierWriter;
pub use totals::{GROUP_BYTES, Totals, TotalsByGroup};
pub use tree::{Merging, Tree};
pub use work::{Built, Fate, Fates, Flush, KEEPS_ALL, Work, WorkError};
