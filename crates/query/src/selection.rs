use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::text::{ParseError, parse_selection};
use crate::{Path, Segment};

/// Which fields of its documents a query wants.
///
/// The result holds exactly the values that the paths lead to, inside the objects and lists that lead there: fields in
/// the order of the selection, elements in the order of their list. What a document lacks is left out.
///
/// The text is `name, address.city`; everything is `*`.
///
/// ```
/// use bucketdb_query::Selection;
/// use serde_json::json;
///
/// let selection: Selection = "items[*].name, id, note".parse()?;
/// let document = json!({"id": 7, "items": [{"name": "a", "price": 1}, {"name": "b", "price": 2}]});
/// assert_eq!(selection.apply(&document), json!({"items": [{"name": "a"}, {"name": "b"}], "id": 7}));
/// # Ok::<(), bucketdb_query::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// None selects everything.
    paths: Vec<Path>,
}

impl Selection {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { paths: Vec::new() }
    }

    /// What these paths lead to; everything, if there are none.
    #[must_use]
    pub fn of(paths: impl IntoIterator<Item = Path>) -> Self {
        Self { paths: paths.into_iter().collect() }
    }

    /// The paths selected; none if everything is.
    #[must_use]
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Whether everything is selected.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.paths.is_empty()
    }

    /// The selected part of a document.
    #[must_use]
    pub fn apply(&self, document: &Value) -> Value {
        if self.is_all() {
            return document.clone();
        }
        let tails: Vec<_> = self.paths.iter().map(Path::segments).collect();
        select(document, &tails).unwrap_or_else(|| Value::Object(Map::new()))
    }
}

/// The part of a value that the tails of some paths lead to. Recursion ends with the longest path.
fn select(value: &Value, tails: &[&[Segment]]) -> Option<Value> {
    if tails.iter().any(|tail| tail.is_empty()) {
        return Some(value.clone());
    }
    match value {
        Value::Object(fields) => {
            let mut selected = Map::new();
            for name in tails.iter().filter_map(|tail| field_name(tail)) {
                if !selected.contains_key(name)
                    && let Some(value) = fields.get(name)
                    && let Some(part) = select(value, &behind(tails, |segment| segment_is_field(segment, name)))
                {
                    selected.insert(name.to_owned(), part);
                }
            }
            (!selected.is_empty()).then_some(Value::Object(selected))
        }
        Value::Array(elements) => {
            let selected: Vec<_> = (0_u32..)
                .zip(elements)
                .filter_map(|(position, element)| {
                    let tails = behind(tails, |segment| match segment {
                        Segment::Index(index) => *index == position,
                        Segment::AnyElement => true,
                        Segment::Field(_) => false,
                    });
                    select(element, &tails)
                })
                .collect();
            (!selected.is_empty()).then_some(Value::Array(selected))
        }
        _ => None,
    }
}

fn field_name<'a>(tail: &&'a [Segment]) -> Option<&'a str> {
    match tail.first() {
        Some(Segment::Field(name)) => Some(name),
        _ => None,
    }
}

fn segment_is_field(segment: &Segment, expected: &str) -> bool {
    matches!(segment, Segment::Field(name) if name == expected)
}

/// What follows the first step in those tails whose first step is taken.
fn behind<'a>(tails: &[&'a [Segment]], is_taken: impl Fn(&Segment) -> bool) -> Vec<&'a [Segment]> {
    tails
        .iter()
        .filter_map(|tail| tail.split_first())
        .filter(|(first, _)| is_taken(first))
        .map(|(_, rest)| rest)
        .collect()
}

impl FromIterator<Path> for Selection {
    fn from_iter<I: IntoIterator<Item = Path>>(paths: I) -> Self {
        Self::of(paths)
    }
}

impl FromStr for Selection {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_selection(text)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return formatter.write_str("*");
        }
        for (position, path) in self.paths.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{path}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::text::strategies::{any_document, any_path};

    fn apply(selection: &str, document: &Value) -> Value {
        selection.parse::<Selection>().unwrap().apply(document)
    }

    #[test]
    fn nesting_is_kept_and_what_is_missing_left_out() {
        let document = json!({
            "name": "Ann", "nick": null, "address": {"city": "Bern", "zip": 3000, "geo": {"lat": 1, "lon": 2}},
            "tags": ["a", "b", "c"], "empty": [],
        });
        assert_eq!(apply("address.geo.lon, name", &document), json!({"address": {"geo": {"lon": 2}}, "name": "Ann"}));
        assert_eq!(apply("address.city, address.zip", &document), json!({"address": {"city": "Bern", "zip": 3000}}));
        assert_eq!(apply("address, address.zip", &document), json!({"address": document["address"]}));
        assert_eq!(apply("nick", &document), json!({"nick": null}));
        assert_eq!(apply("tags[1]", &document), json!({"tags": ["b"]}));
        assert_eq!(apply("tags[2], tags[0]", &document), json!({"tags": ["a", "c"]}));
        assert_eq!(apply("tags[*], tags[0]", &document), json!({"tags": ["a", "b", "c"]}));
        assert_eq!(apply("empty", &document), json!({"empty": []}));
        assert_eq!(apply("empty[*], tags.x, name.x, address.none, none", &document), json!({}));
        assert_eq!(apply("*", &document), document);
    }

    #[test]
    fn fields_stand_in_the_order_of_the_selection() {
        assert_eq!(apply("b, a", &json!({"a": 1, "b": 2})).to_string(), r#"{"b":2,"a":1}"#);
    }

    proptest! {
        #[test]
        fn selecting_keeps_what_the_paths_lead_to(paths in vec(any_path(), 1..4), document in any_document()) {
            let selection = Selection::of(paths.clone());
            let selected = selection.apply(&document);
            for path in paths.iter().filter(|path| path.segments().iter().all(|s| !matches!(s, Segment::Index(_)))) {
                let (before, after): (Vec<_>, Vec<_>) = (path.get(&document).collect(), path.get(&selected).collect());
                if paths.len() == 1 {
                    prop_assert_eq!(before, after);
                } else {
                    prop_assert_eq!(before.len(), after.len());
                }
            }
        }

        #[test]
        fn text_reads_back(paths in vec(any_path(), 0..4)) {
            let selection = Selection::of(paths);
            prop_assert_eq!(selection.to_string().parse::<Selection>().unwrap(), selection);
        }
    }
}
