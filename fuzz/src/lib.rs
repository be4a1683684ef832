//! What several targets have in common.

mod edits;

pub use edits::{Edit, edited};
