use bucketdb_documents::row::{Kind, Node, RowError};
use bucketdb_query::{Path, Reach, Segment, TextType, TextTypes, ValueRef};

/// A document in its row, for filters: they look at what they ask for, and the rest is not decoded.
pub(crate) struct StoredDocument<'a> {
    pub(crate) document: Node<'a>,
    /// What the texts of its fields stand for.
    pub(crate) types: &'a TextTypes,
}

impl Reach for StoredDocument<'_> {
    type Error = RowError;

    #[inline]
    fn any(&self, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, RowError> {
        any_behind(self.document, path.segments(), None, &mut holds)
    }

    #[inline]
    fn any_comparable(&self, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, RowError> {
        any_behind(self.document, path.segments(), self.types.of_path(path), &mut holds)
    }
}

/// Whether one of the values passes that a path leads to from here, made comparable if they are of a type. Recursion ends
/// with the path.
fn any_behind(
    mut node: Node<'_>,
    mut segments: &[Segment],
    text_type: Option<TextType>,
    holds: &mut impl FnMut(ValueRef<'_>) -> bool,
) -> Result<bool, RowError> {
    while let Some((segment, rest)) = segments.split_first() {
        let child = match segment {
            Segment::Field(name) => node.field(name)?,
            Segment::Index(index) => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                node.elements()?.nth(index).transpose()?
            }
            Segment::AnyElement => {
                for element in node.elements()? {
                    if any_behind(element?, rest, text_type, holds)? {
                        return Ok(true);
                    }
                }
                None
            }
        };
        let Some(child) = child else { return Ok(false) };
        (node, segments) = (child, rest);
    }
    if let Some(text_type) = text_type
        && let Some(holds) = comparable_holds(node, text_type, holds)?
    {
        return Ok(holds);
    }
    Ok(match node.kind()? {
        Kind::Null => holds(ValueRef::Null),
        Kind::Bool(value) => holds(ValueRef::Bool(value)),
        Kind::Integer(number) => holds(ValueRef::Integer(number)),
        Kind::Float(number) => holds(ValueRef::Float(number)),
        Kind::Text(text) => holds(ValueRef::Text(text)),
        Kind::TextValue(value) => holds(ValueRef::Text(&value.text())),
        Kind::List | Kind::Map => holds(ValueRef::Nested(&node.to_value()?)),
    })
}

/// Whether what a type makes comparable passes; `None` if it makes nothing else of the value.
fn comparable_holds(
    node: Node<'_>,
    text_type: TextType,
    holds: &mut impl FnMut(ValueRef<'_>) -> bool,
) -> Result<Option<bool>, RowError> {
    Ok(match node.kind()? {
        Kind::TextValue(value) if value.text_type() == text_type => Some(holds(ValueRef::Text(&value.key()))),
        Kind::TextValue(value) => Some(holds(ValueRef::Text(&text_type.comparable_text(&value.text())))),
        Kind::Text(text) => Some(holds(ValueRef::Text(&text_type.comparable_text(text)))),
        Kind::Integer(_) | Kind::Float(_) => Some(holds((&text_type.comparable(node.to_value()?)).into())),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
