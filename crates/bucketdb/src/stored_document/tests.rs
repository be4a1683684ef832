use bucketdb_documents::{FieldType, Layouts, Schema, row};
use bucketdb_query::{Comparison, Filter, Order, Path, Selection, TextType, Typed};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde::Serialize;
use serde_json::{Value, json};

use super::*;

const NAMES: [&str; 5] = ["a", "b", "c", "1", "true"];

/// Texts that stand for something, several of them for the same.
const STANDING: [&str; 12] = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T01:00:00.0+01:00",
    "2026-01-01T00:00:00.5Z",
    "2026-01-01",
    "-000001-01-01",
    "1.1",
    "1.10",
    "-2",
    "10",
    "67e55044-10b1-426f-9247-bb680e5fe0c8",
    "67E5504410B1426F9247BB680E5FE0C8",
    "07e55044-10b1-426f-9247-bb680e5fe0c8",
];

fn any_types() -> impl Strategy<Value = TextTypes> {
    let all = vec![TextType::Uuid, TextType::Timestamp, TextType::Date, TextType::Decimal];
    (subsequence(NAMES.to_vec(), 0..=5), vec(select(all), 5))
        .prop_map(|(names, types)| names.into_iter().zip(types).collect())
}

fn any_name() -> impl Strategy<Value = &'static str> {
    select(NAMES.to_vec())
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec![-1.0, 0.5, 1.0]).prop_map(|number: f64| Value::from(number)),
        any_name().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(STANDING.to_vec()).prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any_name(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

fn any_path() -> impl Strategy<Value = Path> {
    let segment = prop_oneof![
        3 => any_name().prop_map(|name| Segment::Field(name.to_owned())),
        1 => (0u32..3).prop_map(Segment::Index),
        2 => Just(Segment::AnyElement),
    ];
    (any_name(), vec(segment, 0..3)).prop_map(|(first, rest)| {
        rest.into_iter().fold(Path::field(first), |path, segment| match segment {
            Segment::Field(name) => path.then_field(name),
            Segment::Index(index) => path.then_index(index),
            Segment::AnyElement => path.then_any_element(),
        })
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let comparisons = vec![
        Comparison::Equal,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ];
    let condition = prop_oneof![
        4 => (any_path(), select(comparisons), any_value())
            .prop_map(|(path, comparison, value)| Filter::compare(path, comparison, value)),
        1 => (any_path(), vec(any_value(), 0..3)).prop_map(|(path, values)| Filter::is_in(path, values)),
        1 => (any_path(), any_value(), any_value()).prop_map(|(path, low, high)| Filter::between(path, low, high)),
        1 => (any_path(), select(vec!["", "a", "t"])).prop_map(|(path, prefix)| Filter::starts_with(path, prefix)),
        1 => (any_path(), any_value()).prop_map(|(path, value)| Filter::contains(path, value)),
        1 => any_path().prop_map(Filter::exists),
        1 => any_path().prop_map(Filter::is_null),
    ];
    condition.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Filter::all_of),
            vec(inner.clone(), 0..4).prop_map(Filter::any_of),
            inner.prop_map(Filter::not),
        ]
    })
}

/// A value that JSON has in another form than its type: bytes, maps whose keys are no text, numbers that JSON lacks.
#[derive(Clone, Debug)]
enum Odd {
    Json(Value),
    Bytes(Vec<u8>),
    Numbers(Vec<(i8, i8)>),
    Flags(Vec<(bool, i8)>),
    Single(f32),
    Infinite,
    Wide(i128),
}

impl Serialize for Odd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(value) => value.serialize(serializer),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Numbers(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Self::Flags(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Self::Single(number) => serializer.serialize_f32(*number),
            Self::Infinite => serializer.serialize_f64(f64::INFINITY),
            Self::Wide(number) => serializer.serialize_i128(*number),
        }
    }
}

fn any_odd() -> impl Strategy<Value = Odd> {
    prop_oneof![
        6 => any_value().prop_map(Odd::Json),
        1 => vec(0u8..4, 0..4).prop_map(Odd::Bytes),
        1 => vec((0i8..3, -1i8..3), 0..4).prop_map(Odd::Numbers),
        1 => vec((any::<bool>(), -1i8..3), 0..3).prop_map(Odd::Flags),
        1 => select(vec![0.1f32, 0.5, 1.0, f32::NAN]).prop_map(Odd::Single),
        1 => Just(Odd::Infinite),
        1 => any::<i128>().prop_map(Odd::Wide),
    ]
}

struct Document(Vec<(&'static str, Odd)>);

impl Serialize for Document {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn any_layouts() -> impl Strategy<Value = Layouts> {
    use FieldType::{Any, Bool, Bytes, Date, Decimal, F32, F64, I8, I64, Text, Timestamp, U16, U64, Uuid};
    let types = vec![Bool, I8, I64, U16, U64, F32, F64, Text, Bytes, Any, Uuid, Timestamp, Date, Decimal];
    (subsequence(NAMES.to_vec(), 0..=5).prop_shuffle(), vec(select(types), 5)).prop_map(|(names, types)| {
        let schema = names
            .into_iter()
            .zip(types)
            .fold(Schema::builder("t"), |builder, (name, field_type)| builder.field_of_type(name, field_type));
        Layouts::of_schema(&schema.finish())
    })
}

fn matches(filter: &Filter, row: &bytes::Bytes, layouts: &Layouts) -> bool {
    row::look(row, layouts, |document| filter.matches_in(&StoredDocument { document, types: &TextTypes::default() }))
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_filter_says_of_a_row_what_it_says_of_the_document(
        fields in vec((any_name(), any_odd()), 0..6),
        filters in vec(any_filter(), 8),
        layouts in any_layouts(),
        declares_nothing: bool,
        types in any_types(),
    ) {
        let layouts = if declares_nothing {
            Layouts::of_schema(&Schema::open("t", "id", bucketdb_documents::KeyType::Text))
        } else {
            layouts
        };
        let row = row::encode(&Document(fields), &layouts).unwrap();
        let value = row::decode_value(&row, &layouts).unwrap();
        for filter in filters {
            prop_assert_eq!(matches(&filter, &row, &layouts), filter.matches(&value), "{} on {}", filter, value);
            // And whatever texts stand for, be it in columns or not.
            let comparable = filter.clone().comparable(&types);
            let in_row = row::look(&row, &layouts, |document| {
                comparable.matches_in(&StoredDocument { document, types: &types })
            });
            let Ok(in_value) = comparable.matches_in(&Typed { document: &value, types: &types });
            prop_assert_eq!(in_row, Ok(in_value), "{} on {} with {:?}", filter, value, types);
        }
    }

    #[test]
    fn the_part_that_an_order_looks_at_is_ordered_as_the_document(
        documents in vec(vec((any_name(), any_odd()), 0..6), 2),
        path in any_path(),
        descending: bool,
        layouts in any_layouts(),
    ) {
        let order = if descending { Order::descending(path) } else { Order::ascending(path) };
        let name = order.terms()[0].path.segments()[0].clone();
        let Segment::Field(name) = name else { unreachable!() };
        let read = |document| {
            let row = row::encode(&Document(document), &layouts).unwrap();
            let part = row::look(&row, &layouts, |node| node.to_object([name.as_str()])).unwrap();
            (part, row::decode_value(&row, &layouts).unwrap())
        };
        let [(first_part, first), (second_part, second)] =
            <[_; 2]>::try_from(documents.into_iter().map(read).collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(order.compare(&first_part, &second_part), order.compare(&first, &second));
        prop_assert_eq!(first_part, Selection::of([Path::field(name)]).apply(&first));
    }
}

#[test]
fn a_filter_does_not_look_at_what_it_does_not_ask_for() {
    let schema = Schema::builder("t").field::<u32>("age").field::<Vec<String>>("tags").finish();
    let layouts = Layouts::of_schema(&schema);
    let row = row::encode(&json!({"age": 40, "tags": ["x"]}), &layouts).unwrap();
    let mut damaged = row.to_vec();
    let last = damaged.len() - 3;
    damaged[last] = 0xc1;
    let damaged: bytes::Bytes = damaged.into();
    assert!(row::decode_value(&damaged, &layouts).is_err());
    assert!(matches(&"age > 39".parse().unwrap(), &damaged, &layouts));
    assert!(matches(&"tags[*] = 'x'".parse().unwrap(), &row, &layouts));
    let filter: Filter = "tags[*] = 'x'".parse().unwrap();
    assert!(
        row::look(&damaged, &layouts, |node| filter
            .matches_in(&StoredDocument { document: node, types: &TextTypes::default() }))
        .is_err()
    );
}
