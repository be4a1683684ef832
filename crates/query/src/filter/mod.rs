//! Which documents a query wants.

mod expression;
#[expect(clippy::module_inception, reason = "the file is named for the type that it holds")]
mod filter;
mod format;
#[cfg(test)]
mod tests;
mod typed;

pub use expression::{Comparison, Expression};
pub use filter::Filter;
pub use typed::TypedFilter;
