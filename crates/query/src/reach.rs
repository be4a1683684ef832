use std::convert::Infallible;

use serde_json::Value;

use crate::Path;
use crate::compare::{float, integer};

/// A document whose values can be reached without reading all of it, whatever it is stored as.
///
/// A [`Filter`](crate::Filter) says of it what it says of the same document as a [`Value`].
pub trait Reach {
    /// Why what is stored cannot be read.
    type Error;

    /// Whether one of the values that a path leads to passes a test; those behind it need not be looked at.
    ///
    /// # Errors
    /// If the document is damaged where the path leads.
    fn any(&self, path: &Path, holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, Self::Error>;

    /// As [`any`](Self::any), with values as [`TextType::comparable`](crate::TextType::comparable) makes them in a field
    /// that has a type.
    ///
    /// # Errors
    /// If the document is damaged where the path leads.
    #[inline]
    fn any_comparable(&self, path: &Path, holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, Self::Error> {
        self.any(path, holds)
    }

    /// As [`any_comparable`](Self::any_comparable), for whoever asks for the same paths of many documents: `place` is that of
    /// the path among them.
    ///
    /// # Errors
    /// If the document is damaged where the path leads.
    #[inline]
    fn any_at(&self, place: usize, path: &Path, holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, Self::Error> {
        let _ = place;
        self.any_comparable(path, holds)
    }
}

impl Reach for Value {
    type Error = Infallible;

    fn any(&self, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, Infallible> {
        Ok(path.get(self).any(|value| holds(value.into())))
    }
}

/// A value in a document, however it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number that is written as one; it lies between -2^63 and 2^64.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(&'a str),
    /// A list or an object; any other value may be here too.
    Nested(&'a Value),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => integer(number).map_or_else(|| Self::Float(float(number)), Self::Integer),
            Value::String(text) => Self::Text(text),
            Value::Array(_) | Value::Object(_) => Self::Nested(value),
        }
    }
}

impl ValueRef<'_> {
    pub(crate) fn is_null(self) -> bool {
        matches!(self, Self::Null | Self::Nested(Value::Null))
    }
}
