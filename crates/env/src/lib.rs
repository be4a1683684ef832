//! Clock, randomness and task spawning, handed in.
//!
//! Nothing in BucketDB reads a clock, draws a random number or starts a task on its own: it asks the
//! [`Environment`] that it was opened with. [`TokioEnvironment`] is the real one; a simulator brings another, in
//! which time is virtual and every choice comes from a seed.

mod environment;
mod tokio_environment;
mod yielding;

pub use environment::{Environment, Random, WallTime};
pub use tokio_environment::TokioEnvironment;
pub use yielding::yield_now;
