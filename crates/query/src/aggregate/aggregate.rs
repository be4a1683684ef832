use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::number::{Number, SumType};
use super::{Total, UnexpectedValue};
use crate::{Column, Path};

/// What is to be computed from the values of a column over many documents: their sum, their average, how many there are.
///
/// [`Column`] makes them: `User::AGE.sum()`. `T` is the type of the documents, `R` that of the result. A value that is missing
/// or null is left out, as SQL does. Where a path leads to several values (`scores[*]`), each of them counts.
///
/// Whole numbers and decimal numbers are added exactly, and floats are too: a sum is rounded once, at the end, and does not depend on the order
/// of the documents. What `min` and `max` give is [canonical](crate::canonical).
///
/// ```
/// use bucketdb_query::{Aggregate, Column};
/// # struct User;
/// const AGE: Column<User, u8> = Column::new("age");
///
/// let average: Aggregate<User, Option<f64>> = AGE.avg();
/// assert_eq!(average.to_string(), "avg(age)");
/// assert_eq!(Aggregate::<User, u64>::count().to_string(), "count");
/// ```
pub struct Aggregate<T, R> {
    term: AggregateTerm,
    /// Where in the result the value is put together from a total.
    pub(super) read: fn(Total) -> Result<R, String>,
    documents: std::marker::PhantomData<fn(&T)>,
}

/// An [`Aggregate`] without types.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregateTerm {
    /// What is computed.
    pub function: Function,
    /// From which values; `None`: of the documents themselves.
    pub path: Option<Path>,
}

/// What is computed of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// How many there are.
    Count,
    /// How many different ones there are.
    CountDistinct,
    /// The sum, 0 of nothing. Anything but a number is an error.
    Sum {
        /// Whether a number with a fraction is an error too.
        is_whole: bool,
    },
    /// The sum divided by how many there are. Anything but a number is an error.
    Average,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Function {
    /// Its name in text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::CountDistinct => "count distinct",
            Self::Sum { .. } => "sum",
            Self::Average => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

impl<T, R> Aggregate<T, R> {
    fn of(function: Function, path: Option<Path>, read: fn(Total) -> Result<R, String>) -> Self {
        Self { term: AggregateTerm { function, path }, read, documents: std::marker::PhantomData }
    }

    /// Without the types.
    #[must_use]
    pub fn term(&self) -> &AggregateTerm {
        &self.term
    }

    /// The same, with a result in JSON.
    #[must_use]
    pub fn into_untyped(self) -> Aggregate<T, Value> {
        Aggregate { term: self.term, read: |total| Ok(total.into_value()), documents: std::marker::PhantomData }
    }

    pub(super) fn result(&self, total: Total) -> Result<R, UnexpectedValue> {
        (self.read)(total).map_err(|reason| UnexpectedValue { what: self.term.to_string(), reason })
    }
}

impl<T> Aggregate<T, u64> {
    /// How many documents there are.
    #[must_use]
    pub fn count() -> Self {
        Self::of(Function::Count, None, count)
    }
}

impl<T, V> Column<T, V> {
    /// How many values there are, without those that are missing or null.
    #[must_use]
    pub fn count(&self) -> Aggregate<T, u64> {
        Aggregate::of(Function::Count, Some(self.path()), count)
    }

    /// How many different values there are, without those that are missing or null.
    #[must_use]
    pub fn count_distinct(&self) -> Aggregate<T, u64> {
        Aggregate::of(Function::CountDistinct, Some(self.path()), count)
    }

    /// The sum of the numbers; 0 if there are none.
    #[must_use]
    pub fn sum(&self) -> Aggregate<T, V::Sum>
    where
        V: Number,
    {
        let function = Function::Sum { is_whole: V::Sum::IS_WHOLE };
        Aggregate::of(function, Some(self.path()), V::Sum::of_total)
    }

    /// The average of the numbers; none of nothing.
    #[must_use]
    pub fn avg(&self) -> Aggregate<T, Option<f64>>
    where
        V: Number,
    {
        Aggregate::of(Function::Average, Some(self.path()), average)
    }

    /// The least value; none of nothing. Of a column of an `Option`, `flatten()` gives the value.
    #[must_use]
    pub fn min(&self) -> Aggregate<T, Option<V>>
    where
        V: DeserializeOwned,
    {
        Aggregate::of(Function::Min, Some(self.path()), value)
    }

    /// The greatest value; none of nothing. Of a column of an `Option`, `flatten()` gives the value.
    #[must_use]
    pub fn max(&self) -> Aggregate<T, Option<V>>
    where
        V: DeserializeOwned,
    {
        Aggregate::of(Function::Max, Some(self.path()), value)
    }
}

/// What comes of a function is always of its own kind; this says so where it is not.
pub(super) fn impossible<R>(total: &Total) -> Result<R, String> {
    Err(format!("it came to {total:?}"))
}

fn count(total: Total) -> Result<u64, String> {
    match total {
        Total::Count(count) => Ok(count),
        other => impossible(&other),
    }
}

fn average(total: Total) -> Result<Option<f64>, String> {
    match total {
        Total::Average(average) => Ok(average),
        other => impossible(&other),
    }
}

fn value<V: DeserializeOwned>(total: Total) -> Result<Option<V>, String> {
    match total {
        Total::Value(value) => value.map(serde_json::from_value).transpose().map_err(|error| error.to_string()),
        other => impossible(&other),
    }
}

impl<T, R> Clone for Aggregate<T, R> {
    fn clone(&self) -> Self {
        Self { term: self.term.clone(), read: self.read, documents: std::marker::PhantomData }
    }
}

impl<T, R> fmt::Debug for Aggregate<T, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Aggregate({})", self.term)
    }
}

impl<T, R> fmt::Display for Aggregate<T, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.term.fmt(formatter)
    }
}

impl fmt::Display for AggregateTerm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.function, &self.path) {
            (Function::CountDistinct, Some(path)) => write!(formatter, "count(distinct {path})"),
            (function, Some(path)) => write!(formatter, "{}({path})", function.name()),
            (function, None) => formatter.write_str(function.name()),
        }
    }
}
