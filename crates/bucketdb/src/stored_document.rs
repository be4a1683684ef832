use bucketdb_documents::row::{Kind, Node, RowError};
use bucketdb_query::{Path, Reach, Segment, TextTypes, ValueRef};

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
        any_behind(self.document, path.segments(), &mut holds)
    }

    #[inline]
    fn any_comparable(&self, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, RowError> {
        let ([Segment::Field(name)], Some(text_type)) = (path.segments(), self.types.of_path(path)) else {
            return any_behind(self.document, path.segments(), &mut holds);
        };
        let Some(node) = self.document.field(name)? else { return Ok(false) };
        Ok(match node.kind()? {
            Kind::TextValue(value) if value.text_type() == text_type => holds(ValueRef::Text(&value.key())),
            Kind::TextValue(value) => holds(ValueRef::Text(&text_type.comparable_text(&value.text()))),
            Kind::Text(text) => holds(ValueRef::Text(&text_type.comparable_text(text))),
            Kind::Integer(_) | Kind::Float(_) => holds((&text_type.comparable(node.to_value()?)).into()),
            _ => return any_behind(node, &[], &mut holds),
        })
    }
}

/// Whether one of the values passes that a path leads to from here. Recursion ends with the path.
fn any_behind(
    mut node: Node<'_>,
    mut segments: &[Segment],
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
                    if any_behind(element?, rest, holds)? {
                        return Ok(true);
                    }
                }
                None
            }
        };
        let Some(child) = child else { return Ok(false) };
        (node, segments) = (child, rest);
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

#[cfg(test)]
mod tests;
