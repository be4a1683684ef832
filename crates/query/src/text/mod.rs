//! Reading filters, orders, paths and selections from text, and quoting them into it.

mod condition;
mod error;
mod lexer;
mod lists;
mod literal;
pub(crate) mod quoted;
#[cfg(test)]
pub(crate) mod strategies;
#[cfg(test)]
mod tests;

pub(crate) use condition::{is_keyword, parse_filter};
pub use error::ParseError;
pub(crate) use lists::{parse_order, parse_path, parse_selection};
