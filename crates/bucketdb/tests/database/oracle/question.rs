//! A query, and what plain code finds.

use std::cmp::Ordering;
use std::ops::Bound;

use bucketdb::{AnyColumn, Order, Query, TypedOrder};
use serde_json::Value;

use super::condition::Condition;
use super::draw::Draw;
use super::schema::{Documents, Key, Shape};
use super::values::{Meant, Spot, Step, is_multiple, path_of, spot_text, values_at};

#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) condition: Condition,
    pub(crate) order: Vec<Term>,
    pub(crate) keys: (Bound<Value>, Bound<Value>),
    pub(crate) offset: usize,
    pub(crate) limit: Option<usize>,
    /// By which of several ways it is put to the library.
    pub(crate) style: u64,
}

/// What documents are ordered by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) spot: Spot,
    pub(crate) is_descending: bool,
}

impl Term {
    pub(crate) fn text(&self, draw: &mut Draw) -> String {
        let direction = match (self.is_descending, draw.below(4)) {
            (true, 0) => " DESC",
            (true, _) => " desc",
            (false, 0) => " asc",
            (false, _) => "",
        };
        format!("{}{direction}", spot_text(self.spot))
    }

    /// By what a document takes its place: of several values the least, in descending order the greatest.
    fn position<'a>(&self, shape: &Shape, document: &'a Value) -> Meant<'a> {
        let mut all: Vec<Meant<'_>> = values_at(document, self.spot)
            .into_iter()
            .map(|value| Meant::of(value, shape.type_of(self.spot)))
            .collect();
        all.sort_by(Meant::order);
        let chosen = if self.is_descending { all.pop() } else { all.into_iter().next() };
        chosen.unwrap_or(Meant::Missing)
    }
}

/// An index over these terms, as its name is.
pub(crate) fn index_text(terms: &[Term]) -> String {
    let text = |term: &Term| format!("{}{}", spot_text(term.spot), if term.is_descending { " desc" } else { "" });
    terms.iter().map(text).collect::<Vec<_>>().join(", ")
}

impl Question {
    /// Everything but limit and offset.
    pub(crate) fn unlimited(&self, query: Query<Value>) -> Query<Value> {
        super::count_execution();
        let mut draw = Draw::new(self.style);
        let mut query = match draw.below(4) {
            0 => query.filter(self.condition.filter()),
            1 => query.filter(self.condition.typed()),
            2 => match &self.condition {
                Condition::And(parts) => parts.iter().fold(query, |query, part| {
                    if draw.one_in(2) { query.filter(part.filter()) } else { query.filter(part.typed()) }
                }),
                Condition::Always => query,
                other => query.filter(other.filter()),
            },
            _ => query.filter_text(&self.condition.text(&mut draw)).unwrap(),
        };
        let column = |term: &Term| AnyColumn::from(path_of(term.spot));
        let by = |term: &Term| if term.is_descending { column(term).desc() } else { column(term).asc() };
        if !self.order.is_empty() {
            query = match draw.below(3) {
                0 => {
                    let texts: Vec<String> = self.order.iter().map(|term| term.text(&mut draw)).collect();
                    query.order_by(texts.join(", ").parse::<Order>().unwrap())
                }
                1 => query.order_by(self.order.iter().map(by).reduce(TypedOrder::then).unwrap()),
                _ => self.order.iter().fold(query, |query, term| query.order_by(by(term))),
            };
        }
        match &self.keys {
            (Bound::Unbounded, Bound::Unbounded) => query,
            keys => query.keys(keys.clone()),
        }
    }

    pub(crate) fn ask(&self, query: Query<Value>) -> Query<Value> {
        let query = self.unlimited(query).offset(self.offset);
        self.limit.map_or(query.clone(), |limit| query.limit(limit))
    }

    /// All that it finds, in order, with keys, limit and offset not heeded.
    pub(crate) fn all<'a>(&self, shape: &Shape, documents: &'a Documents) -> Vec<(&'a Key, &'a Value)> {
        let (low, high) = (shape.bound(&self.keys.0), shape.bound(&self.keys.1));
        let is_in_range = |key: &Key| {
            let is_above = match &low {
                Bound::Unbounded => true,
                Bound::Included(low) => key >= low,
                Bound::Excluded(low) => key > low,
            };
            is_above
                && match &high {
                    Bound::Unbounded => true,
                    Bound::Included(high) => key <= high,
                    Bound::Excluded(high) => key < high,
                }
        };
        let is_found = |(key, document): &(&Key, &Value)| is_in_range(key) && self.condition.holds(shape, document);
        let mut found: Vec<(&Key, &Value)> = documents.iter().filter(is_found).collect();
        found.sort_by(|left, right| self.places(shape, *left, *right));
        found
    }

    pub(crate) fn expected(&self, shape: &Shape, documents: &Documents) -> Vec<Value> {
        let found = self.all(shape, documents).into_iter().skip(self.offset);
        found.take(self.limit.unwrap_or(usize::MAX)).map(|(_, document)| document.clone()).collect()
    }

    /// Which of two documents comes first.
    pub(crate) fn places(&self, shape: &Shape, left: (&Key, &Value), right: (&Key, &Value)) -> Ordering {
        self.order_by(&self.order, shape, left.1, right.1).then_with(|| left.0.cmp(right.0))
    }

    /// Whether a document lies behind the place that one had when it was read, which may be itself. What the order has behind
    /// the whole key decides nothing.
    pub(crate) fn is_behind(&self, shape: &Shape, place: (&Key, &Value), found: (&Key, &Value)) -> bool {
        let has_key = |terms: &[Term]| {
            shape
                .key
                .iter()
                .all(|(name, _)| terms.iter().any(|term| matches!(term.spot, [Step::Field(field)] if field == name)))
        };
        let count = (0..self.order.len()).find(|count| has_key(&self.order[..*count])).unwrap_or(self.order.len());
        let order = self.order_by(&self.order[..count], shape, place.1, found.1);
        order.then_with(|| place.0.cmp(found.0)).is_lt()
    }

    fn order_by(&self, terms: &[Term], shape: &Shape, left: &Value, right: &Value) -> Ordering {
        let by = |term: &Term| {
            let order = term.position(shape, left).order(&term.position(shape, right));
            if term.is_descending { order.reverse() } else { order }
        };
        terms.iter().map(by).fold(Ordering::Equal, Ordering::then)
    }
}

/// The values at a spot in documents, without nulls, in order.
pub(crate) fn values_of<'a>(shape: &Shape, documents: &'a [Value], spot: Spot) -> Vec<&'a Value> {
    let all = documents.iter().flat_map(|document| values_at(document, spot));
    let mut all: Vec<&Value> = all.filter(|value| !value.is_null()).collect();
    all.sort_by(|left, right| shape.order(spot, left, right));
    all
}

/// The different values by which a document is grouped: null if it has none, unless they are elements of a list.
pub(crate) fn groups_of(shape: &Shape, document: &Value, spot: Spot) -> Vec<Value> {
    let mut all = values_at(document, spot);
    if all.is_empty() && !is_multiple(spot) {
        all.push(&Value::Null);
    }
    all.sort_by(|left, right| shape.order(spot, left, right));
    all.dedup_by(|left, right| shape.order(spot, left, right).is_eq());
    all.into_iter().map(|value| shape.shown(spot, value)).collect()
}
