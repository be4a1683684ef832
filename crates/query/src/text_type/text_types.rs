use std::convert::Infallible;
use std::sync::Arc;

use serde_json::Value;

use super::text_type::TextType;
use crate::{Path, Reach, Segment, ValueRef};

/// The fields of a table, at the top of its documents, whose texts stand for something. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextTypes {
    /// Mostly there are none.
    fields: Option<Arc<[TypedField]>>,
}

type TypedField = (Box<str>, TextType);

impl TextTypes {
    /// The type of a field.
    #[inline]
    #[must_use]
    pub fn of_field(&self, name: &str) -> Option<TextType> {
        let fields = self.fields.as_ref()?;
        fields.iter().find(|(field, _)| **field == *name).map(|(_, text_type)| *text_type)
    }

    /// The type of what a path leads to.
    #[inline]
    #[must_use]
    pub fn of_path(&self, path: &Path) -> Option<TextType> {
        self.fields.as_ref()?;
        match path.segments() {
            [Segment::Field(name)] => self.of_field(name),
            _ => None,
        }
    }

    /// What a path leads to, as [`TextType::comparable`] makes it if it has a type.
    #[must_use]
    pub fn comparable(&self, path: &Path, value: Value) -> Value {
        match self.of_path(path) {
            Some(text_type) => text_type.comparable(value),
            None => value,
        }
    }

    /// What was made [`comparable`](Self::comparable), as [`TextType::shown`] shows it.
    #[must_use]
    pub fn shown(&self, path: &Path, comparable: Value) -> Value {
        match self.of_path(path) {
            Some(text_type) => text_type.shown(comparable),
            None => comparable,
        }
    }

    /// Whether no field has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_none()
    }
}

impl<N: AsRef<str>> FromIterator<(N, TextType)> for TextTypes {
    fn from_iter<I: IntoIterator<Item = (N, TextType)>>(fields: I) -> Self {
        let fields: Vec<_> = fields.into_iter().map(|(name, text_type)| (name.as_ref().into(), text_type)).collect();
        Self { fields: (!fields.is_empty()).then(|| fields.into()) }
    }
}

/// A document of JSON whose fields have types, for a filter that was made
/// [comparable](crate::Filter::comparable) with the same.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a> {
    /// The document.
    pub document: &'a Value,
    /// The types of its fields.
    pub types: &'a TextTypes,
}

impl Reach for Typed<'_> {
    type Error = Infallible;

    fn any(&self, path: &Path, holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, Infallible> {
        self.document.any(path, holds)
    }

    fn any_comparable(&self, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, Infallible> {
        match self.types.of_path(path) {
            None => self.document.any(path, holds),
            Some(text_type) => {
                Ok(path.get(self.document).any(|value| holds((&text_type.comparable(value.clone())).into())))
            }
        }
    }
}
