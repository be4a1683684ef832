//! Values that JSON writes as texts: what a text stands for, how it compares, and how it is stored in few bytes.

mod decimal;
mod digits;
mod short_text;
#[expect(clippy::module_inception, reason = "the file is named for the type that it holds")]
mod text_type;
mod text_types;
mod text_value;
mod time;
mod uuid;

pub use short_text::ShortText;
pub use text_type::TextType;
pub use text_types::{TextTypes, Typed};
pub use text_value::{Decimal, TextValue};

#[cfg(test)]
mod tests;
