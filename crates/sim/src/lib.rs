//! Runs the real library on virtual time against a hostile store, and checks what clients saw.

mod batch;
mod bugs;
mod check;
mod cluster;
mod config;
mod contention;
mod environment;
mod executor;
mod jsonl;
mod keeper;
mod nemesis;
mod random;
mod report;
mod run;
mod scenario;
mod scenarios;
mod stage;
mod store;
mod trace;
mod workload;

pub use batch::{Batch, Totals};
pub use bugs::{bug_by_name, bug_names};
pub use check::Violation;
pub use config::{Config, MachineConfig, Truncation};
pub use contention::{CONTENTION_HEADER, Contention, ContentionReport};
pub use environment::{EPOCH, MachineClock, SimEnvironment};
pub use executor::{Executor, GroupId, Limits, Scheduler, Sleep, Stuck};
pub use jsonl::write_history;
pub use nemesis::Harm;
pub use random::SimRandom;
pub use report::{OutcomeCounts, Report};
pub use run::{RunOptions, run};
pub use scenario::{SCENARIOS, Scenario};
pub use store::{FaultCounts, Faults, Latencies, Latency, ProcessId, Reach, SimStore, StoreUsage, StoreWorld};
pub use trace::Trace;
pub use workload::{Moment, Operation, Outcome, Read, Seen, Work, Write};
