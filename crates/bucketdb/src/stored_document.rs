use bucketdb_documents::row::{Kind, Node, RowError};
use bucketdb_query::{Path, Reach, Segment, ValueRef};

/// A document in its row, for filters: they look at what they ask for, and the rest is not decoded.
pub(crate) struct StoredDocument<'a>(pub(crate) Node<'a>);

impl Reach for StoredDocument<'_> {
    type Error = RowError;

    #[inline]
    fn any(&self, path: &Path, mut holds: impl FnMut(ValueRef<'_>) -> bool) -> Result<bool, RowError> {
        any_behind(self.0, path.segments(), &mut holds)
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
        Kind::List | Kind::Map => holds(ValueRef::Nested(&node.to_value()?)),
    })
}

#[cfg(test)]
mod tests;
