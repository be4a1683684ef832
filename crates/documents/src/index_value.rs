//! Values as bytes that compare as [`bucketdb_query::compare()`] does, for the entries of an index.
//!
//! A value is a code and then what it holds:
//!
//! ```text
//! 01 a list of so many elements that they are not held, instead of all values of the document
//! 02 missing · 04 null · 06 false · 08 true
//! 10 number:  8 bytes of the nearest double, which order as doubles do, then 2 bytes of what an integer is above it
//! 20 text:    its UTF-8, in which 01 01 stands for 00 and 01 02 for 01, then a zero byte
//! 30 list:    its elements, then a zero byte
//! 40 object:  its fields in the order of their names, each as the name (a text) and the value, then a zero byte
//! ```
//!
//! No encoding begins another one, so values can follow one another, all that have one value are those that begin with it,
//! and a value in descending order is the same bytes, complemented. What is longer than `MAX_VALUE_BYTES` is cut: values that begin alike for so long share one place
//! in an index.

mod reading;

use std::borrow::Cow;

use serde_json::{Number, Value};

pub(crate) use self::reading::read_value;

const END: u8 = 0x00;
/// In either direction, no value begins with it, and it is before all others.
pub(crate) const LARGE_LIST: u8 = 0x01;
const MISSING: u8 = 0x02;
const NULL: u8 = 0x04;
const FALSE: u8 = 0x06;
const TRUE: u8 = 0x08;
const NUMBER: u8 = 0x10;
const TEXT: u8 = 0x20;
const LIST: u8 = 0x30;
const OBJECT: u8 = 0x40;

/// How much of a value an index holds at most, in bytes.
pub(crate) const MAX_VALUE_BYTES: usize = 1024;

/// Appends a value; `None` is one that is missing. Whether it was cut.
pub(crate) fn put_value(buffer: &mut Vec<u8>, value: Option<&Value>, is_descending: bool) -> bool {
    let start = buffer.len();
    match value {
        None => buffer.push(MISSING),
        Some(value) => put(buffer, value, start + MAX_VALUE_BYTES),
    }
    finish(buffer, start, is_descending)
}

/// Appends what all texts with a beginning begin with. Whether it was cut.
pub(crate) fn put_text_prefix(buffer: &mut Vec<u8>, prefix: &str, is_descending: bool) -> bool {
    let start = buffer.len();
    buffer.push(TEXT);
    put_escaped(buffer, prefix.as_bytes());
    finish(buffer, start, is_descending)
}

fn finish(buffer: &mut Vec<u8>, start: usize, is_descending: bool) -> bool {
    // One that just fits counts too: it cannot be told from one that was cut.
    let is_cut = buffer.len() - start >= MAX_VALUE_BYTES;
    buffer.truncate(start + MAX_VALUE_BYTES);
    if is_descending {
        for byte in buffer.iter_mut().skip(start) {
            *byte = !*byte;
        }
    }
    is_cut
}

/// The codes that values of the type of `value` begin with: from the first, and below the second.
pub(crate) fn codes_of_type(value: &Value) -> (u8, u8) {
    match value {
        Value::Null => (NULL, NULL + 1),
        Value::Bool(_) => (FALSE, TRUE + 1),
        Value::Number(_) => (NUMBER, NUMBER + 1),
        Value::String(_) => (TEXT, TEXT + 1),
        Value::Array(_) => (LIST, LIST + 1),
        Value::Object(_) => (OBJECT, OBJECT + 1),
    }
}

/// The codes of what is neither missing nor null.
pub(crate) const CODES_OF_VALUES: (u8, u8) = (NULL + 1, u8::MAX);

/// The codes of what is missing or null.
pub(crate) const CODES_OF_NULL: (u8, u8) = (MISSING, NULL + 1);

/// As many bytes as a value has at most, as they are in ascending order.
fn ascending(bytes: &[u8], is_descending: bool) -> Cow<'_, [u8]> {
    let bytes = bytes.get(..MAX_VALUE_BYTES).unwrap_or(bytes);
    if is_descending { bytes.iter().map(|byte| !byte).collect() } else { bytes.into() }
}

/// Whether the value that bytes begin with is missing or null, and how many bytes it takes.
pub(crate) fn first_value(bytes: &[u8], is_descending: bool) -> (bool, usize) {
    let bytes = &*ascending(bytes, is_descending);
    let is_null = bytes.first().is_some_and(|code| (CODES_OF_NULL.0..CODES_OF_NULL.1).contains(code));
    (is_null, bytes.len() - skip(bytes).len())
}

/// What is behind the value that bytes begin with; nothing, if it was cut.
fn skip(bytes: &[u8]) -> &[u8] {
    let Some((code, mut rest)) = bytes.split_first() else { return bytes };
    match *code {
        NUMBER => rest.get(10..).unwrap_or_default(),
        TEXT => rest.iter().position(|byte| *byte == END).and_then(|end| rest.get(end + 1..)).unwrap_or_default(),
        LIST | OBJECT => loop {
            match rest {
                [END, after @ ..] => return after,
                [] => return rest,
                more => rest = skip(more),
            }
        },
        _ => rest,
    }
}

/// Stops once there is more than fits, since the rest is cut off.
fn put(buffer: &mut Vec<u8>, value: &Value, limit: usize) {
    match value {
        Value::Null => buffer.push(NULL),
        Value::Bool(false) => buffer.push(FALSE),
        Value::Bool(true) => buffer.push(TRUE),
        Value::Number(number) => put_number(buffer, number),
        Value::String(text) => put_text(buffer, text),
        Value::Array(elements) => {
            buffer.push(LIST);
            for element in elements {
                if buffer.len() > limit {
                    return;
                }
                put(buffer, element, limit);
            }
            buffer.push(END);
        }
        Value::Object(fields) => {
            buffer.push(OBJECT);
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in fields {
                if buffer.len() > limit {
                    return;
                }
                put_text(buffer, name);
                put(buffer, value, limit);
            }
            buffer.push(END);
        }
    }
}

fn put_text(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(TEXT);
    let text = text.as_bytes();
    put_escaped(buffer, text.get(..=MAX_VALUE_BYTES).unwrap_or(text));
    buffer.push(END);
}

fn put_escaped(buffer: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match *byte {
            0 => buffer.extend([1, 1]),
            1 => buffer.extend([1, 2]),
            other => buffer.push(other),
        }
    }
}

/// Every integer that JSON numbers hold here is within 1024 of the nearest double: that many lie between two doubles near
/// 2^64, at most.
fn put_number(buffer: &mut Vec<u8>, number: &Number) {
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    let (double, above) = match integer {
        Some(integer) => {
            let double = integer as f64;
            (double, (integer - double as i128) as i16)
        }
        None => (number.as_f64().unwrap_or(f64::NAN), 0),
    };
    buffer.push(NUMBER);
    // Zero equals minus zero. What is not a number is below all numbers, as `compare` has it.
    let bits = if double.is_nan() { 0 } else { ordered_bits(double + 0.0) };
    buffer.extend_from_slice(&bits.to_be_bytes());
    buffer.extend_from_slice(&((i32::from(above) + 0x8000) as u16).to_be_bytes());
}

/// Bits that compare as the doubles do: of negative ones complemented, of others with the sign set.
fn ordered_bits(double: f64) -> u64 {
    let bits = if double == 0.0 { 0 } else { double.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use bucketdb_query::compare;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn encoded(value: Option<&Value>) -> Vec<u8> {
        let mut buffer = Vec::new();
        put_value(&mut buffer, value, false);
        buffer
    }

    fn any_number() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-3_i64..4).prop_map(Value::from),
            (-3_i64..4).prop_map(|number| Value::from(number as f64)),
            (-3_i64..4).prop_map(|number| Value::from(number as f64 / 2.0)),
            any::<f64>().prop_map(Value::from),
            Just(json!(-0.0)),
            (0_u32..64, -1_i128..2).prop_map(|(bits, off)| Value::from(((1_i128 << bits) + off).max(0) as u64)),
            (0_u32..64).prop_map(|bits| Value::from((1_u128 << bits) as f64)),
            (52_u32..63, -1_i128..2).prop_map(|(bits, off)| Value::from((-(1_i128 << bits) + off) as i64)),
        ]
    }

    pub(super) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any_number(),
            "[\\x00\\x01a-c\u{e9}\u{10ffff}]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[\\x00a-b]{0,2}", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn bytes_compare_as_values_do(left in prop::option::of(any_value()), right in prop::option::of(any_value())) {
            let expected = compare(left.as_ref(), right.as_ref());
            prop_assert_eq!(encoded(left.as_ref()).cmp(&encoded(right.as_ref())), expected);
        }

        #[test]
        fn several_values_compare_one_after_the_other(
            left in (any_value(), any_value()), right in (any_value(), any_value()),
            first_descends in any::<bool>(), second_descends in any::<bool>(),
        ) {
            let both = |pair: &(Value, Value)| {
                let mut buffer = Vec::new();
                put_value(&mut buffer, Some(&pair.0), first_descends);
                put_value(&mut buffer, Some(&pair.1), second_descends);
                buffer
            };
            let turned = |ordering: std::cmp::Ordering, turn| if turn { ordering.reverse() } else { ordering };
            let first = turned(compare(Some(&left.0), Some(&right.0)), first_descends);
            let second = turned(compare(Some(&left.1), Some(&right.1)), second_descends);
            prop_assert_eq!(both(&left).cmp(&both(&right)), first.then(second));
        }

        #[test]
        fn numbers_compare_exactly(left in any_number(), right in any_number()) {
            let expected = compare(Some(&left), Some(&right));
            prop_assert_eq!(encoded(Some(&left)).cmp(&encoded(Some(&right))), expected);
        }

        #[test]
        fn a_value_says_where_it_ends(value in prop::option::of(any_value()), behind in any::<[u8; 3]>(), turn in any::<bool>()) {
            let mut buffer = Vec::new();
            put_value(&mut buffer, value.as_ref(), turn);
            let len = buffer.len();
            buffer.extend(behind);
            prop_assert_eq!(first_value(&buffer, turn), (value.is_none_or(|value| value.is_null()), len));
        }

        #[test]
        fn a_beginning_begins_all_texts_that_have_it(prefix in "[\\x00a-b]{0,3}", text in "[\\x00a-b]{0,6}") {
            let mut beginning = Vec::new();
            put_text_prefix(&mut beginning, &prefix, false);
            let whole = encoded(Some(&Value::from(text.clone())));
            prop_assert_eq!(whole.starts_with(&beginning), text.starts_with(&prefix));
        }
    }

    #[test]
    fn long_values_are_cut_and_say_so() {
        let mut buffer = Vec::new();
        assert!(!put_value(&mut buffer, Some(&json!("x".repeat(MAX_VALUE_BYTES - 3))), false));
        for value in [
            json!("x".repeat(MAX_VALUE_BYTES - 2)),
            json!("x".repeat(MAX_VALUE_BYTES)),
            json!("\0".repeat(600)),
            json!(vec![1; 200]),
        ] {
            buffer.clear();
            assert!(put_value(&mut buffer, Some(&value), true));
            assert_eq!(buffer.len(), MAX_VALUE_BYTES);
        }
        let mut whole = Vec::new();
        put_value(&mut whole, Some(&json!("x".repeat(2_000))), false);
        buffer.clear();
        put_text_prefix(&mut buffer, &"x".repeat(3_000), false);
        assert_eq!(whole, buffer, "they begin alike");
    }
}
