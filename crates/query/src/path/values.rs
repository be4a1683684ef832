use std::slice;

use serde_json::Value;

use super::Segment;

/// The values that a [`Path`](crate::Path) leads to, from [`Path::get`](crate::Path::get).
#[derive(Clone, Debug)]
pub struct Values<'a> {
    current: Option<(&'a Value, &'a [Segment])>,
    /// The lists that are being gone through, the innermost last, each with the steps that follow its elements.
    lists: Vec<(slice::Iter<'a, Value>, &'a [Segment])>,
}

impl<'a> Values<'a> {
    pub(super) fn new(document: &'a Value, segments: &'a [Segment]) -> Self {
        Self { current: Some((document, segments)), lists: Vec::new() }
    }

    fn next_element(&mut self) -> Option<(&'a Value, &'a [Segment])> {
        while let Some((elements, segments)) = self.lists.last_mut() {
            match elements.next() {
                Some(element) => return Some((element, segments)),
                None => self.lists.pop(),
            };
        }
        None
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a Value;

    fn next(&mut self) -> Option<&'a Value> {
        loop {
            let (value, segments) = self.current.take().or_else(|| self.next_element())?;
            let Some((segment, rest)) = segments.split_first() else {
                return Some(value);
            };
            let child = match (segment, value) {
                (Segment::Field(name), Value::Object(fields)) => fields.get(name),
                (Segment::Index(index), Value::Array(elements)) => {
                    usize::try_from(*index).ok().and_then(|index| elements.get(index))
                }
                (Segment::AnyElement, Value::Array(elements)) => {
                    self.lists.push((elements.iter(), rest));
                    None
                }
                _ => None,
            };
            self.current = child.map(|child| (child, rest));
        }
    }
}
