use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::compare::{compare, compare_values};
use crate::text::{ParseError, parse_order};
use crate::{Path, TextTypes};

/// In which order a query wants its documents: by one path, then by the next where the first leaves documents equal.
///
/// Any two documents can be compared, whatever their values: see [`compare`](crate::compare()). Ascending, those
/// without a value come first; descending turns everything round, so there they come last. Where a path leads to
/// several values (`tags[*]`), a document stands where its least value is, in descending order where its greatest is.
///
/// The text is `population desc, name`; `asc` may be left out.
///
/// ```
/// use bucketdb_query::Order;
/// use serde_json::json;
///
/// let order: Order = "population desc, name".parse()?;
/// let mut cities = [
///     json!({"name": "Biel", "population": 55_000}),
///     json!({"name": "Bern", "population": 135_000}),
///     json!({"name": "Atlantis"}),
///     json!({"name": "Avenches", "population": 55_000}),
/// ];
/// cities.sort_by(|a, b| order.compare(a, b));
/// let names: Vec<_> = cities.iter().filter_map(|city| city["name"].as_str()).collect();
/// assert_eq!(names, ["Bern", "Avenches", "Biel", "Atlantis"]);
/// # Ok::<(), bucketdb_query::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Order {
    terms: Vec<OrderTerm>,
}

/// One path of an [`Order`] and the direction along it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderTerm {
    /// Where the value to order by is.
    pub path: Path,
    /// Which end comes first.
    pub direction: Direction,
}

/// Which end of an order comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The least first; documents without a value before all others.
    #[default]
    Ascending,
    /// The greatest first; documents without a value after all others.
    Descending,
}

impl Order {
    /// By one path, the least first.
    #[must_use]
    pub fn ascending(path: Path) -> Self {
        OrderTerm { path, direction: Direction::Ascending }.into()
    }

    /// By one path, the greatest first.
    #[must_use]
    pub fn descending(path: Path) -> Self {
        OrderTerm { path, direction: Direction::Descending }.into()
    }

    /// Orders by `next` what this order leaves equal.
    #[must_use]
    pub fn then(mut self, next: impl Into<Self>) -> Self {
        self.terms.extend(next.into().terms);
        self
    }

    /// The paths, the most important first. None leaves documents in the order in which they come.
    #[must_use]
    pub fn terms(&self) -> &[OrderTerm] {
        &self.terms
    }

    /// The fields of documents in which its paths begin.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|term| term.path.first_field())
    }

    /// The same order of documents whose fields have other names.
    #[must_use]
    pub fn with_fields<'a>(&'a self, name_of: impl Fn(&'a str) -> &'a str) -> Self {
        let term =
            |term: &'a OrderTerm| OrderTerm { path: term.path.with_first_field(&name_of), direction: term.direction };
        Self { terms: self.terms.iter().map(term).collect() }
    }

    /// Whether it orders by nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Which of two documents comes first. Equal if no path tells them apart.
    #[must_use]
    pub fn compare(&self, left: &Value, right: &Value) -> Ordering {
        self.terms
            .iter()
            .map(|term| term.compare(left, right))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// By what a document takes its place: a value for each path, none where it is missing. Where texts stand for something,
    /// it is what is comparable.
    #[must_use]
    pub fn positions(&self, document: &Value, types: &TextTypes) -> Vec<Option<Value>> {
        let position = |term: &OrderTerm| match types.of_path(&term.path) {
            None => term.position(document).cloned(),
            Some(of) => term.nearest(term.path.get(document).map(|value| of.comparable(value.clone()))),
        };
        self.terms.iter().map(position).collect()
    }

    /// Which of two documents comes first of which only the [`positions`](Self::positions) are known.
    #[must_use]
    pub fn compare_positions(&self, left: &[Option<Value>], right: &[Option<Value>]) -> Ordering {
        let mut terms = self.terms.iter().zip(left.iter().zip(right));
        let ordering = terms.find_map(|(term, (left, right))| {
            let ordering = term.directed(compare(left.as_ref(), right.as_ref()));
            ordering.is_ne().then_some(ordering)
        });
        ordering.unwrap_or(Ordering::Equal)
    }
}

impl OrderTerm {
    fn compare(&self, left: &Value, right: &Value) -> Ordering {
        self.directed(compare(self.position(left), self.position(right)))
    }

    pub(crate) fn directed(&self, ascending: Ordering) -> Ordering {
        match self.direction {
            Direction::Ascending => ascending,
            Direction::Descending => ascending.reverse(),
        }
    }

    /// The value by which a document takes its place.
    fn position<'a>(&'a self, document: &'a Value) -> Option<&'a Value> {
        self.nearest(self.path.get(document))
    }

    /// Of several values, the one that is nearest the front.
    fn nearest<V: Borrow<Value>>(&self, values: impl Iterator<Item = V>) -> Option<V> {
        match self.direction {
            Direction::Ascending => values.min_by(|left, right| compare_values(left.borrow(), right.borrow())),
            Direction::Descending => values.max_by(|left, right| compare_values(left.borrow(), right.borrow())),
        }
    }
}

impl From<OrderTerm> for Order {
    fn from(term: OrderTerm) -> Self {
        Self { terms: vec![term] }
    }
}

impl FromIterator<OrderTerm> for Order {
    fn from_iter<I: IntoIterator<Item = OrderTerm>>(terms: I) -> Self {
        Self { terms: terms.into_iter().collect() }
    }
}

impl FromStr for Order {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_order(text)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, term) in self.terms.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for OrderTerm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Ascending => "",
            Direction::Descending => " desc",
        };
        write!(formatter, "{}{direction}", self.path)
    }
}
