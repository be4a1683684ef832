use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::super::tests::open;
use super::super::{decode, decode_value};
use super::*;
use crate::{FieldType, Schema};

/// Without declared fields; with a column of its own for the field; with one that holds whole numbers only.
fn layouts() -> [Layouts; 3] {
    let with = |of| Layouts::of_schema(&Schema::builder("documents").field_of_type("d", of).finish());
    [open(), with(FieldType::Any), with(FieldType::I64)]
}

/// What a patch makes of a value, in a field of a document.
fn merged(value: Value, patch: &Value, layouts: &Layouts) -> Value {
    let row = encode(&json!({"other": 1, "d": value}), layouts).unwrap();
    let patch = Map::from_iter([("d".to_owned(), patch.clone())]);
    let row = patched(&row, &patch, layouts).unwrap();
    let document = decode_value(&row, layouts).unwrap();
    assert_eq!(document["other"], 1);
    document.get("d").cloned().unwrap_or_default()
}

/// What the RFC says, on JSON: objects field by field, anything else as a whole; `null` removes a field.
fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        document.clone_from(patch);
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(fields) = document else { return };
    for (name, change) in patch {
        if change.is_null() {
            // Not by swapping: the other fields stay in their order.
            fields.shift_remove(name);
        } else {
            merge(fields.entry(name.as_str()).or_insert(Value::Null), change);
        }
    }
}

#[test]
fn the_examples_of_the_rfc() {
    for (document, patch, result) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (json!({"a": "foo"}), json!("bar"), json!("bar")),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        for layouts in layouts() {
            assert_eq!(merged(document.clone(), &patch, &layouts), result, "{document} with {patch}");
        }
    }
}

#[test]
fn what_is_left_stays_in_its_order() {
    let document = merged(json!({"a": 1, "b": 2, "c": 3, "d": 4}), &json!({"b": null, "d": 5, "e": 6}), &open());
    assert_eq!(document.to_string(), r#"{"a":1,"c":3,"d":5,"e":6}"#);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), Just(json!([1]))];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect()))
    })
}

/// The difference of two documents as a patch, where they have no nulls.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let removed = from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = to.iter().filter_map(|(name, to)| match from.get(name) {
        Some(from) if from == to => None,
        Some(from) => Some((name.clone(), difference(from, to))),
        None => Some((name.clone(), to.clone())),
    });
    Value::Object(removed.chain(changed).collect())
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(n, v)| (n, without_nulls(v))).collect()
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn a_row_is_patched_as_its_json_is(from in any_value(), to in any_value()) {
        for layouts in layouts() {
            let mut expected = from.clone();
            merge(&mut expected, &to);
            prop_assert_eq!(merged(from.clone(), &to, &layouts), expected);
        }
    }

    #[test]
    fn a_patch_twice_is_a_patch_once_and_the_difference_leads_there(from in any_value(), to in any_value()) {
        for layouts in layouts() {
            let once = merged(from.clone(), &to, &layouts);
            prop_assert_eq!(merged(once.clone(), &to, &layouts), once);
            let (from, to) = (without_nulls(from.clone()), without_nulls(to.clone()));
            prop_assert_eq!(merged(from.clone(), &difference(&from, &to), &layouts), to);
        }
    }
}

#[test]
fn keys_that_are_no_text_stay_what_they_are() {
    let document = BTreeMap::from([("d", BTreeMap::from([(1_u8, f64::INFINITY), (2, 2.0), (3, 3.0)]))]);
    for layouts in layouts() {
        let row = encode(&document, &layouts).unwrap();
        let patch = json!({"d": {"2": null, "3": 4.0}});
        let row = patched(&row, patch.as_object().unwrap(), &layouts).unwrap();
        let read: BTreeMap<String, BTreeMap<u8, f64>> = decode(&row, &layouts).unwrap();
        assert_eq!(read["d"], BTreeMap::from([(1, f64::INFINITY), (3, 4.0)]));
    }
}
