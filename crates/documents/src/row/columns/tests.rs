use std::collections::BTreeMap;

use bucketdb_query::{TextType, TextValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::row::tests::{Everything, everything, open};
use crate::row::{self, KIND_COLUMNS, KIND_MESSAGE_PACK};
use crate::{Field, FieldType, KeyType, Layouts, Schema};

const TYPES: [FieldType; 18] = [
    FieldType::Bool,
    FieldType::I8,
    FieldType::I16,
    FieldType::I32,
    FieldType::I64,
    FieldType::U8,
    FieldType::U16,
    FieldType::U32,
    FieldType::U64,
    FieldType::F32,
    FieldType::F64,
    FieldType::Text,
    FieldType::Bytes,
    FieldType::Uuid,
    FieldType::Timestamp,
    FieldType::Date,
    FieldType::Decimal,
    FieldType::Any,
];

fn layouts(fields: &[(&str, FieldType)]) -> Layouts {
    let builder = Schema::builder("documents").version(300);
    Layouts::of_schema(&fields.iter().fold(builder, |builder, (name, of)| builder.field_of_type(name, *of)).finish())
}

/// Some of the names in any order, each with any type.
pub(in crate::row) fn any_layouts(names: Vec<&'static str>) -> impl Strategy<Value = Layouts> {
    let count = names.len();
    let types = vec(prop::sample::select(TYPES.to_vec()), count);
    (subsequence(names, 0..=count).prop_shuffle(), types).prop_map(|(names, types)| {
        let fields: Vec<_> = names.into_iter().zip(types).collect();
        layouts(&fields)
    })
}

pub(in crate::row) const EVERYTHING: [&str; 18] = [
    "flag",
    "small",
    "large",
    "wide",
    "floats",
    "letter",
    "text",
    "bytes",
    "list",
    "map",
    "numbers",
    "shapes",
    "unit",
    "marker",
    "wrapped",
    "maybe",
    "renamed",
    "another name that is longer than the thirty-one bytes of a short text",
];

/// As its derived schema would be, but for what serde flattens into it.
pub(in crate::row) fn of_everything() -> Layouts {
    let of = |name: &str| match name {
        "flag" => FieldType::Bool,
        "letter" | "text" => FieldType::Text,
        "bytes" => FieldType::Bytes,
        "wrapped" => FieldType::U32,
        "renamed" => FieldType::U8,
        name if name.len() > 20 => FieldType::U8,
        _ => FieldType::Any,
    };
    layouts(&EVERYTHING.map(|name| (name, of(name))))
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (any::<i64>(), 0..64u32).prop_map(|(number, shift)| Value::from(number >> shift)),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<f32>().prop_map(|number| Value::from(f64::from(number))),
        (-10i32..10).prop_map(|number| Value::from(f64::from(number))),
        ".{0,20}".prop_map(Value::from),
        "[a-z]{0,300}".prop_map(Value::from),
        any_standing_text().prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-c]", inner), 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Texts that stand for something, as they are written in the end, and some that look like it.
fn any_standing_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|bytes| TextValue::Uuid(bytes).text().to_string()),
        (-99_999_999_999..999_999_999_999i64, prop_oneof![Just(0), 0..1_000_000_000u32])
            .prop_map(|(seconds, nanos)| TextValue::Timestamp { seconds, nanos }.text().to_string()),
        (-1_000_000..4_000_000i32).prop_map(|days| TextValue::Date(days).text().to_string()),
        "-?(0|[1-9][0-9]{0,9})([.][0-9]{1,9})?",
        "-?[0-9]{1,20}[.]?[0-9]{0,20}",
        "20[0-9]{2}-[0-1][0-9]-[0-3][0-9](T[0-2][0-9]:00:[0-6][0-9]Z)?",
    ]
}

pub(in crate::row) const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "a longer name"];

pub(in crate::row) fn any_object() -> impl Strategy<Value = Value> {
    let name = prop_oneof![4 => prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned), 1 => ".{0,3}"];
    vec((name, any_value()), 0..8).prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

proptest! {
    #[test]
    fn json_reads_back_as_it_was_whatever_was_declared(
        document in any_object(),
        layouts in any_layouts(NAMES.to_vec()),
    ) {
        let row = row::encode(&document, &layouts).unwrap();
        prop_assert_eq!(row[0], KIND_COLUMNS);
        prop_assert_eq!(row::schema_version(&row), Ok(300));
        let value = row::decode_value(&row, &layouts).unwrap();
        // Texts tell 1 from 1.0 and 0.0 from -0.0.
        prop_assert_eq!(sorted(&value).to_string(), sorted(&document).to_string());
        prop_assert_eq!(row::decode::<Value>(&row, &layouts).unwrap(), value);
    }

    #[test]
    fn types_read_back_as_they_were_whatever_was_declared(
        document in everything(),
        layouts in prop_oneof![any_layouts(EVERYTHING.to_vec()), Just(of_everything())],
    ) {
        let row = row::encode(&document, &layouts).unwrap();
        prop_assert_eq!(row[0], KIND_COLUMNS);
        prop_assert_eq!(&row::decode::<Everything>(&row, &layouts).unwrap(), &document);
        let as_message_pack = row::encode(&document, &open()).unwrap();
        let value = row::decode_value(&row, &layouts).unwrap();
        prop_assert_eq!(&row::decode_value(&as_message_pack, &open()).unwrap(), &value);
        // What JSON has of it reads as the type, if it reads so anyway.
        let as_json = row::decode::<Everything>(&row::encode(&value, &open()).unwrap(), &open());
        let as_json_in_columns = row::decode::<Everything>(&row::encode(&value, &layouts).unwrap(), &layouts);
        prop_assert_eq!(format!("{:?}", as_json.ok()), format!("{:?}", as_json_in_columns.ok()));
    }

    #[test]
    fn damaged_rows_are_read_as_something_or_refused(
        document in everything(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<Index>()),
        layouts in prop_oneof![any_layouts(EVERYTHING.to_vec()), Just(of_everything())],
    ) {
        let mut row = row::encode(&document, &layouts).unwrap().to_vec();
        for (place, byte) in changes {
            let place = place.index(row.len());
            row[place] = byte;
        }
        if let Some(cut) = cut {
            row.truncate(cut.index(row.len()));
        }
        let _ = row::decode::<Everything>(&row, &layouts);
        let _ = row::decode_value(&row, &layouts);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..100), layouts in any_layouts(NAMES.to_vec())) {
        let row: Vec<u8> = [&[KIND_COLUMNS, 0xac, 0x02], bytes.as_slice()].concat();
        let _ = row::decode_value(&row, &layouts);
        let _ = row::decode::<BTreeMap<String, Option<u64>>>(&row, &layouts);
    }
}

/// Objects with their fields in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(elements) => elements.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Texts {
    uuid: Option<String>,
    at: Option<String>,
    day: Option<String>,
    price: Option<String>,
}

fn of_texts() -> Layouts {
    layouts(&[
        ("uuid", FieldType::Uuid),
        ("at", FieldType::Timestamp),
        ("day", FieldType::Date),
        ("price", FieldType::Decimal),
    ])
}

#[test]
fn texts_that_stand_for_something_take_few_bytes() {
    let document = json!({
        "uuid": "01020304-0506-0708-090a-0b0c0d0e0f10", "at": "1970-01-01T00:00:01.000000002Z", "day": "1969-12-31",
        "price": "-2.50",
    });
    let row = row::encode(&document, &of_texts()).unwrap();
    let expected: Vec<u8> = [
        &[2, 0xac, 0x02, 1][..],
        &[0],
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff],
        &[250, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0],
    ]
    .concat();
    assert_eq!(row, expected);
    assert_eq!(row::decode_value(&row, &of_texts()).unwrap(), document);
    // A moment without a second, and a decimal number with 29 digits behind the point.
    for (place, byte) in [(33, 0xff), (row.len() - 4, 29), (row.len() - 3, 2), (row.len() - 1, 1)] {
        let mut damaged = row.to_vec();
        damaged[place - usize::from(place == 33)] = byte;
        assert!(row::decode_value(&damaged, &of_texts()).is_err(), "{place}");
    }
    // In other words, the same row.
    let same = json!({
        "uuid": "urn:uuid:0102030405060708090A0B0C0D0E0F10", "at": "1970-01-01T01:00:01.000000002+01:00",
        "day": "1969-12-31", "price": "-2.50",
    });
    assert_eq!(row::encode(&same, &of_texts()).unwrap(), row);
}

proptest! {
    #[test]
    fn other_texts_stay_as_they_are(texts in vec(prop::option::of(prop_oneof![any_standing_text(), ".{0,5}"]), 4)) {
        let [uuid, at, day, price] = <[_; 4]>::try_from(texts).unwrap();
        let document = json!({"uuid": uuid, "at": at, "day": day, "price": price});
        let row = row::encode(&document, &of_texts()).unwrap();
        let seen = |text_type: TextType, text: &Option<String>| {
            let text = text.as_ref()?;
            Some(text_type.parse(text).map_or_else(|| text.clone(), |value| value.to_string()))
        };
        let expected = Texts {
            uuid: seen(TextType::Uuid, &uuid),
            at: seen(TextType::Timestamp, &at),
            day: seen(TextType::Date, &day),
            price: seen(TextType::Decimal, &price),
        };
        prop_assert_eq!(row::decode::<Texts>(&row, &of_texts()).unwrap(), expected);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct City {
    id: u64,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    population: Option<u32>,
    twins: Vec<String>,
    height: f32,
}

fn of_city() -> Layouts {
    layouts(&[
        ("id", FieldType::of::<u64>()),
        ("name", FieldType::of::<String>()),
        ("population", FieldType::of::<Option<u32>>()),
        ("twins", FieldType::of::<Vec<String>>()),
        ("height", FieldType::of::<f32>()),
    ])
}

fn bern() -> City {
    City { id: 5, name: "Bern".to_owned(), population: Some(260), twins: vec!["x".to_owned()], height: 0.5 }
}

/// Without anything flattened, so that it asks for its fields in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plain {
    id: u64,
    name: Option<String>,
    letter: char,
    ratio: f32,
    exact: Option<f64>,
    balance: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    small: Option<i8>,
    flag: Option<bool>,
    tags: Option<Vec<String>>,
    wide: u128,
}

const PLAIN: [&str; 10] = ["id", "name", "letter", "ratio", "exact", "balance", "small", "flag", "tags", "wide"];

fn of_plain() -> Layouts {
    layouts(&[
        ("id", FieldType::of::<u64>()),
        ("name", FieldType::of::<Option<String>>()),
        ("letter", FieldType::of::<char>()),
        ("ratio", FieldType::of::<f32>()),
        ("exact", FieldType::of::<Option<f64>>()),
        ("balance", FieldType::of::<i64>()),
        ("small", FieldType::of::<Option<i8>>()),
        ("flag", FieldType::of::<Option<bool>>()),
        ("tags", FieldType::of::<Option<Vec<String>>>()),
        ("wide", FieldType::of::<u128>()),
    ])
}

fn plain() -> impl Strategy<Value = Plain> {
    let texts = (prop::option::of(".{0,90}"), any::<char>(), prop::option::of(vec(".{0,90}", 0..4)));
    let numbers = (any::<u64>(), -1e9f32..1e9, prop::option::of(-1e9f64..1e9), any::<i64>(), any::<u128>());
    (texts, numbers, any::<Option<i8>>(), any::<Option<bool>>()).prop_map(
        |((name, letter, tags), (id, ratio, exact, balance, wide), small, flag)| Plain {
            id,
            name,
            letter,
            ratio,
            exact,
            balance,
            small,
            flag,
            tags,
            wide,
        },
    )
}

proptest! {
    #[test]
    fn fields_in_order_and_by_name_are_the_same(
        document in plain(),
        others in prop_oneof![any_layouts(PLAIN.to_vec()), Just(of_plain())],
    ) {
        for layouts in [of_plain(), others] {
            let row = row::encode(&document, &layouts).unwrap();
            prop_assert_eq!(&row::decode::<Plain>(&row, &layouts).unwrap(), &document);
            let value = row::decode_value(&row, &layouts).unwrap();
            let names: BTreeMap<String, serde::de::IgnoredAny> = row::decode(&row, &layouts).unwrap();
            prop_assert!(names.keys().eq(sorted(&value).as_object().unwrap().keys()));
            let plainly = row::encode(&document, &open()).unwrap();
            prop_assert_eq!(row::decode_value(&plainly, &open()).unwrap(), value);
        }
    }
}

#[test]
fn the_bytes_are_as_in_the_diagram() {
    let row = row::encode(&bern(), &of_city()).unwrap();
    let expected: Vec<u8> = [
        &[2, 0xac, 0x02, 1][..],
        &[0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0x3f],
        &[4, 7],
        b"Bern",
        &[0x91, 0xa1, b'x'],
    ]
    .concat();
    assert_eq!(row, expected);

    let value = json!({"name": "Bern", "id": "five", "population": null, "more": true});
    let row = row::encode(&value, &of_city()).unwrap();
    let expected: Vec<u8> = [
        &[2, 0xac, 0x02, 1][..],
        &[0b10_01_00_11, 0b10],
        &[0; 16],
        &[4, 4],
        b"Bern",
        &[0x82, 0xa2, b'i', b'd', 0xa4, b'f', b'i', b'v', b'e', 0xa4, b'm', b'o', b'r', b'e', 0xc3],
    ]
    .concat();
    assert_eq!(row, expected);
}

#[test]
fn a_heap_of_any_size_is_read() {
    for length in [0, 1, 251, 252, 253, 65_531, 65_532, 65_533, 100_000] {
        let city = City { name: "n".repeat(length), ..bern() };
        let row = row::encode(&city, &of_city()).unwrap();
        assert_eq!(row::decode::<City>(&row, &of_city()), Ok(city));
    }
}

#[test]
fn a_document_of_other_fields_than_declared_reads_by_name() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Newer {
        name: String,
        #[serde(default)]
        canton: Option<String>,
        id: u64,
    }
    let row = row::encode(&City { population: None, ..bern() }, &of_city()).unwrap();
    assert_eq!(row::decode::<City>(&row, &of_city()).unwrap().population, None);
    let newer = Newer { name: "Bern".to_owned(), canton: None, id: 5 };
    assert_eq!(row::decode::<Newer>(&row, &of_city()), Ok(newer));
    assert!(row::decode::<BTreeMap<String, u8>>(&row, &of_city()).is_err());
}

#[test]
fn a_type_that_insists_on_names_gets_them() {
    #[derive(Debug, PartialEq)]
    struct ByName(u64);
    impl<'de> Deserialize<'de> for ByName {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = ByName;

                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("a map")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<ByName, A::Error> {
                    let mut id = 0;
                    while let Some(name) = map.next_key::<String>()? {
                        assert_eq!(name, "id");
                        id = map.next_value()?;
                    }
                    Ok(ByName(id))
                }
            }
            deserializer.deserialize_struct("ByName", &["id"], Visitor)
        }
    }
    let layouts = layouts(&[("id", FieldType::U64)]);
    let row = row::encode(&json!({"id": 7}), &layouts).unwrap();
    assert_eq!(row::decode::<ByName>(&row, &layouts), Ok(ByName(7)));
}

#[test]
fn a_field_that_is_there_twice_and_what_is_no_map_stay_message_pack() {
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([("id", 1), ("other", 2), ("id", 3)])
        }
    }
    let row = row::encode(&Twice, &of_city()).unwrap();
    assert_eq!(row[0], KIND_MESSAGE_PACK);
    assert_eq!(row::decode_value(&row, &of_city()).unwrap(), json!({"id": 3, "other": 2}));
    let row = row::encode(&(1, 2), &of_city()).unwrap();
    assert_eq!(row::decode::<(u8, u8)>(&row, &of_city()), Ok((1, 2)));
}

#[test]
fn variants_read_from_columns_too() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Event {
        Id(u64),
        Name { first: String },
    }
    for event in [Event::Id(1), Event::Name { first: "x".to_owned() }] {
        let as_json = serde_json::to_value(&event).unwrap();
        let row = row::encode(&as_json, &of_city()).unwrap();
        assert_eq!(row[0], KIND_COLUMNS);
        assert_eq!(row::decode::<Event>(&row, &of_city()), Ok(event));
    }
    let row = row::encode(&json!({"id": 1, "name": "x"}), &of_city()).unwrap();
    assert!(row::decode::<Event>(&row, &of_city()).is_err());
}

#[test]
fn nesting_is_limited_as_in_message_pack() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for levels in [126, 127, 128, 129] {
        for name in ["twins", "name", "unknown"] {
            let document = json!({name: nested(levels)});
            let (plain, laid_out) = (row::encode(&document, &open()), row::encode(&document, &of_city()));
            assert_eq!(plain.is_ok(), laid_out.is_ok(), "{levels} levels in {name}");
            if let Ok(row) = laid_out {
                assert_eq!(row::decode_value(&row, &of_city()).unwrap(), document);
            }
        }
    }
}

#[test]
fn a_row_is_read_by_the_layout_of_its_own_version() {
    let mut catalogue = crate::Catalogue::default();
    let first = Schema::builder("cities").field::<u64>("id").field::<u16>("size").key(&["id"]).finish();
    let first = first.with_key_types(&[KeyType::Integer]);
    catalogue.apply(catalogue.register(&first).unwrap()).unwrap();
    let opened_early = catalogue.by_name("cities").unwrap().layouts();
    let second = Schema::builder("cities").version(2).field::<String>("size").field::<u64>("id").key(&["id"]).finish();
    let second = second.with_key_types(&[KeyType::Integer]);
    let document = json!({"id": 1, "size": 2});
    let unknown = row::encode(&document, &Layouts::of_schema(&second)).unwrap();
    assert!(row::decode_value(&unknown, &opened_early).unwrap_err().to_string().contains("version 2"));

    // What is registered later is known to whoever opened the table before, also if it comes by a checkpoint.
    let mut other = catalogue.fresh();
    for schema in [&first, &second] {
        other.apply(other.register(schema).unwrap()).unwrap();
    }
    let loaded = catalogue.decode(other.encode()).unwrap();
    let late = loaded.by_name("cities").unwrap().layouts();
    for (writer, reader) in [(&opened_early, &late), (&late, &opened_early)] {
        let row = row::encode(&document, writer).unwrap();
        assert_eq!(row::schema_version(&row).unwrap(), writer.version());
        assert_eq!(row::decode_value(&row, reader).unwrap(), document);
    }
    assert_eq!(opened_early.for_version(2).version(), 2);
}

#[test]
fn only_declared_fields_make_columns() {
    let value = Value::Object(Map::from_iter([("x".to_owned(), json!(1))]));
    assert_eq!(row::encode(&value, &open()).unwrap()[0], KIND_MESSAGE_PACK);
    let field = Field::new("x", FieldType::of::<i8>());
    let schema = Schema::builder("t").field::<i8>("x").finish();
    assert_eq!(schema.fields(), [field]);
}
