//! Values out of the entries of an index.

use serde_json::{Map, Number, Value};

use super::{END, FALSE, LIST, MAX_VALUE_BYTES, MISSING, NULL, NUMBER, OBJECT, TEXT, TRUE, ascending};

/// How deep lists and objects may be nested for their values to be read here.
const MAX_DEPTH: usize = 64;

/// The value that bytes begin with, `None` if it is missing, and how many bytes it takes. Of values that compare as equal it
/// is the one that [`bucketdb_query::canonical`] gives. Nothing if it may have been cut, or cannot be read.
pub(crate) fn read_value(bytes: &[u8], is_descending: bool) -> Option<(Option<Value>, usize)> {
    let bytes = &*ascending(bytes, is_descending);
    if let [MISSING, ..] = bytes {
        return Some((None, 1));
    }
    let (value, rest) = read(bytes, 0)?;
    let len = bytes.len() - rest.len();
    // One that was cut has just that many, and may happen to end as if it were whole.
    (len < MAX_VALUE_BYTES).then_some((Some(value), len))
}

fn read(bytes: &[u8], depth: usize) -> Option<(Value, &[u8])> {
    let (code, rest) = bytes.split_first()?;
    if depth > MAX_DEPTH {
        return None;
    }
    match *code {
        NULL => Some((Value::Null, rest)),
        FALSE => Some((Value::Bool(false), rest)),
        TRUE => Some((Value::Bool(true), rest)),
        NUMBER => {
            let (bits, rest) = rest.split_first_chunk()?;
            let (above, rest) = rest.split_first_chunk()?;
            Some((number(u64::from_be_bytes(*bits), u16::from_be_bytes(*above))?, rest))
        }
        TEXT => text(rest).map(|(text, rest)| (Value::String(text), rest)),
        LIST => {
            let (mut elements, mut rest) = (Vec::new(), rest);
            while let [first, ..] = rest
                && *first != END
            {
                let element;
                (element, rest) = read(rest, depth + 1)?;
                elements.push(element);
            }
            Some((Value::Array(elements), rest.get(1..)?))
        }
        OBJECT => {
            let (mut fields, mut rest) = (Map::new(), rest);
            while let [TEXT, name @ ..] = rest {
                let (name, behind) = text(name)?;
                let value;
                (value, rest) = read(behind, depth + 1)?;
                fields.insert(name, value);
            }
            let (end, rest) = rest.split_first()?;
            (*end == END).then_some((Value::Object(fields), rest))
        }
        _ => None,
    }
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == END)?;
    let (escaped, rest) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    let mut text = Vec::with_capacity(escaped.len());
    let mut escaped = escaped.iter();
    while let Some(byte) = escaped.next() {
        text.push(match *byte {
            1 => escaped.next()?.checked_sub(1)?,
            other => other,
        });
    }
    Some((String::from_utf8(text).ok()?, rest))
}

/// Of the bits of the nearest double, and what an integer is above that.
fn number(ordered: u64, above: u16) -> Option<Value> {
    let bits = if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered };
    let (double, above) = (f64::from_bits(bits), i128::from(above) - 0x8000);
    let whole = (double as i128).saturating_add(above);
    let is_whole = double.fract() == 0.0 && (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&whole);
    if is_whole {
        return i64::try_from(whole).map(Value::from).or_else(|_| u64::try_from(whole).map(Value::from)).ok();
    }
    (above == 0).then(|| Number::from_f64(double).map(Value::Number)).flatten()
}

#[cfg(test)]
mod tests {
    use bucketdb_query::canonical;
    use proptest::prelude::*;

    use super::super::put_value;
    use super::super::tests::any_value;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_was_put_comes_back(
            values in prop::collection::vec((prop::option::of(any_value()), any::<bool>()), 1..4),
        ) {
            let mut bytes = Vec::new();
            for (value, is_descending) in &values {
                put_value(&mut bytes, value.as_ref(), *is_descending);
            }
            let mut rest: &[u8] = &bytes;
            for (value, is_descending) in &values {
                let (found, len) = read_value(rest, *is_descending).unwrap();
                let shown = value.as_ref().map(|value| canonical(value.into()));
                prop_assert_eq!(found.map(|found| found.to_string()), shown.map(|value| value.to_string()));
                rest = &rest[len..];
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), turn: bool) {
            let _ = read_value(&bytes, turn);
        }
    }

    #[test]
    fn what_was_cut_is_not_read() {
        for len in 1_000..1_100 {
            let value = Value::from("x".repeat(len));
            let mut bytes = Vec::new();
            let is_cut = put_value(&mut bytes, Some(&value), false);
            let read = read_value(&bytes, false);
            assert!(read.is_none() || !is_cut && read == Some((Some(value), bytes.len())), "{len}");
            assert!(read.is_some() || bytes.len() == MAX_VALUE_BYTES, "{len}");
        }
        assert_eq!(read_value(&[LIST; 200], false), None, "too deep");
    }
}
