use serde_json::{Map, Number, Value};

use crate::ValueRef;
use crate::compare::{float, integer};

/// The one of all values that [`compare`](crate::compare()) calls equal that stands for them: `1` for `1.0`, `0` for `-0.0`,
/// and the fields of objects in the order of their names.
///
/// That is how aggregates, groups and different values are shown, so that they do not depend on which document came first.
#[must_use]
pub fn canonical(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Bool(value) => Value::Bool(value),
        ValueRef::Integer(number) => whole(number),
        ValueRef::Float(number) => match whole_of(number) {
            Some(number) => whole(number),
            None => Number::from_f64(number).map_or(Value::Null, Value::Number),
        },
        ValueRef::Text(text) => Value::from(text),
        ValueRef::Nested(value) => nested(value),
    }
}

/// A number that JSON holds as a whole one; the nearest float beyond those.
pub(super) fn whole(number: i128) -> Value {
    let small = i64::try_from(number).map(Value::from).or_else(|_| u64::try_from(number).map(Value::from));
    small.unwrap_or_else(|_| Value::from(number as f64))
}

/// The whole number that a float is, if JSON can hold it as one.
pub(super) fn whole_of(number: f64) -> Option<i128> {
    const TOO_HIGH: f64 = 18_446_744_073_709_551_616.0;
    const LOWEST: f64 = -9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && (LOWEST..TOO_HIGH).contains(&number)).then_some(number as i128)
}

fn nested(value: &Value) -> Value {
    match value {
        Value::Array(elements) => elements.iter().map(|element| canonical(element.into())).collect(),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            let fields: Map<String, Value> =
                fields.into_iter().map(|(name, value)| (name.clone(), canonical(value.into()))).collect();
            Value::Object(fields)
        }
        scalar => canonical(scalar.into()),
    }
}

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const WHOLE: u8 = 3;
const FRACTION: u8 = 4;
const TEXT: u8 = 5;
const LIST: u8 = 6;
const OBJECT: u8 = 7;

/// Appends bytes that are the same for values that are equal, and different for others. Only for use in memory.
pub(super) fn put_identity(buffer: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => buffer.push(NULL),
        ValueRef::Bool(false) => buffer.push(FALSE),
        ValueRef::Bool(true) => buffer.push(TRUE),
        ValueRef::Integer(number) => put_whole(buffer, number),
        ValueRef::Float(number) => match whole_of(number) {
            Some(number) => put_whole(buffer, number),
            None => {
                buffer.push(FRACTION);
                buffer.extend_from_slice(&number.to_bits().to_le_bytes());
            }
        },
        ValueRef::Text(text) => put_text(buffer, text),
        ValueRef::Nested(Value::Array(elements)) => {
            buffer.push(LIST);
            put_len(buffer, elements.len());
            for element in elements {
                put_identity(buffer, element.into());
            }
        }
        ValueRef::Nested(Value::Object(fields)) => {
            buffer.push(OBJECT);
            put_len(buffer, fields.len());
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in fields {
                put_text(buffer, name);
                put_identity(buffer, value.into());
            }
        }
        ValueRef::Nested(Value::Null) => buffer.push(NULL),
        ValueRef::Nested(Value::Bool(value)) => buffer.push(if *value { TRUE } else { FALSE }),
        ValueRef::Nested(Value::Number(number)) => match integer(number) {
            Some(number) => put_whole(buffer, number),
            None => put_identity(buffer, ValueRef::Float(float(number))),
        },
        ValueRef::Nested(Value::String(text)) => put_text(buffer, text),
    }
}

fn put_whole(buffer: &mut Vec<u8>, number: i128) {
    buffer.push(WHOLE);
    buffer.extend_from_slice(&number.to_le_bytes());
}

fn put_text(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(TEXT);
    put_len(buffer, text.len());
    buffer.extend_from_slice(text.as_bytes());
}

fn put_len(buffer: &mut Vec<u8>, len: usize) {
    buffer.extend_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::compare;
    use crate::text::strategies::any_document;

    fn identity(value: &Value) -> Vec<u8> {
        let mut buffer = Vec::new();
        put_identity(&mut buffer, value.into());
        buffer
    }

    #[test]
    fn numbers_that_are_equal_are_shown_alike() {
        assert_eq!(canonical((&json!(1.0)).into()).to_string(), "1");
        assert_eq!(canonical((&json!(-0.0)).into()).to_string(), "0");
        assert_eq!(canonical((&json!(1.5)).into()).to_string(), "1.5");
        assert_eq!(canonical((&json!(1e300)).into()), json!(1e300));
        assert_eq!(canonical((&json!(18_446_744_073_709_551_616.0)).into()), json!(18_446_744_073_709_551_616.0));
        assert_eq!(canonical((&json!({"b": [2.0], "a": 1})).into()).to_string(), r#"{"a":1,"b":[2]}"#);
    }

    proptest! {
        #[test]
        fn what_is_equal_is_one(left in any_document(), right in any_document()) {
            let is_equal = compare(Some(&left), Some(&right)).is_eq();
            prop_assert_eq!(identity(&left) == identity(&right), is_equal);
            for value in left.as_object().into_iter().flat_map(Map::values) {
                for other in right.as_object().into_iter().flat_map(Map::values) {
                    let is_equal = compare(Some(value), Some(other)).is_eq();
                    prop_assert_eq!(identity(value) == identity(other), is_equal);
                    let shown = |value: &Value| canonical(value.into()).to_string();
                    prop_assert_eq!(shown(value) == shown(other), is_equal);
                }
            }
        }

        #[test]
        fn it_is_one_of_those_that_it_stands_for(document in any_document()) {
            let shown = canonical((&document).into());
            prop_assert!(compare(Some(&shown), Some(&document)).is_eq());
            prop_assert_eq!(identity(&shown), identity(&document));
        }
    }
}
