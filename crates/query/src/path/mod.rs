//! Where in a document a value is.

mod field_path;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
mod values;

pub use field_path::{Path, Segment};
pub use values::Values;
