//! What several targets have in common.

mod any_value;
mod edits;
mod known_store;

pub use any_value::Any;
pub use edits::{Edit, edited};
pub use known_store::KnownStore;
