use proptest::prelude::*;
use serde_json::Value;

use super::{Kind, Node};
use crate::row::columns::tests::{EVERYTHING, NAMES, any_layouts, any_object, of_everything};
use crate::row::tests::{everything, open};
use crate::row::{self, RowError};

/// Whether a value that is reached step by step is what it is in the whole.
fn check(node: Node<'_>, value: &Value) -> Result<(), RowError> {
    assert_eq!(node.to_value()?.to_string(), value.to_string());
    match (node.kind()?, value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Bool(left), Value::Bool(right)) => assert_eq!(left, *right),
        (Kind::Integer(left), Value::Number(right)) => assert_eq!(left.to_string(), right.to_string()),
        (Kind::Float(left), Value::Number(right)) => assert!(right.is_f64() && right.as_f64() == Some(left)),
        (Kind::Text(left), Value::String(right)) => assert_eq!(left, right),
        (Kind::TextValue(left), Value::String(right)) => assert_eq!(&*left.text(), right),
        (Kind::List, Value::Array(elements)) => {
            assert_eq!(node.elements()?.count(), elements.len());
            for (node, value) in node.elements()?.zip(elements) {
                check(node?, value)?;
            }
        }
        (Kind::Map, Value::Object(fields)) => {
            for (name, value) in fields {
                check(node.field(name)?.expect("a field is found"), value)?;
            }
            assert!(node.field("a field that no document has")?.is_none());
        }
        (kind, value) => panic!("{kind:?} is not {value}"),
    }
    if !value.is_array() {
        assert_eq!(node.elements()?.count(), 0);
    }
    if !value.is_object() {
        assert!(node.field("a")?.is_none());
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_value_of_json_is_found(document in any_object(), layouts in any_layouts(NAMES.to_vec())) {
        for layouts in [layouts, open()] {
            let row = row::encode(&document, &layouts).unwrap();
            let value = row::decode_value(&row, &layouts).unwrap();
            row::look(&row, &layouts, |node| {
                check(node, &value)?;
                for name in NAMES {
                    let found = node.field(name)?.map(|node| node.to_value()).transpose()?;
                    assert_eq!(found.as_ref(), value.get(name));
                }
                let some = node.to_object(["b", "c"])?;
                assert_eq!((some.get("a"), some.get("b")), (None, value.get("b")));
                Ok(())
            }).unwrap();
        }
    }

    #[test]
    fn every_value_of_a_type_is_found(
        document in everything(),
        layouts in prop_oneof![any_layouts(EVERYTHING.to_vec()), Just(of_everything()), Just(open())],
    ) {
        let row = row::encode(&document, &layouts).unwrap();
        let value = row::decode_value(&row, &layouts).unwrap();
        row::look(&row, &layouts, |node| check(node, &value)).unwrap();
    }

    #[test]
    fn damaged_rows_are_looked_at_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        layouts in any_layouts(NAMES.to_vec()),
    ) {
        fn walk(node: Node<'_>) -> Result<(), RowError> {
            let _ = node.kind()?;
            for name in NAMES {
                let _ = node.field(name).map(|node| node.map(walk));
            }
            node.elements()?.take(10).try_for_each(|node| walk(node?))
        }
        for head in [&[1, 0][..], &[2, 0xac, 2]] {
            let row = [head, &bytes].concat();
            let _ = row::look(&row, &layouts, walk);
        }
    }
}
