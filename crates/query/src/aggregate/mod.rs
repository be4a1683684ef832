//! Sums, counts and the like over documents, alone or for each group of them.

mod accumulator;
#[expect(clippy::module_inception, reason = "one noun per file, and this is the noun")]
mod aggregate;
mod canonical;
mod decimal_sum;
mod exact_sum;
mod groups;
mod identity;
mod number;
mod typed;

pub use accumulator::Total;
pub use aggregate::{Aggregate, AggregateTerm, Function};
pub use canonical::canonical;
pub use groups::{AggregateError, Groups};
pub use number::{Number, SumType};
pub use typed::{Aggregation, Grouping, UnexpectedValue};
