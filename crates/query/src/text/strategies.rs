//! Random values, paths and filters for property tests.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{Comparison, Filter, Path, Segment};

/// Few names, so that paths find values; some are words and signs of the grammar.
pub(crate) fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(str::to_owned),
        1 => prop_oneof![
            Just("not"), Just("TRUE"), Just("in"), Just("and"), Just("desc"), Just(""), Just("a.b"), Just("a b"),
            Just("\""), Just("\\"), Just("1"), Just("-"), Just("größe"), Just("\u{a0}"), Just("“a”"), Just("\n\u{1}"),
            Just("日本"), Just("a-b"), Just("[0]"), Just("*"),
            Just("not-a"), Just("OR-b"), Just("true$"), Just("and😀"), Just("false_"),
        ].prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

pub(crate) fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1.0), Just(-1.0)].prop_map(|number: f64| json!(number)),
        any_name().prop_map(Value::from),
    ]
}

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any_name(), inner), 0..4).prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

pub(crate) fn any_document() -> impl Strategy<Value = Value> {
    vec((any_name(), any_value()), 0..4).prop_map(|fields| Value::Object(Map::from_iter(fields)))
}

pub(crate) fn any_path() -> impl Strategy<Value = Path> {
    let segment = prop_oneof![
        4 => any_name().prop_map(Segment::Field),
        1 => prop_oneof![0_u32..3, Just(u32::MAX)].prop_map(Segment::Index),
        1 => Just(Segment::AnyElement),
    ];
    (any_name(), vec(segment, 0..3)).prop_map(|(first, rest)| {
        rest.into_iter().fold(Path::field(first), |path, segment| match segment {
            Segment::Field(name) => path.then_field(name),
            Segment::Index(index) => path.then_index(index),
            Segment::AnyElement => path.then_any_element(),
        })
    })
}

pub(crate) fn any_comparison() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Greater),
        Just(Comparison::GreaterOrEqual),
    ]
}

pub(crate) fn any_filter() -> impl Strategy<Value = Filter> {
    let condition = prop_oneof![
        4 => (any_path(), any_comparison(), any_value()).prop_map(|(path, how, value)| Filter::compare(path, how, value)),
        1 => (any_path(), vec(any_value(), 0..3)).prop_map(|(path, values)| Filter::is_in(path, values)),
        1 => (any_path(), any_value(), any_value()).prop_map(|(path, low, high)| Filter::between(path, low, high)),
        1 => (any_path(), any_name()).prop_map(|(path, prefix)| Filter::starts_with(path, prefix)),
        1 => (any_path(), any_value()).prop_map(|(path, value)| Filter::contains(path, value)),
        1 => any_path().prop_map(Filter::exists),
        1 => any_path().prop_map(Filter::is_null),
        1 => any::<bool>().prop_map(|all| if all { Filter::all() } else { Filter::none() }),
    ];
    condition.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Filter::all_of),
            vec(inner.clone(), 0..4).prop_map(Filter::any_of),
            inner.prop_map(Filter::not),
        ]
    })
}
