use std::cmp::Ordering;

use serde_json::Value;

use super::Filter;
use crate::compare::{compare_to, compare_values, float, integer, same_type};
use crate::{Path, Reach, ValueRef};

/// What a [`Filter`] is made of, for whoever plans a query; see [`Filter::expression`].
///
/// Where a path leads to several values, a condition is true if it is true of one of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expression {
    /// All of them are true; always, if there are none. Never one alone, and none is itself an `And`.
    And(Vec<Filter>),
    /// At least one of them is true; never, if there are none. Never one alone, and none is itself an `Or`.
    Or(Vec<Filter>),
    /// It is false. Never `Not` of a `Not`, nor of "always" or "never".
    Not(Box<Filter>),
    /// The value compares so with the other, which is of the same type.
    Compare {
        /// Where the value is.
        path: Path,
        /// How it must compare.
        comparison: Comparison,
        /// What it is compared with.
        value: Value,
    },
    /// The value equals one of the list.
    In {
        /// Where the value is.
        path: Path,
        /// What it may be.
        values: Vec<Value>,
    },
    /// The value is of the type of both bounds and neither below the one nor above the other.
    Between {
        /// Where the value is.
        path: Path,
        /// The least it may be.
        low: Value,
        /// The most it may be.
        high: Value,
    },
    /// The value is a string that begins so.
    StartsWith {
        /// Where the value is.
        path: Path,
        /// What it begins with.
        prefix: String,
    },
    /// The value is a list with an element equal to the other, or a string with the other inside.
    Contains {
        /// Where the list or string is.
        path: Path,
        /// The element or the part of the string.
        value: Value,
    },
    /// There is a value, be it `null`.
    Exists {
        /// Where the value is.
        path: Path,
    },
    /// There is no value, or it is `null`.
    IsNull {
        /// Where the value is.
        path: Path,
    },
}

/// How a value is to compare with another of its type. There is no "not equal": that is the negation of equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The operator in the text of a filter.
    #[must_use]
    pub fn operator(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// The least and the greatest of the whole numbers that compare so with a value.
    fn whole_numbers(self, value: &Value) -> (i128, i128) {
        let Value::Number(number) = value else { return (1, 0) };
        let (below, above) = match integer(number) {
            Some(number) => (number, number),
            // The casts saturate far beyond all numbers that there are.
            None => (float(number).floor() as i128, float(number).ceil() as i128),
        };
        match self {
            Self::Equal => (above, below),
            Self::Less => (i128::MIN, above.saturating_sub(1)),
            Self::LessOrEqual => (i128::MIN, below),
            Self::Greater => (below.saturating_add(1), i128::MAX),
            Self::GreaterOrEqual => (above, i128::MAX),
        }
    }

    fn between(self, left: ValueRef<'_>, right: &Value) -> bool {
        same_type(left, right) && self.holds(compare_to(left, right))
    }
}

impl Expression {
    /// As deep as the filter is nested.
    pub(super) fn paths(&self) -> Vec<&Path> {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().flat_map(Filter::paths).collect(),
            Self::Not(filter) => filter.paths(),
            Self::Compare { path, .. }
            | Self::In { path, .. }
            | Self::Between { path, .. }
            | Self::StartsWith { path, .. }
            | Self::Contains { path, .. }
            | Self::Exists { path }
            | Self::IsNull { path } => vec![path],
        }
    }

    /// The least and the greatest of all whole numbers of which the condition is true, where it is true of all between them,
    /// and of a number by its value only: comparisons, and `between`. There is none if the least is above the greatest.
    #[must_use]
    pub fn whole_numbers(&self) -> Option<(i128, i128)> {
        match self {
            Self::Compare { comparison, value, .. } => Some(comparison.whole_numbers(value)),
            Self::Between { low, high, .. } => {
                let (low, high) =
                    (Comparison::GreaterOrEqual.whole_numbers(low), Comparison::LessOrEqual.whole_numbers(high));
                Some((low.0.max(high.0), low.1.min(high.1)))
            }
            _ => None,
        }
    }

    pub(super) fn matches<D: Reach>(&self, document: &D) -> Result<bool, D::Error> {
        match self {
            Self::And(filters) => {
                for filter in filters {
                    if !filter.matches_in(document)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(filters) => {
                for filter in filters {
                    if filter.matches_in(document)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(filter) => Ok(!filter.matches_in(document)?),
            Self::Compare { path, comparison, value: right } => {
                document.any_comparable(path, |left| comparison.between(left, right))
            }
            Self::In { path, values } => {
                document.any_comparable(path, |left| values.iter().any(|right| compare_to(left, right).is_eq()))
            }
            Self::Between { path, low, high } => document.any_comparable(path, |value| {
                Comparison::GreaterOrEqual.between(value, low) && Comparison::LessOrEqual.between(value, high)
            }),
            Self::StartsWith { path, prefix } => document.any(path, |value| starts_with(value, prefix)),
            Self::Contains { path, value: part } => document.any(path, |whole| contains(whole, part)),
            Self::Exists { path } => document.any(path, |_| true),
            Self::IsNull { path } => Ok(!document.any(path, |value| !value.is_null())?),
        }
    }
}

fn starts_with(value: ValueRef<'_>, prefix: &str) -> bool {
    match value {
        ValueRef::Text(text) => text.starts_with(prefix),
        ValueRef::Nested(value) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
        _ => false,
    }
}

fn contains(whole: ValueRef<'_>, part: &Value) -> bool {
    match (whole, part) {
        (ValueRef::Nested(Value::Array(elements)), part) => {
            elements.iter().any(|element| compare_values(element, part).is_eq())
        }
        (ValueRef::Text(whole), Value::String(part)) => whole.contains(part.as_str()),
        (ValueRef::Nested(Value::String(whole)), Value::String(part)) => whole.contains(part.as_str()),
        _ => false,
    }
}
