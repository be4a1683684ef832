use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::ValueRef;

/// Compares two values in the one total order of all values.
///
/// `null`, then `false`, `true`, numbers by their exact value, strings by code points, lists element by element,
/// objects by their fields sorted by name. `None` stands for a missing value and comes first of all.
///
/// Values that this order calls equal may be written differently: `1` and `1.0` are, and so are two objects with the
/// same fields in another order.
///
/// ```
/// use bucketdb_query::compare;
/// use serde_json::json;
///
/// assert!(compare(None, Some(&json!(null))).is_lt());
/// assert!(compare(Some(&json!(9007199254740993_u64)), Some(&json!(9007199254740992.0))).is_gt());
/// assert!(compare(Some(&json!(10)), Some(&json!("2"))).is_lt());
/// ```
#[must_use]
pub fn compare(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => compare_values(left, right),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}

/// The same order on values that are there.
pub(crate) fn compare_values(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => compare_lists(left, right),
        (Value::Object(left), Value::Object(right)) => compare_objects(left, right),
        (left, right) => rank(left).cmp(&rank(right)),
    }
}

/// The same order where the one was not read as JSON.
pub(crate) fn compare_to(left: ValueRef<'_>, right: &Value) -> Ordering {
    match (left, right) {
        (ValueRef::Bool(left), Value::Bool(right)) => left.cmp(right),
        (ValueRef::Integer(left), Value::Number(right)) => match integer(right) {
            Some(right) => left.cmp(&right),
            None => compare_integer_to_float(left, float(right)),
        },
        (ValueRef::Float(left), Value::Number(right)) => match integer(right) {
            Some(right) => compare_integer_to_float(right, left).reverse(),
            None => compare_floats(left, float(right)),
        },
        (ValueRef::Text(left), Value::String(right)) => left.cmp(right),
        (ValueRef::Nested(left), right) => compare_values(left, right),
        (left, right) => rank_of(left).cmp(&rank(right)),
    }
}

/// Whether a filter may ask for the order of the two: `<` between different types is false, never an error.
pub(crate) fn same_type(left: ValueRef<'_>, right: &Value) -> bool {
    rank_of(left) == rank(right)
}

fn rank_of(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Bool(_) => 1,
        ValueRef::Integer(_) | ValueRef::Float(_) => 2,
        ValueRef::Text(_) => 3,
        ValueRef::Nested(value) => rank(value),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

fn compare_lists(left: &[Value], right: &[Value]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|(left, right)| compare_values(left, right))
        .find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn compare_objects(left: &Map<String, Value>, right: &Map<String, Value>) -> Ordering {
    let (left, right) = (sorted_fields(left), sorted_fields(right));
    left.iter()
        .zip(&right)
        .map(|((left_name, left), (right_name, right))| {
            left_name.cmp(right_name).then_with(|| compare_values(left, right))
        })
        .find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn sorted_fields(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = object.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields
}

fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(left), None) => compare_integer_to_float(left, float(right)),
        (None, Some(right)) => compare_integer_to_float(right, float(left)).reverse(),
        (None, None) => compare_floats(float(left), float(right)),
    }
}

pub(crate) fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

pub(crate) fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// JSON has no NaN; were one to come in, it would be below every number, so that the order stays total. Unlike
/// `f64::total_cmp`, zero equals minus zero.
fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

/// `integer` lies between -2^63 and 2^64, so any float beyond these bounds decides by its sign; within them its
/// whole part fits an `i128` exactly.
fn compare_integer_to_float(integer: i128, float: f64) -> Ordering {
    const TOO_HIGH: f64 = 18_446_744_073_709_551_616.0;
    const TOO_LOW: f64 = -9_223_372_036_854_775_808.0;
    if float.is_nan() || float < TOO_LOW {
        return Ordering::Greater;
    }
    if float >= TOO_HIGH {
        return Ordering::Less;
    }
    let whole = float.trunc();
    integer.cmp(&(whole as i128)).then_with(|| compare_floats(0.0, float - whole))
}

#[cfg(test)]
mod tests;
