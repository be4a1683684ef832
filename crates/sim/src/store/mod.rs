//! A store in virtual time, as hostile as its [`Faults`] say, and exact in what it promises.

mod archive;
mod bucket;
mod driver;
mod faults;
mod latency;
mod usage;
mod world;

pub(crate) use archive::{Archive, Records, position};
pub use driver::SimStore;
pub use faults::{Faults, Reach};
pub use latency::{Latencies, Latency};
pub use usage::{FaultCounts, StoreUsage};
pub use world::{ProcessId, StoreWorld};

#[cfg(test)]
mod tests;
