//! What several targets have in common.

mod any_value;
mod edits;

pub use any_value::Any;
pub use edits::{Edit, edited};
