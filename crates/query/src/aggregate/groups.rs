use std::collections::HashMap;

use foldhash::fast::RandomState;
use serde_json::Value;

use super::accumulator::Accumulator;
use super::canonical::{canonical, put_identity};
use super::identity::Identity;
use super::{AggregateTerm, Total};
use crate::{Path, Reach, TextType, TextTypes, ValueRef, compare};

/// Puts documents into groups and computes the same of each group. Memory is taken for every group, not for documents.
///
/// Documents are in one group if the values of all its paths are equal; a value that is missing is as one that is null. Where
/// a path leads to several values (`tags[*]`), a document is in the group of each different one, and in none if it has none.
///
/// ```
/// use bucketdb_query::{AggregateTerm, Function, Groups, Path, Total};
/// use serde_json::json;
///
/// let sum = AggregateTerm { function: Function::Sum { is_whole: false }, path: Some(Path::field("price")) };
/// let mut groups = Groups::new(vec![Path::field("kind")], vec![sum], 1 << 20);
/// for document in [json!({"kind": "tea", "price": 3}), json!({"kind": "pot", "price": 24.5}), json!({"kind": "tea", "price": 4})] {
///     groups.push(&document)?;
/// }
/// let found: Vec<_> = groups.finish().collect();
/// assert_eq!(found[0], (vec![json!("pot")], vec![Total::Fraction(24.5)]));
/// assert_eq!(found[1], (vec![json!("tea")], vec![Total::Whole(7)]));
/// # Ok::<(), bucketdb_query::AggregateError<std::convert::Infallible>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Groups {
    paths: Vec<Path>,
    terms: Vec<AggregateTerm>,
    types: TextTypes,
    /// Which of the groups that with some values is.
    places: HashMap<Identity, usize, RandomState>,
    /// The values of each group.
    values: Vec<Vec<Value>>,
    /// What is computed, for one group after the other: in one piece, so that taking a document in touches little memory.
    accumulators: Vec<Accumulator>,
    size_bytes: usize,
    most_bytes: usize,
    /// The values of the document that is being looked at.
    identity: Vec<u8>,
}

/// Why documents cannot be put into groups.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError<E> {
    /// The document cannot be read.
    #[error("the document cannot be read")]
    Document(E),
    /// A value is not a number, or not a whole one.
    #[error("field {path} is {found}, and {function} takes {wanted} only")]
    NotANumber {
        /// Where it is.
        path: Path,
        /// What it is, as JSON.
        found: String,
        /// What was to be computed.
        function: &'static str,
        /// What it is computed of.
        wanted: &'static str,
    },
    /// There are more groups, or more different values, than there may be in memory.
    #[error("there are more groups or different values than fit {most_bytes} bytes")]
    TooMany {
        /// How many bytes they may take.
        most_bytes: usize,
    },
}

/// How much of a value an error shows, in characters.
const SHOWN: usize = 60;

/// What a group takes in memory beside its values, about.
const OVERHEAD_BYTES: usize = 96;

/// In so many groups one document may be.
const MOST_ALTERNATIVES: usize = 100_000;

impl Groups {
    /// Of documents that have the same values there, about `most_bytes` of memory. Without paths, all are one group.
    #[must_use]
    pub fn new(paths: Vec<Path>, terms: Vec<AggregateTerm>, most_bytes: usize) -> Self {
        Self::typed(paths, terms, TextTypes::default(), most_bytes)
    }

    /// The same, of documents whose fields have types, which [`Reach::any_comparable`] heeds.
    #[must_use]
    pub fn typed(paths: Vec<Path>, terms: Vec<AggregateTerm>, types: TextTypes, most_bytes: usize) -> Self {
        let mut groups = Self {
            paths,
            terms,
            types,
            places: HashMap::default(),
            values: Vec::new(),
            accumulators: Vec::new(),
            size_bytes: 0,
            most_bytes,
            identity: Vec::new(),
        };
        if groups.paths.is_empty() {
            // There is a total of nothing, too.
            groups.add_group(Vec::new());
        }
        groups
    }

    /// Takes a document in. Its values are asked for at the places of the groups' paths, then those of the terms that have one.
    ///
    /// # Errors
    /// If it cannot be read, has no number where one is needed, or needs more memory than there may be.
    pub fn push<D: Reach>(&mut self, document: &D) -> Result<(), AggregateError<D::Error>> {
        if self.paths.iter().any(Path::is_multiple) {
            for (identity, values) in self.alternatives(document)? {
                let place = self.places.get(identity.as_slice()).copied();
                let place = place.map_or_else(|| self.begin(&identity, values), Ok)?;
                self.add(place, document)?;
            }
            return Ok(());
        }
        if self.paths.is_empty() {
            return self.add(0, document);
        }
        let mut identity = std::mem::take(&mut self.identity);
        identity.clear();
        for (place, path) in self.paths.iter().enumerate() {
            let put = |value: ValueRef<'_>| {
                put_identity(&mut identity, value);
                true
            };
            if !document.any_at(place, path, put).map_err(AggregateError::Document)? {
                put_identity(&mut identity, ValueRef::Null);
            }
        }
        let place = match self.places.get(identity.as_slice()) {
            Some(place) => *place,
            None => {
                let values: Result<_, _> = self.paths.iter().map(|path| first(path, document)).collect();
                self.begin(&identity, values.map_err(AggregateError::Document)?)?
            }
        };
        self.identity = identity;
        self.add(place, document)
    }

    /// The groups in the order of their values, each with its totals.
    pub fn finish(self) -> impl Iterator<Item = (Vec<Value>, Vec<Total>)> {
        let mut totals = self.accumulators.into_iter().map(Accumulator::total);
        let (types, paths, terms) = (self.types, self.paths, self.terms);
        let mut groups: Vec<(Vec<Value>, Vec<Total>)> =
            self.values.into_iter().map(|values| (values, totals.by_ref().take(terms.len()).collect())).collect();
        let in_order = |left: &[Value], right: &[Value]| {
            let mut pairs = left.iter().zip(right);
            pairs.find_map(|(left, right)| Some(compare(Some(left), Some(right))).filter(|order| order.is_ne()))
        };
        groups.sort_by(|(left, _), (right, _)| in_order(left, right).unwrap_or(std::cmp::Ordering::Equal));
        for (values, totals) in groups.iter_mut().filter(|_| !types.is_empty()) {
            for (path, value) in paths.iter().zip(values) {
                *value = types.shown(path, value.take());
            }
            for (term, total) in terms.iter().zip(totals) {
                if let (Total::Value(Some(value)), Some(path)) = (total, &term.path) {
                    *value = types.shown(path, value.take());
                }
            }
        }
        groups.into_iter()
    }

    fn add_group(&mut self, values: Vec<Value>) {
        let of_term = |term: &AggregateTerm| term.path.as_ref().and_then(|path| self.types.of_path(path));
        self.accumulators.extend(self.terms.iter().map(|term| Accumulator::new(term, of_term(term))));
        self.values.push(values);
    }

    /// A new group with these values. Gives its place.
    fn begin<E>(&mut self, identity: &[u8], values: Vec<Value>) -> Result<usize, AggregateError<E>> {
        let size_bytes = OVERHEAD_BYTES + size_of::<Accumulator>() * self.terms.len() + 2 * identity.len();
        self.takes(size_bytes as isize)?;
        let place = self.values.len();
        self.add_group(values);
        self.places.insert(identity.into(), place);
        Ok(place)
    }

    /// All ways to take one of the different values that each path leads to.
    fn alternatives<D: Reach>(&self, document: &D) -> Result<Vec<Identified>, AggregateError<D::Error>> {
        let mut all: Vec<Identified> = vec![(Vec::new(), Vec::new())];
        for path in &self.paths {
            let mut found: Vec<(Vec<u8>, Value)> = Vec::new();
            let mut add = |value: ValueRef<'_>| {
                let mut identity = Vec::new();
                put_identity(&mut identity, value);
                found.push((identity, canonical(value)));
                false
            };
            document.any_comparable(path, &mut add).map_err(AggregateError::Document)?;
            if !path.is_multiple() {
                add(ValueRef::Null);
                found.truncate(1);
            }
            found.sort_unstable_by(|left, right| left.0.cmp(&right.0));
            found.dedup_by(|left, right| left.0 == right.0);
            if all.len().saturating_mul(found.len()) > MOST_ALTERNATIVES {
                return Err(AggregateError::TooMany { most_bytes: self.most_bytes });
            }
            let mut longer = Vec::new();
            let mut size_bytes = 0;
            for (identity, values) in &all {
                for (more, value) in &found {
                    // Each is in memory before the first is put into its group.
                    size_bytes += size_of::<Identified>() + 2 * (identity.len() + more.len());
                    if size_bytes > self.most_bytes {
                        return Err(AggregateError::TooMany { most_bytes: self.most_bytes });
                    }
                    let values = values.iter().chain([value]).cloned().collect();
                    longer.push(([identity.as_slice(), more].concat(), values));
                }
            }
            all = longer;
        }
        Ok(all)
    }

    /// That so many bytes of memory more are taken; less than zero: fewer.
    fn takes<E>(&mut self, size_bytes: isize) -> Result<(), AggregateError<E>> {
        self.size_bytes = self.size_bytes.saturating_add_signed(size_bytes);
        let most_bytes = self.most_bytes;
        if self.size_bytes > most_bytes { Err(AggregateError::TooMany { most_bytes }) } else { Ok(()) }
    }

    /// Takes a document into a group.
    fn add<D: Reach>(&mut self, place: usize, document: &D) -> Result<(), AggregateError<D::Error>> {
        let first = place * self.terms.len();
        let accumulators = self.accumulators.get_mut(first..).unwrap_or_default();
        let mut size_bytes = 0;
        let mut places = self.paths.len()..;
        for (term, accumulator) in self.terms.iter().zip(accumulators) {
            let Some(path) = &term.path else {
                accumulator.add_document();
                continue;
            };
            let mut refused = None;
            let add = |value: ValueRef<'_>| {
                if value.is_null() {
                    return false;
                }
                match accumulator.add(value) {
                    Ok(more) => size_bytes += more,
                    Err(_) => refused = Some(canonical(value)),
                }
                refused.is_some()
            };
            let place = places.next().unwrap_or_default();
            document.any_at(place, path, add).map_err(AggregateError::Document)?;
            if let Some(found) = refused {
                let text_type = self.types.of_path(path);
                let wanted = match text_type {
                    Some(TextType::Decimal) => "decimal numbers",
                    _ if found.is_number() => "whole numbers",
                    _ => "numbers",
                };
                let found = self.types.shown(path, found);
                let (path, function) = (path.clone(), term.function.name());
                let found = found.to_string().chars().take(SHOWN).collect();
                return Err(AggregateError::NotANumber { path, found, function, wanted });
            }
        }
        if size_bytes == 0 { Ok(()) } else { self.takes(size_bytes) }
    }
}

/// The value that a path leads to; null if there is none.
fn first<D: Reach>(path: &Path, document: &D) -> Result<Value, D::Error> {
    let mut found = Value::Null;
    document.any_comparable(path, |value| {
        found = canonical(value);
        true
    })?;
    Ok(found)
}

/// Bytes that tell values apart, and the values.
type Identified = (Vec<u8>, Vec<Value>);

#[cfg(test)]
mod tests;
