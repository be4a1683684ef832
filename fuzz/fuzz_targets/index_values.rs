//! What indexes hold: entries that are damaged do not panic; what is read of one is what was put in, and places of an index
//! compare as the values do, or as what their texts stand for.
#![no_main]

use std::cmp::Ordering;

use bucketdb_documents::{Index, IndexId};
use bucketdb_fuzz::Any;
use bucketdb_query::{TextType, canonical, compare};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

/// Of values that are nested deeper, only the row is read.
const MOST_READ: usize = 64;

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

const TYPES: [TextType; 4] = [TextType::Uuid, TextType::Timestamp, TextType::Date, TextType::Decimal];

fuzz_target!(|input: (Vec<u8>, bool, u8, Any, Any)| {
    let (bytes, is_descending, of_type, first, second) = input;
    let order = if is_descending { "v desc" } else { "v" };
    let text_type = TYPES.get(usize::from(of_type) % (TYPES.len() + 1)).copied();
    let types = text_type.map(|text_type| ("v", text_type)).into_iter().collect();
    let index = Index { id: IndexId(1), order: order.parse().unwrap(), is_unique: false, types };
    let _ = (index.read_values(&bytes), index.is_exempt(&bytes));
    let place = |value: &Value| {
        let document = Value::Object(Map::from_iter([("v".to_owned(), value.clone())]));
        index.values(&document).into_iter().next().unwrap()
    };
    let (first, second): (Value, Value) = (first.into(), second.into());
    let (a, b) = (place(&first), place(&second));
    let comparable = |value: Value| match text_type {
        Some(text_type) => {
            let comparable = text_type.comparable(value);
            // What a group shows equals what it stands for.
            assert_eq!(text_type.comparable(text_type.shown(comparable.clone())), comparable);
            comparable
        }
        None => value,
    };
    let (first, second) = (comparable(first), comparable(second));
    if !a.is_cut {
        match index.read_values(&a.bytes) {
            Some(read) => assert_eq!(read, [Some(canonical((&first).into()))], "{first}"),
            None => assert!(depth(&first) > MOST_READ, "{first}"),
        }
    }
    let expected = compare(Some(&first), Some(&second));
    let expected = if is_descending { expected.reverse() } else { expected };
    // Two that are cut may share a place.
    let is_allowed = a.bytes.cmp(&b.bytes) == expected || ((a.is_cut || b.is_cut) && a.bytes == b.bytes);
    assert!(is_allowed || expected == Ordering::Equal && a.is_cut, "{first} and {second}: {expected:?}");
});
