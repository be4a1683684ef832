//! Runs the real library on virtual time against a hostile store, and checks what clients saw.

mod environment;
mod executor;
mod random;
mod scenario;
mod scenarios;
mod stage;
mod store;
mod trace;

pub use environment::{EPOCH, MachineClock, SimEnvironment};
pub use executor::{Executor, GroupId, Limits, Scheduler, Sleep, Stuck};
pub use random::SimRandom;
pub use scenario::{SCENARIOS, Scenario};
pub use store::{FaultCounts, Faults, Latencies, Latency, ProcessId, Reach, SimStore, StoreUsage, StoreWorld};
pub use trace::Trace;
