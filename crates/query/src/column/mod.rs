//! The fields of a document type, as values that build filters and orders.

#[expect(clippy::module_inception, reason = "the file is named for the type that it holds")]
mod column;
mod operand;
#[cfg(test)]
mod tests;

pub use column::{AnyColumn, Column};
pub use operand::{Container, List, Nests, Operand, Text};
