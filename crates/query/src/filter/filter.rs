use std::ops;
use std::str::FromStr;

use serde_json::Value;

use super::{Comparison, Expression};
use crate::text::{ParseError, parse_filter};
use crate::{Path, Reach, TextTypes};

/// Which documents a query wants: a condition, or several joined by [`and`](Self::and), [`or`](Self::or) and
/// [`not`](Self::not).
///
/// Built here, read from text (`"age >= 18".parse()`), or built from a [`Column`](crate::Column) and so checked
/// against the type of the document. Every document either matches or does not: a comparison with a missing value or
/// one of another type is false, never an error. The text and the exact meaning of each condition are in the
/// [crate's documentation](crate).
///
/// A filter prints as text that reads back to an equal filter, unless conditions are nested in it deeper than text
/// may nest them, which is 64 levels.
///
/// ```
/// use bucketdb_query::{Filter, Path};
/// use serde_json::json;
///
/// let adult = Filter::ge(Path::field("age"), 18);
/// let admin = Filter::eq(Path::field("role"), "admin");
/// let filter = adult.and(admin.not());
///
/// assert!(filter.matches(&json!({"age": 18, "role": "guest"})));
/// assert!(!filter.matches(&json!({"age": "18"})));
/// assert_eq!(filter.to_string(), r#"age >= 18 and not role = "admin""#);
/// assert_eq!(filter.to_string().parse::<Filter>()?, filter);
/// # Ok::<(), bucketdb_query::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    expression: Expression,
}

impl Filter {
    /// The filter that every document matches; in text, `true`.
    #[must_use]
    pub fn all() -> Self {
        Self::of(Expression::And(Vec::new()))
    }

    /// The filter that no document matches; in text, `false`.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Expression::Or(Vec::new()))
    }

    /// Not for other modules: only the functions of this one keep what [`Expression`] promises.
    fn of(expression: Expression) -> Self {
        Self { expression }
    }

    /// A comparison with a value of the same type.
    #[must_use]
    pub fn compare(path: Path, comparison: Comparison, value: impl Into<Value>) -> Self {
        Self::of(Expression::Compare { path, comparison, value: value.into() })
    }

    /// The value equals the other.
    #[must_use]
    pub fn eq(path: Path, value: impl Into<Value>) -> Self {
        Self::compare(path, Comparison::Equal, value)
    }

    /// The value does not equal the other, or there is none: the negation of [`eq`](Self::eq).
    #[must_use]
    pub fn ne(path: Path, value: impl Into<Value>) -> Self {
        Self::eq(path, value).not()
    }

    /// The value is less than the other.
    #[must_use]
    pub fn lt(path: Path, value: impl Into<Value>) -> Self {
        Self::compare(path, Comparison::Less, value)
    }

    /// The value is less than the other or equals it.
    #[must_use]
    pub fn le(path: Path, value: impl Into<Value>) -> Self {
        Self::compare(path, Comparison::LessOrEqual, value)
    }

    /// The value is greater than the other.
    #[must_use]
    pub fn gt(path: Path, value: impl Into<Value>) -> Self {
        Self::compare(path, Comparison::Greater, value)
    }

    /// The value is greater than the other or equals it.
    #[must_use]
    pub fn ge(path: Path, value: impl Into<Value>) -> Self {
        Self::compare(path, Comparison::GreaterOrEqual, value)
    }

    /// The value equals one of the others.
    #[must_use]
    pub fn is_in<V: Into<Value>>(path: Path, values: impl IntoIterator<Item = V>) -> Self {
        Self::of(Expression::In { path, values: values.into_iter().map(Into::into).collect() })
    }

    /// The value is neither less than `low` nor greater than `high`.
    #[must_use]
    pub fn between(path: Path, low: impl Into<Value>, high: impl Into<Value>) -> Self {
        Self::of(Expression::Between { path, low: low.into(), high: high.into() })
    }

    /// The value is a string that begins so.
    #[must_use]
    pub fn starts_with(path: Path, prefix: impl Into<String>) -> Self {
        Self::of(Expression::StartsWith { path, prefix: prefix.into() })
    }

    /// The value is a list with an element equal to the other, or a string with the other inside.
    #[must_use]
    pub fn contains(path: Path, value: impl Into<Value>) -> Self {
        Self::of(Expression::Contains { path, value: value.into() })
    }

    /// There is a value, be it `null`.
    #[must_use]
    pub fn exists(path: Path) -> Self {
        Self::of(Expression::Exists { path })
    }

    /// There is no value, or it is `null`.
    #[must_use]
    pub fn is_null(path: Path) -> Self {
        Self::of(Expression::IsNull { path })
    }

    /// Both are true.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        Self::all_of([self, other.into()])
    }

    /// At least one of the two is true.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        Self::any_of([self, other.into()])
    }

    /// It is false.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it does, and users should not have to import the trait")]
    pub fn not(self) -> Self {
        match self.expression {
            Expression::Not(inner) => *inner,
            Expression::And(filters) if filters.is_empty() => Self::none(),
            Expression::Or(filters) if filters.is_empty() => Self::all(),
            expression => Self::of(Expression::Not(Box::new(Self::of(expression)))),
        }
    }

    /// All of them are true; of none, always.
    #[must_use]
    pub fn all_of(filters: impl IntoIterator<Item = Self>) -> Self {
        let mut conditions = Vec::new();
        for filter in filters {
            match filter.expression {
                Expression::And(inner) => conditions.extend(inner),
                Expression::Or(inner) if inner.is_empty() => return Self::none(),
                expression => conditions.push(Self::of(expression)),
            }
        }
        alone(conditions).unwrap_or_else(|conditions| Self::of(Expression::And(conditions)))
    }

    /// At least one of them is true; of none, never.
    #[must_use]
    pub fn any_of(filters: impl IntoIterator<Item = Self>) -> Self {
        let mut conditions = Vec::new();
        for filter in filters {
            match filter.expression {
                Expression::Or(inner) => conditions.extend(inner),
                Expression::And(inner) if inner.is_empty() => return Self::all(),
                expression => conditions.push(Self::of(expression)),
            }
        }
        alone(conditions).unwrap_or_else(|conditions| Self::of(Expression::Or(conditions)))
    }

    /// Whether a document matches.
    #[must_use]
    pub fn matches(&self, document: &Value) -> bool {
        match self.matches_in(document) {
            Ok(matches) => matches,
            Err(impossible) => match impossible {},
        }
    }

    /// Whether a document matches that is not at hand as a value: only what the filter asks for is looked at.
    ///
    /// # Errors
    /// If the document is damaged there.
    pub fn matches_in<D: Reach>(&self, document: &D) -> Result<bool, D::Error> {
        self.expression.matches(document)
    }

    /// Where the values are that it asks for; some may be there more than once.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        self.expression.paths()
    }

    /// The same filter of documents whose fields have other names.
    #[must_use]
    pub fn with_fields<'a>(&'a self, name_of: &impl Fn(&'a str) -> &'a str) -> Self {
        let renamed = |path: &'a Path| path.with_first_field(name_of);
        let all = |filters: &'a [Self]| filters.iter().map(|filter| filter.with_fields(name_of)).collect();
        Self::of(match &self.expression {
            Expression::And(filters) => Expression::And(all(filters)),
            Expression::Or(filters) => Expression::Or(all(filters)),
            Expression::Not(filter) => Expression::Not(Box::new(filter.with_fields(name_of))),
            Expression::Compare { path, comparison, value } => {
                Expression::Compare { path: renamed(path), comparison: *comparison, value: value.clone() }
            }
            Expression::In { path, values } => Expression::In { path: renamed(path), values: values.clone() },
            Expression::Between { path, low, high } => {
                Expression::Between { path: renamed(path), low: low.clone(), high: high.clone() }
            }
            Expression::StartsWith { path, prefix } => {
                Expression::StartsWith { path: renamed(path), prefix: prefix.clone() }
            }
            Expression::Contains { path, value } => Expression::Contains { path: renamed(path), value: value.clone() },
            Expression::Exists { path } => Expression::Exists { path: renamed(path) },
            Expression::IsNull { path } => Expression::IsNull { path: renamed(path) },
        })
    }

    /// The same filter for documents whose fields have types: what it compares with is made comparable with what
    /// [`Reach::any_comparable`] gives. To be done once.
    #[must_use]
    pub fn comparable(self, types: &TextTypes) -> Self {
        if types.is_empty() {
            return self;
        }
        let asked = |path: &Path, value: Value| match types.of_path(path) {
            Some(text_type) => text_type.asked(value),
            None => value,
        };
        let all = |filters: Vec<Self>| filters.into_iter().map(|filter| filter.comparable(types)).collect();
        Self::of(match self.expression {
            Expression::And(filters) => Expression::And(all(filters)),
            Expression::Or(filters) => Expression::Or(all(filters)),
            Expression::Not(filter) => Expression::Not(Box::new(filter.comparable(types))),
            Expression::Compare { path, comparison, value } => {
                let value = asked(&path, value);
                Expression::Compare { path, comparison, value }
            }
            Expression::In { path, values } => {
                let values = values.into_iter().map(|value| asked(&path, value)).collect();
                Expression::In { path, values }
            }
            Expression::Between { path, low, high } => {
                let (low, high) = (asked(&path, low), asked(&path, high));
                Expression::Between { path, low, high }
            }
            Expression::Contains { path, value } => {
                let elements = path.clone().then_any_element();
                match types.of_path(&elements) {
                    None => Expression::Contains { path, value },
                    Some(text_type) => {
                        let asked = text_type.asked(value.clone());
                        let equal = Expression::Compare { path: elements, comparison: Comparison::Equal, value: asked };
                        // Where it is no list after all, but a text, this may be inside.
                        let inside = value.is_string().then(|| Self::of(Expression::Contains { path, value }));
                        match inside {
                            None => equal,
                            Some(inside) => Expression::Or(vec![Self::of(equal), inside]),
                        }
                    }
                }
            }
            other => other,
        })
    }

    /// Whether it asks of a field that has a type what its texts begin with or contain: what is comparable does not say that.
    #[must_use]
    pub fn looks_into_texts(&self, types: &TextTypes) -> bool {
        match &self.expression {
            Expression::And(filters) | Expression::Or(filters) => {
                filters.iter().any(|filter| filter.looks_into_texts(types))
            }
            Expression::Not(filter) => filter.looks_into_texts(types),
            Expression::StartsWith { path, .. } | Expression::Contains { path, .. } => types.of_path(path).is_some(),
            _ => false,
        }
    }

    /// What the filter is made of.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.expression
    }
}

/// The only one of them, or all of them back.
fn alone(mut filters: Vec<Filter>) -> Result<Filter, Vec<Filter>> {
    match filters.pop() {
        Some(only) if filters.is_empty() => Ok(only),
        Some(last) => {
            filters.push(last);
            Err(filters)
        }
        None => Err(filters),
    }
}

impl ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self::not(self)
    }
}

impl FromStr for Filter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_filter(text)
    }
}
