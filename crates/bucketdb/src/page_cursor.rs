//! Where in the order of a query a page ends.
//!
//! The text is base64 (without `+`, `/` and padding) of:
//!
//! ```text
//! 01 version · 8 bytes fingerprint of the query · varint length and bytes of the key · values as JSON · 4 bytes checksum
//! ```
//!
//! The values are a list with one list for each term of the order: with the value, or empty where it is missing. The checksum
//! is the beginning of the BLAKE3 hash of all that is before it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bucketdb_documents::EncodedKey;
use bucketdb_log::codec::{self, Reader};
use bucketdb_query::{Order, OrderTerm, Path};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::Result;
use crate::rows::TableRef;

const VERSION: u8 = 1;
const FINGERPRINT_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// What tells a query from others: a cursor goes on with its own only.
pub(crate) type Fingerprint = [u8; FINGERPRINT_BYTES];

/// Behind which document the next page begins. Its text form is opaque, safe in a URL, and as long as the values by which
/// documents are ordered.
///
/// [`Query::page`](crate::Query::page) gives it and takes it. Nothing is kept for it anywhere, so it is good for as long as the
/// table is there.
#[derive(Clone, Debug, PartialEq)]
pub struct PageCursor {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) key: EncodedKey,
    /// By what the document is ordered, term by term.
    pub(crate) values: Vec<Option<Value>>,
}

/// A text that is no cursor of a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the cursor of a page: {reason}")]
pub struct InvalidPageCursor {
    /// The text, or its beginning.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for PageCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.fingerprint);
        codec::put_bytes(&mut bytes, self.key.as_bytes());
        let values: Value = self.values.iter().map(|value| value.iter().cloned().collect::<Value>()).collect();
        bytes.extend_from_slice(values.to_string().as_bytes());
        bytes.extend_from_slice(&checksum(&bytes));
        formatter.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    beginning(blake3::hash(bytes))
}

/// The first bytes of a hash.
pub(crate) fn beginning<const LEN: usize>(hash: blake3::Hash) -> [u8; LEN] {
    hash.as_bytes().first_chunk().copied().unwrap_or([0; LEN])
}

impl FromStr for PageCursor {
    type Err = InvalidPageCursor;

    fn from_str(text: &str) -> Result<Self, InvalidPageCursor> {
        read(text.trim()).map_err(|reason| InvalidPageCursor { text: text.chars().take(60).collect(), reason })
    }
}

fn read(text: &str) -> Result<PageCursor, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "it is no base64")?;
    let (whole, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or("it is too short")?;
    // What lies behind it is fuzzed.
    if !cfg!(fuzzing) && checksum(whole) != *sum {
        return Err("it was damaged");
    }
    let (version, rest) = whole.split_first().ok_or("it is too short")?;
    if *version != VERSION {
        return Err("it was made by another version of the library");
    }
    let (fingerprint, rest) = rest.split_first_chunk::<FINGERPRINT_BYTES>().ok_or("it is too short")?;
    let mut reader = Reader::new(Bytes::copy_from_slice(rest));
    let key = reader.bytes().map_err(|_| "it is too short")?;
    let values = rest.get(rest.len() - reader.remaining()..).unwrap_or_default();
    let key = EncodedKey::from_bytes(key).map_err(|_| "its key is none")?;
    let values: Vec<Vec<Value>> = serde_json::from_slice(values).map_err(|_| "its values are no JSON")?;
    let values = values.into_iter().map(|value| value.into_iter().next()).collect();
    Ok(PageCursor { fingerprint: *fingerprint, key, values })
}

impl Serialize for PageCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PageCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A place in an order: behind one document.
#[derive(Clone, Debug)]
pub(crate) struct After {
    order: Order,
    /// The terms of the order that tell documents apart.
    deciding: Order,
    values: Vec<Option<Value>>,
    key: EncodedKey,
}

impl After {
    /// In a table.
    pub(crate) fn new(order: Option<&Order>, cursor: PageCursor, table: &TableRef) -> Self {
        let order = order.cloned().unwrap_or_default();
        let comparable =
            |(term, value): (&OrderTerm, Option<Value>)| value.map(|value| table.types.comparable(&term.path, value));
        let values = order.terms().iter().zip(cursor.values).map(comparable).collect();
        let deciding = deciding(&order, table);
        Self { order, deciding, values, key: cursor.key }
    }

    /// Behind this key, in the order of the keys.
    pub(crate) fn key_alone(key: EncodedKey) -> Self {
        Self { order: Order::default(), deciding: Order::default(), values: Vec::new(), key }
    }

    pub(crate) fn key(&self) -> &EncodedKey {
        &self.key
    }

    /// Whether documents are ordered by nothing but their keys.
    pub(crate) fn is_by_key(&self) -> bool {
        self.order.is_empty()
    }

    /// The value by which the order has the document at a path; `None` if it does not order by that.
    pub(crate) fn value(&self, path: &Path) -> Option<Option<&Value>> {
        let place = self.order.terms().iter().position(|term| term.path == *path)?;
        self.values.get(place).map(Option::as_ref)
    }

    /// Whether a row lies behind the place.
    pub(crate) fn is_before(&self, table: &TableRef, key: &EncodedKey, row: &Bytes) -> Result<bool> {
        let mut ordering = Ordering::Equal;
        if !self.deciding.is_empty() {
            let positions = table.positions(&self.deciding, key, row)?;
            ordering = self.deciding.compare_positions(&positions, &self.values);
        }
        Ok(ordering.then_with(|| key.cmp(&self.key)).is_gt())
    }
}

/// An order up to where it has all of the key. What is behind that tells no two documents apart, and a way may leave it out:
/// it must not say of a document that was written meanwhile that it lies behind itself.
fn deciding(order: &Order, table: &TableRef) -> Order {
    let names = table.schema.key();
    let has_key = |terms: &[OrderTerm]| {
        names.iter().all(|field| terms.iter().any(|term| term.path == Path::field(field.name.as_str())))
    };
    let terms = order.terms();
    let count = (0..terms.len()).find(|count| terms.get(..*count).is_some_and(has_key)).unwrap_or(terms.len());
    terms.iter().take(count).cloned().collect()
}

#[cfg(test)]
mod tests {
    use bucketdb_documents::KeyPart;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn cursor(values: Vec<Option<Value>>) -> PageCursor {
        let key = EncodedKey::new(&[KeyPart::Text("a/ü".to_owned()), KeyPart::Integer(-7)]).unwrap();
        PageCursor { fingerprint: *b"\x00\xff345678", key, values }
    }

    fn any_scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(json!([1, {"a": []}])),
        ]
    }

    proptest! {
        #[test]
        fn cursors_print_and_parse(values in prop::collection::vec(prop::option::of(any_scalar()), 0..4)) {
            let cursor = cursor(values);
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            prop_assert_eq!(text.parse(), Ok(cursor.clone()));
            let json = serde_json::to_string(&cursor).unwrap();
            prop_assert_eq!(serde_json::from_str::<PageCursor>(&json).unwrap(), cursor);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            prop_assert!(text.parse::<PageCursor>().is_err());
            let mut whole = bytes;
            whole.extend(checksum(&whole));
            let _ = URL_SAFE_NO_PAD.encode(&whole).parse::<PageCursor>();
            whole.insert(0, VERSION);
            whole.truncate(whole.len() - CHECKSUM_BYTES);
            whole.extend(checksum(&whole));
            let _ = URL_SAFE_NO_PAD.encode(&whole).parse::<PageCursor>();
        }

        #[test]
        fn a_changed_character_is_found(place in 0..60_usize, to in "[A-Za-z0-9_-]") {
            let text = cursor(vec![Some(json!("value")), None]).to_string();
            let place = place % text.len();
            let changed = format!("{}{to}{}", &text[..place], &text[place + 1..]);
            prop_assert!(changed == text || changed.parse::<PageCursor>().is_err());
        }
    }
}
