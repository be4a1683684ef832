//! In which order a query wants its documents.

#[expect(clippy::module_inception, reason = "the file is named for the type that it holds")]
mod order;
#[cfg(test)]
mod tests;
mod typed;

pub use order::{Direction, Order, OrderTerm};
pub use typed::TypedOrder;
