use std::collections::HashSet;

use serde_json::Value;

use super::canonical::{canonical, put_identity, whole, whole_of};
use super::decimal_sum::DecimalSum;
use super::exact_sum::ExactSum;
use super::{AggregateTerm, Function};
use crate::compare::compare_to;
use crate::{Decimal, TextType, TextValue, ValueRef};

/// What an aggregate comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Total {
    /// How many there are.
    Count(u64),
    /// A sum of whole numbers.
    Whole(i128),
    /// A sum in which there was a fraction.
    Fraction(f64),
    /// A sum of decimal numbers, as its text.
    Decimal(String),
    /// An average; none of nothing.
    Average(Option<f64>),
    /// One of the values; none of nothing.
    Value(Option<Value>),
}

impl Total {
    /// As JSON. A sum that JSON has no whole number for is the nearest float; one that is not finite is null.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self {
            Self::Count(count) => count.into(),
            Self::Whole(sum) => whole(sum),
            Self::Fraction(sum) => canonical(ValueRef::Float(sum)),
            Self::Decimal(sum) => sum.into(),
            Self::Average(average) => average.map_or(Value::Null, Value::from),
            Self::Value(value) => value.unwrap_or(Value::Null),
        }
    }
}

/// One aggregate while documents come in.
#[derive(Clone, Debug)]
pub(super) enum Accumulator {
    Count(u64),
    Different(HashSet<Box<[u8]>>),
    Sum { sum: ExactSum, is_whole: bool },
    Average { sum: ExactSum, count: u64 },
    DecimalSum(DecimalSum),
    DecimalAverage { sum: DecimalSum, count: u64 },
    Least(Option<Value>),
    Greatest(Option<Value>),
}

/// What a function does not take.
pub(super) struct Refused;

/// What an entry of a set takes in memory beside its bytes, about.
const OVERHEAD_BYTES: usize = 48;

impl Accumulator {
    /// Of values that are [comparable](TextType::comparable) in a field of that type.
    pub(super) fn new(term: &AggregateTerm, text_type: Option<TextType>) -> Self {
        let is_decimal = text_type == Some(TextType::Decimal);
        match term.function {
            Function::Sum { .. } if is_decimal => Self::DecimalSum(DecimalSum::default()),
            Function::Average if is_decimal => Self::DecimalAverage { sum: DecimalSum::default(), count: 0 },
            Function::Count => Self::Count(0),
            Function::CountDistinct => Self::Different(HashSet::new()),
            Function::Sum { is_whole } => Self::Sum { sum: ExactSum::default(), is_whole },
            Function::Average => Self::Average { sum: ExactSum::default(), count: 0 },
            Function::Min => Self::Least(None),
            Function::Max => Self::Greatest(None),
        }
    }

    /// Counts a document, whatever it holds.
    pub(super) fn add_document(&mut self) {
        if let Self::Count(count) = self {
            *count += 1;
        }
    }

    /// Takes a value that is not null. How many bytes of memory it takes more; less than zero: fewer.
    pub(super) fn add(&mut self, value: ValueRef<'_>) -> Result<isize, Refused> {
        match self {
            Self::Count(count) => *count += 1,
            Self::Different(different) => {
                let mut identity = Vec::with_capacity(32);
                put_identity(&mut identity, value);
                let size_bytes = identity.len() + OVERHEAD_BYTES;
                if different.insert(identity.into()) {
                    return Ok(size_bytes as isize);
                }
            }
            Self::Sum { sum, is_whole } => match number(value)? {
                Ok(number) => sum.add_whole(number),
                Err(_) if *is_whole => return Err(Refused),
                Err(number) => return Ok(added(sum, number)),
            },
            Self::Average { sum, count } => {
                *count += 1;
                match number(value)? {
                    Ok(number) => sum.add_whole(number),
                    Err(number) => return Ok(added(sum, number)),
                }
            }
            Self::DecimalSum(sum) => sum.add(decimal(value)?),
            Self::DecimalAverage { sum, count } => {
                *count += 1;
                sum.add(decimal(value)?);
            }
            Self::Least(least) => {
                if least.as_ref().is_none_or(|least| compare_to(value, least).is_lt()) {
                    return Ok(replaced(least, value));
                }
            }
            Self::Greatest(greatest) => {
                if greatest.as_ref().is_none_or(|greatest| compare_to(value, greatest).is_gt()) {
                    return Ok(replaced(greatest, value));
                }
            }
        }
        Ok(0)
    }

    pub(super) fn total(self) -> Total {
        match self {
            Self::Count(count) => Total::Count(count),
            Self::Different(different) => Total::Count(different.len() as u64),
            Self::Sum { sum, .. } => sum.total(),
            Self::Average { sum, count } => Total::Average(sum.average(count)),
            Self::DecimalSum(sum) => Total::Decimal(sum.to_string()),
            Self::DecimalAverage { sum, count } => Total::Average(sum.average(count)),
            Self::Least(value) | Self::Greatest(value) => Total::Value(value),
        }
    }
}

fn added(sum: &mut ExactSum, number: f64) -> isize {
    if sum.add_float(number) { ExactSum::FLOAT_BYTES as isize } else { 0 }
}

/// A number that is whole, or one that is not. However it is written: the sum is the same from an index.
fn number(value: ValueRef<'_>) -> Result<Result<i128, f64>, Refused> {
    match value {
        ValueRef::Integer(number) => Ok(Ok(number)),
        ValueRef::Float(number) => Ok(whole_of(number).ok_or(number)),
        ValueRef::Nested(Value::Number(_)) => number(scalar(value)),
        _ => Err(Refused),
    }
}

/// The decimal number that a comparable value is. A number is none if it was not made comparable as one.
fn decimal(value: ValueRef<'_>) -> Result<Decimal, Refused> {
    let ValueRef::Text(key) = scalar(value) else { return Err(Refused) };
    match TextValue::from_key(TextType::Decimal, key) {
        Some(TextValue::Decimal(number)) => Ok(number),
        _ => Err(Refused),
    }
}

/// The same value where a scalar is not in a reference to JSON.
fn scalar(value: ValueRef<'_>) -> ValueRef<'_> {
    match value {
        ValueRef::Nested(value) => value.into(),
        other => other,
    }
}

/// How many bytes of memory what is kept takes more than what was.
fn replaced(kept: &mut Option<Value>, value: ValueRef<'_>) -> isize {
    let before = kept.as_ref().map_or(0, held_bytes);
    let value = canonical(value);
    let after = held_bytes(&value);
    *kept = Some(value);
    after as isize - before as isize
}

/// What a value takes in memory beside its own place, about.
fn held_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(|element| size_of::<Value>() + held_bytes(element)).sum(),
        Value::Object(fields) => {
            let of_field =
                |(name, value): (&String, &Value)| OVERHEAD_BYTES + size_of::<Value>() + name.len() + held_bytes(value);
            fields.iter().map(of_field).sum()
        }
    }
}
