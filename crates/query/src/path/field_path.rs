use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::Values;
use super::scan::{Step, StepKind, first_step, next_step, plain_name_len};
use crate::text::quoted::{Mistake, quote, unquote};
use crate::text::{ParseError, is_keyword, parse_path};

/// Where in a document a value is: `address.city`, `tags[0]`, `tags[*]`, `"a.b".c`.
///
/// A path begins with a field of the document. A name of letters, digits, `_`, `$` and `-` that begins with none of
/// `-` and the digits stands as it is; any other is put in double quotes with the escapes of JSON. `[0]` is the first
/// element of a list, `[*]` is every one of them. A field is looked up in an object only and an element in a list
/// only: `tags.name` leads nowhere if `tags` is a list; `tags[*].name` is meant.
///
/// ```
/// use bucketdb_query::Path;
/// use serde_json::json;
///
/// let path: Path = "orders[*].total".parse()?;
/// let document = json!({"orders": [{"total": 3}, {}, {"total": 5}]});
/// assert_eq!(path.get(&document).collect::<Vec<_>>(), [&json!(3), &json!(5)]);
///
/// assert_eq!(Path::field("a.b").then_field("c").to_string(), r#""a.b".c"#);
/// # Ok::<(), bucketdb_query::ParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
}

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The field of that name, of an object.
    Field(String),
    /// The element at that position, of a list; the first is 0.
    Index(u32),
    /// Every element of a list.
    AnyElement,
}

impl Path {
    /// The path to a field of the document. The name is taken as it is: dots and quotes in it mean nothing.
    #[must_use]
    pub fn field(name: impl Into<String>) -> Self {
        Self { segments: vec![Segment::Field(name.into())] }
    }

    /// Goes on to a field of the object that this path leads to.
    #[must_use]
    pub fn then_field(mut self, name: impl Into<String>) -> Self {
        self.segments.push(Segment::Field(name.into()));
        self
    }

    /// Goes on to one element of the list that this path leads to.
    #[must_use]
    pub fn then_index(mut self, index: u32) -> Self {
        self.segments.push(Segment::Index(index));
        self
    }

    /// Goes on to every element of the list that this path leads to.
    #[must_use]
    pub fn then_any_element(mut self) -> Self {
        self.segments.push(Segment::AnyElement);
        self
    }

    /// The path that begins as `self` and goes on as `rest`, whose first field is one of what `self` leads to.
    pub(crate) fn then(mut self, rest: Self) -> Self {
        self.segments.extend(rest.segments);
        self
    }

    /// The steps of the path. The first is always a field.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether the path can lead to more than one value: whether it has a `[*]`.
    #[must_use]
    pub fn is_multiple(&self) -> bool {
        self.segments.contains(&Segment::AnyElement)
    }

    /// The field of the document in which the path begins.
    #[must_use]
    pub fn first_field(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Field(name)) => Some(name),
            _ => None,
        }
    }

    /// The same path in documents whose fields have other names.
    #[must_use]
    pub fn with_first_field<'a>(&'a self, name_of: impl FnOnce(&'a str) -> &'a str) -> Self {
        let mut renamed = self.clone();
        if let (Some(name), Some(Segment::Field(field))) = (self.first_field(), renamed.segments.first_mut()) {
            name_of(name).clone_into(field);
        }
        renamed
    }

    /// The values in a document that the path leads to, in the order of the document.
    ///
    /// None if a field or an element on the way is missing; a `null` is a value. Without `[*]` at most one.
    #[must_use]
    pub fn get<'a>(&'a self, document: &'a Value) -> Values<'a> {
        Values::new(document, &self.segments)
    }

    /// Reads a path from the beginning of a text, and says how many bytes it takes.
    pub(crate) fn scan(text: &str) -> Result<(Self, usize), Mistake> {
        let mut rest = text;
        let mut segments = Vec::new();
        let mut step = Some(first_step(rest.as_bytes())?);
        while let Some(Step { kind, len }) = step {
            let (taken, tail) = rest.split_at_checked(len).unwrap_or((rest, ""));
            let name = taken.strip_prefix('.').unwrap_or(taken);
            segments.push(match kind {
                StepKind::Name => Segment::Field(name.to_owned()),
                StepKind::Quoted => Segment::Field(unquote(name)),
                StepKind::Index(index) => Segment::Index(index),
                StepKind::AnyElement => Segment::AnyElement,
            });
            rest = tail;
            step = next_step(rest.as_bytes())?;
        }
        Ok((Self { segments }, text.len() - rest.len()))
    }
}

impl FromStr for Path {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_path(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(formatter, "[{index}]")?,
                Segment::AnyElement => formatter.write_str("[*]")?,
                Segment::Field(name) => {
                    if position > 0 {
                        formatter.write_str(".")?;
                    }
                    let plain = !name.is_empty() && plain_name_len(name.as_bytes()) == name.len();
                    // Unquoted, a first name like `not` would be read as a word of the filter language.
                    if plain && (position > 0 || !is_keyword(name)) {
                        formatter.write_str(name)?;
                    } else {
                        formatter.write_str(&quote(name))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Path({self})")
    }
}
