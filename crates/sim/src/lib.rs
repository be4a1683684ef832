//! Runs the real library on virtual time against a hostile store, and checks what clients saw.

mod environment;
mod executor;
mod random;

pub use environment::{EPOCH, MachineClock, SimEnvironment};
pub use executor::{Executor, GroupId, Limits, Scheduler, Sleep, Stuck};
pub use random::SimRandom;
