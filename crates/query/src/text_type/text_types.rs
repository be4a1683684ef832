use std::convert::Infallible;
use std::sync::Arc;

use serde_json::Value;

use super::text_type::TextType;
use crate::{Path, Reach, Segment, ValueRef};

/// The values of a table's documents whose texts stand for something: fields at the top, and what is in lists and nested
/// documents. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextTypes {
    /// Mostly there are none.
    typed: Option<Arc<TypedValues>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TypedValues {
    fields: Vec<(Box<str>, TextType)>,
    /// Paths of more than one step.
    nested: Vec<(Path, TextType)>,
}

impl TextTypes {
    /// The type of a field at the top.
    #[inline]
    #[must_use]
    pub fn of_field(&self, name: &str) -> Option<TextType> {
        let fields = &self.typed.as_ref()?.fields;
        fields.iter().find(|(field, _)| **field == *name).map(|(_, text_type)| *text_type)
    }

    /// The type of what a path leads to. What is said of every element of a list holds for one of them.
    #[inline]
    #[must_use]
    pub fn of_path(&self, path: &Path) -> Option<TextType> {
        let typed = self.typed.as_ref()?;
        match path.segments() {
            [Segment::Field(name)] => self.of_field(name),
            segments => {
                let (_, text_type) = typed.nested.iter().find(|(declared, _)| is_at(segments, declared.segments()))?;
                Some(*text_type)
            }
        }
    }

    /// These, and what paths of more than one step lead to, such as `lines[*].price`.
    #[must_use]
    pub fn with_nested(self, nested: impl IntoIterator<Item = (Path, TextType)>) -> Self {
        let mut typed = self.typed.map(Arc::unwrap_or_clone).unwrap_or_default();
        typed.nested.extend(nested);
        Self::of(typed)
    }

    fn of(typed: TypedValues) -> Self {
        let has_any = !typed.fields.is_empty() || !typed.nested.is_empty();
        Self { typed: has_any.then(|| Arc::new(typed)) }
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

impl<N: AsRef<str>> FromIterator<(N, TextType)> for TextTypes {
    fn from_iter<I: IntoIterator<Item = (N, TextType)>>(fields: I) -> Self {
        let fields = fields.into_iter().map(|(name, text_type)| (name.as_ref().into(), text_type)).collect();
        Self::of(TypedValues { fields, nested: Vec::new() })
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
