//! The rules of this repository that a machine can hold: which part may know which, and how files must look.
//!
//! Every message says the rule and its reason. `cargo xtask check` and this package's own tests hold them.

mod code;
mod layers;
mod repository;
mod texts;
mod violation;

#[cfg(test)]
mod tests;

pub(crate) use repository::violations;
