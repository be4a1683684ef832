use std::convert::Infallible;
use std::sync::Arc;

use serde_json::Value;

use super::text_type::TextType;
use crate::{Path, Reach, Segment, ValueRef};

/// The values of a table's documents whose texts stand for something: fields at the top, and what is in lists and nested
/// documents. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextTypes {
    /// Mostly there are none, and a word says so.
    typed: Option<Arc<Vec<(Path, TextType)>>>,
}

impl TextTypes {
    /// The type of what a path leads to. What is said of every element of a list holds for one of them.
    #[inline]
    #[must_use]
    pub fn of_path(&self, path: &Path) -> Option<TextType> {
        let mut typed = self.typed.as_ref()?.iter();
        typed.find(|(declared, _)| is_at(path.segments(), declared.segments())).map(|(_, text_type)| *text_type)
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
        self.typed.is_none()
    }
}

/// Whether a path leads to what another one that was declared does: the same, or one element where that is of all.
fn is_at(path: &[Segment], declared: &[Segment]) -> bool {
    let is_same = |(asked, declared): (&Segment, &Segment)| match (asked, declared) {
        (Segment::Index(_), Segment::AnyElement) => true,
        (asked, declared) => asked == declared,
    };
    path.len() == declared.len() && path.iter().zip(declared).all(is_same)
}

impl FromIterator<(Path, TextType)> for TextTypes {
    fn from_iter<I: IntoIterator<Item = (Path, TextType)>>(typed: I) -> Self {
        let typed: Vec<_> = typed.into_iter().collect();
        Self { typed: (!typed.is_empty()).then(|| Arc::new(typed)) }
    }
}

/// Of fields at the top.
impl<N: AsRef<str>> FromIterator<(N, TextType)> for TextTypes {
    fn from_iter<I: IntoIterator<Item = (N, TextType)>>(fields: I) -> Self {
        fields.into_iter().map(|(name, text_type)| (Path::field(name.as_ref()), text_type)).collect()
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
