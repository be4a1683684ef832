use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Aggregate, AggregateTerm, Total};
use crate::{Column, Path};

/// A value that has not the type of its column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct UnexpectedValue {
    /// The column, or what was computed of it.
    pub what: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Several aggregates that are computed together: one [`Aggregate`], a tuple of up to eight, or a `Vec` of those of one
/// type.
pub trait Aggregation<T> {
    /// The results, in the same form.
    type Output;

    /// What is to be computed.
    fn terms(&self) -> Vec<AggregateTerm>;

    /// The results, from as many totals as there are terms.
    ///
    /// # Errors
    /// If a value has not the type of its column.
    fn read(&self, totals: &mut dyn Iterator<Item = Total>) -> Result<Self::Output, UnexpectedValue>;
}

/// The columns by which documents are put into groups: one [`Column`], a tuple of up to four, or a `Vec` of those of one type.
pub trait Grouping<T> {
    /// Their values in a group, in the same form.
    type Output;

    /// Where the values are.
    fn paths(&self) -> Vec<Path>;

    /// The values of a group, from as many as there are paths.
    ///
    /// # Errors
    /// If a value has not the type of its column.
    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<Self::Output, UnexpectedValue>;
}

impl<T, R> Aggregation<T> for Aggregate<T, R> {
    type Output = R;

    fn terms(&self) -> Vec<AggregateTerm> {
        vec![self.term().clone()]
    }

    fn read(&self, totals: &mut dyn Iterator<Item = Total>) -> Result<R, UnexpectedValue> {
        let missing = || UnexpectedValue { what: self.to_string(), reason: "it was not computed".to_owned() };
        self.result(totals.next().ok_or_else(missing)?)
    }
}

impl<T, A: Aggregation<T>> Aggregation<T> for Vec<A> {
    type Output = Vec<A::Output>;

    fn terms(&self) -> Vec<AggregateTerm> {
        self.iter().flat_map(A::terms).collect()
    }

    fn read(&self, totals: &mut dyn Iterator<Item = Total>) -> Result<Self::Output, UnexpectedValue> {
        self.iter().map(|aggregate| aggregate.read(totals)).collect()
    }
}

impl<T, V: DeserializeOwned> Grouping<T> for Column<T, V> {
    type Output = V;

    fn paths(&self) -> Vec<Path> {
        vec![self.path()]
    }

    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<V, UnexpectedValue> {
        let unexpected =
            |error: serde_json::Error| UnexpectedValue { what: self.to_string(), reason: error.to_string() };
        serde_json::from_value(values.next().unwrap_or(Value::Null)).map_err(unexpected)
    }
}

impl<T, G: Grouping<T>> Grouping<T> for Vec<G> {
    type Output = Vec<G::Output>;

    fn paths(&self) -> Vec<Path> {
        self.iter().flat_map(G::paths).collect()
    }

    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<Self::Output, UnexpectedValue> {
        self.iter().map(|column| column.read(values)).collect()
    }
}

macro_rules! tuples {
    ($of:ident, $list:ident, $each:ty, $item:ty: $($name:ident $index:tt),+) => {
        impl<T, $($name: $of<T>),+> $of<T> for ($($name,)+) {
            type Output = ($($name::Output,)+);

            fn $list(&self) -> Vec<$each> {
                let mut all = Vec::new();
                $(all.extend(self.$index.$list());)+
                all
            }

            fn read(&self, items: &mut dyn Iterator<Item = $item>) -> Result<Self::Output, UnexpectedValue> {
                Ok(($(self.$index.read(items)?,)+))
            }
        }
    };
}

tuples!(Aggregation, terms, AggregateTerm, Total: A 0);
tuples!(Aggregation, terms, AggregateTerm, Total: A 0, B 1);
tuples!(Aggregation, terms, AggregateTerm, Total: A 0, B 1, C 2);
tuples!(Aggregation, terms, AggregateTerm, Total: A 0, B 1, C 2, D 3);
tuples!(Aggregation, terms, AggregateTerm, Total: A 0, B 1, C 2, D 3, E 4);
tuples!(Aggregation, terms, AggregateTerm, Total: A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(Aggregation, terms, AggregateTerm, Total: A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(Aggregation, terms, AggregateTerm, Total: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(Grouping, paths, Path, Value: A 0);
tuples!(Grouping, paths, Path, Value: A 0, B 1);
tuples!(Grouping, paths, Path, Value: A 0, B 1, C 2);
tuples!(Grouping, paths, Path, Value: A 0, B 1, C 2, D 3);
