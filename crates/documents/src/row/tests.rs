use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::item::Item;
use super::*;
use crate::{KeyType, Schema};

/// Of a table without declared fields.
pub(super) fn open() -> Layouts {
    Layouts::of_schema(&Schema::open("documents", "id", KeyType::Integer))
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nested {
    id: u64,
    ratio: f64,
    name: Option<String>,
    shape: Shape,
    numbers: BTreeMap<u8, i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle { radius: f32 },
    Pair(i8, i8),
}

fn sample(shape: Shape) -> Nested {
    Nested { id: u64::MAX, ratio: f64::INFINITY, name: None, shape, numbers: BTreeMap::from([(3, i64::MIN)]) }
}

#[test]
fn documents_keep_what_json_would_lose() {
    for shape in [Shape::Point, Shape::Circle { radius: 1.5 }, Shape::Pair(-1, 1)] {
        let document = sample(shape);
        let row = encode(&document, &open()).unwrap();
        assert_eq!(decode::<Nested>(&row, &open()).unwrap(), document);
        assert_eq!(schema_version(&row), Ok(0));
    }
}

#[test]
fn any_document_can_be_seen_as_json() {
    let row = encode(&sample(Shape::Circle { radius: 1.5 }), &open()).unwrap();
    let value = decode_value(&row, &open()).unwrap();
    let expected = json!({
        "id": u64::MAX, "ratio": null, "name": null, "shape": {"Circle": {"radius": 1.5}}, "numbers": {"3": i64::MIN},
    });
    assert_eq!(value, expected);
}

#[test]
fn json_reads_back_as_a_type_and_as_itself() {
    let value = json!({"id": 7, "ratio": 0.5, "name": "x", "shape": "Point", "numbers": {}});
    let row = encode(&value, &open()).unwrap();
    assert_eq!(decode_value(&row, &open()).unwrap(), value);
    assert_eq!(decode::<Nested>(&row, &open()).unwrap().id, 7);
}

#[test]
fn what_is_nested_too_deep_is_refused_and_not_a_crash() {
    let mut value = json!(1);
    for _ in 0..200 {
        value = json!([value]);
    }
    assert!(encode(&value, &open()).is_err());
    let mut row = vec![KIND_MESSAGE_PACK, 0];
    row.extend_from_slice(&[0x91; 100_000]);
    assert!(decode_value(&row, &open()).is_err());
    assert!(decode::<Value>(&row, &open()).is_err());
}

/// A quote in a text is two characters in the text of the key that has it, and so on.
#[test]
fn keys_in_keys_do_not_grow_without_end() {
    let nested = |levels: usize| [vec![0x81; levels], vec![0xa1, b'"'], vec![0xc0; levels]].concat();
    let read = |bytes: &[u8]| AnyValue.deserialize(Item::MessagePack(bytes));
    assert_eq!(read(&nested(2)), Ok(json!({r#"{"\"":null}"#: null})));
    assert_eq!(read(&nested(60)), Err(RowError("a key of a map takes more than 65536 bytes as text".to_owned())));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut row = vec![KIND_MESSAGE_PACK, 0];
        row.extend_from_slice(&bytes);
        let _ = decode_value(&row, &open());
        let _ = decode_value(&bytes, &open());
    }
}

/// Whatever a type can have that serde knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Everything {
    flag: bool,
    small: (u8, i8, u16, i16),
    large: (u32, i32, u64, i64),
    wide: (i128, u128),
    floats: (f32, f64),
    letter: char,
    text: String,
    #[serde(with = "serde_bytes_like")]
    bytes: Vec<u8>,
    list: Vec<Option<i64>>,
    map: BTreeMap<String, Vec<u16>>,
    numbers: BTreeMap<i32, String>,
    shapes: Vec<AnyShape>,
    unit: (),
    marker: Marker,
    wrapped: Wrapped,
    maybe: Option<Box<Everything>>,
    #[serde(default, alias = "formerly")]
    renamed: u8,
    #[serde(rename = "another name that is longer than the thirty-one bytes of a short text")]
    long: u8,
    #[serde(flatten)]
    flat: BTreeMap<String, u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Marker;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wrapped(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum AnyShape {
    Point,
    Size(u32),
    Pair(i8, String),
    Box { width: f32, height: Option<f32> },
}

/// Bytes as bytes, not as a list.
mod serde_bytes_like {
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

fn any_shape() -> impl Strategy<Value = AnyShape> {
    prop_oneof![
        Just(AnyShape::Point),
        any::<u32>().prop_map(AnyShape::Size),
        (any::<i8>(), ".{0,40}").prop_map(|(number, text)| AnyShape::Pair(number, text)),
        (-1e9f32..1e9, prop::option::of(-1f32..1.0)).prop_map(|(width, height)| AnyShape::Box { width, height }),
    ]
}

/// A number of any length, as often short as long.
fn any_number() -> impl Strategy<Value = i64> {
    (any::<i64>(), 0..64u32).prop_map(|(number, shift)| number >> shift)
}

pub(super) fn everything() -> impl Strategy<Value = Everything> {
    let scalars = (any::<bool>(), any::<(u8, i8, u16, i16)>(), any::<(u32, i32, u64, i64)>(), any::<(i128, u128)>());
    let texts = (any::<char>(), ".{0,300}", prop::collection::vec(any::<u8>(), 0..300), -1e30f64..1e30);
    let lists = (
        prop::collection::vec(prop::option::of(any_number()), 0..20),
        prop::collection::btree_map("[a-z]{0,40}", prop::collection::vec(any::<u16>(), 0..20), 0..20),
        prop::collection::btree_map(any::<i32>(), ".{0,5}", 0..4),
        prop::collection::vec(any_shape(), 0..5),
        prop::collection::btree_map("flat [a-z]{3}", any::<u8>(), 0..3),
    );
    let leaf = (scalars, texts, lists).prop_map(|(scalars, texts, lists)| Everything {
        flag: scalars.0,
        small: scalars.1,
        large: scalars.2,
        wide: scalars.3,
        floats: (texts.3 as f32, texts.3),
        letter: texts.0,
        text: texts.1,
        bytes: texts.2,
        list: lists.0,
        map: lists.1,
        numbers: lists.2,
        shapes: lists.3,
        unit: (),
        marker: Marker,
        wrapped: Wrapped(7),
        maybe: None,
        renamed: 1,
        long: 2,
        flat: lists.4,
    });
    leaf.prop_recursive(4, 5, 1, |inner| {
        (inner.clone(), inner).prop_map(|(outer, inner)| Everything { maybe: Some(Box::new(inner)), ..outer })
    })
}

fn as_row(body: &[u8]) -> Bytes {
    [[KIND_MESSAGE_PACK, 0].as_slice(), body].concat().into()
}

proptest! {
    #[test]
    fn what_was_written_is_read_as_it_was(document in everything()) {
        let row = encode(&document, &open()).unwrap();
        prop_assert_eq!(&decode::<Everything>(&row, &open()).unwrap(), &document);
        // The library that wrote it reads the same, and so does either what the other sees as JSON.
        prop_assert_eq!(&rmp_serde::from_slice::<Everything>(&row[2..]).unwrap(), &document);
        let value = decode_value(&row, &open()).unwrap();
        let mut theirs = rmp_serde::Deserializer::from_read_ref(&row[2..]);
        prop_assert_eq!(AnyValue.deserialize(&mut theirs).unwrap(), value);
    }

    #[test]
    fn a_row_that_was_cut_or_changed_is_read_as_the_library_would_or_refused(
        document in everything(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let row = encode(&document, &open()).unwrap();
        let mut body = row[2..].to_vec();
        let place = place.index(body.len());
        if cut {
            body.truncate(place);
        } else {
            body[place] = byte;
        }
        if let Ok(ours) = decode::<Everything>(&as_row(&body), &open()) {
            let theirs = rmp_serde::from_slice::<Everything>(&body);
            prop_assert_eq!(format!("{:?}", theirs.unwrap()), format!("{:?}", ours));
        }
    }
}

#[test]
fn fields_may_come_in_any_order_and_number_and_under_their_former_names() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Two {
        #[serde(alias = "was")]
        first: u8,
        second: String,
        #[serde(default)]
        third: Option<u8>,
    }
    let two = |third| Two { first: 1, second: "x".to_owned(), third };
    let read = |value: Value| decode::<Two>(&encode(&value, &open()).unwrap(), &open());
    assert_eq!(read(json!({"first": 1, "second": "x"})), Ok(two(None)));
    assert_eq!(read(json!({"second": "x", "first": 1, "third": 3})), Ok(two(Some(3))));
    assert_eq!(read(json!({"was": 1, "unknown": [{"a": 1}], "second": "x"})), Ok(two(None)));
    assert!(read(json!({"first": 1})).unwrap_err().to_string().contains("second"));
    assert!(read(json!({"first": 256, "second": "x"})).is_err());
    assert!(read(json!({"first": 1, "first ": 2, "second": 3})).is_err());
}

#[test]
fn bytes_behind_a_document_are_refused() {
    let mut row = encode(&json!({"id": 1}), &open()).unwrap().to_vec();
    row.push(0);
    assert!(decode_value(&row, &open()).is_err());
}

#[test]
fn a_serializer_that_lies_about_a_length_is_found_out() {
    use serde::Serializer;
    use serde::ser::SerializeSeq;

    struct Short(usize);
    impl Serialize for Short {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(Some(self.0))?;
            list.serialize_element(&1)?;
            list.end()
        }
    }
    assert!(encode(&Short(2), &open()).is_err());
    assert!(encode(&Short(0), &open()).is_err());
    assert!(encode(&Short(1), &open()).is_ok());
}
