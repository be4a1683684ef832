//! What must hold at the end of a run, whatever happened in it.

mod outcomes;
mod reads;
mod truth;
mod violation;

pub(crate) use outcomes::{check_outcomes, check_validity};
pub(crate) use reads::check_reads;
pub(crate) use truth::{Row, Truth};
pub use violation::Violation;
