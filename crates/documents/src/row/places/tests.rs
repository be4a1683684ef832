use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::row::columns::tests::{NAMES, any_layouts, any_object};
use crate::row::tests::open;
use crate::row::{self, RowError};
use crate::{KeyType, Schema};

/// Whether a look says the same.
fn check_glance(row: &[u8], layouts: &Layouts, name: &str, glance: Glance<'_>) {
    let check = |node: Option<row::Node<'_>>| -> Result<(), RowError> {
        match glance {
            Glance::Value(kind) => assert_eq!(node.expect("what has a value is there").kind()?, kind, "{name}"),
            Glance::Missing => assert!(node.is_none(), "{name} is there"),
            Glance::Unknown => {}
        }
        Ok(())
    };
    row::look(row, layouts, |document| check(document.field(name)?)).unwrap();
}

proptest! {
    #[test]
    fn a_glance_tells_what_a_look_does(
        documents in prop::collection::vec(any_object(), 1..4),
        layouts in any_layouts(NAMES.to_vec()),
    ) {
        for layouts in [layouts, open()] {
            let mut places = FieldPlaces::new(&layouts, NAMES.into_iter().chain(["none"]));
            for document in &documents {
                let row = row::encode(document, &layouts).unwrap();
                let Some(placed) = places.open(&row) else { continue };
                for (index, name) in NAMES.into_iter().chain(["none"]).enumerate() {
                    check_glance(&row, &layouts, name, placed.field(index));
                }
                prop_assert_eq!(placed.field(NAMES.len()), Glance::Unknown);
                prop_assert_eq!(placed.field(99), Glance::Unknown);
            }
        }
    }

    #[test]
    fn damaged_rows_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..60), layouts in any_layouts(NAMES.to_vec())) {
        let mut places = FieldPlaces::new(&layouts, NAMES);
        for head in [&[1, 0][..], &[2, 0xac, 2], &[2], &[2, 0xff], &[]] {
            let row = [head, &bytes].concat();
            if let Some(placed) = places.open(&row) {
                let _ = (0..NAMES.len()).map(|index| placed.field(index)).collect::<Vec<_>>();
            }
        }
    }
}

#[test]
fn what_stands_in_its_column_is_known() {
    let schema = |version| {
        let builder = Schema::builder("t").version(version).field::<u64>("id").field::<Option<i16>>("n");
        builder.field::<Option<String>>("text").field::<Option<f64>>("ratio").field::<Option<bool>>("flag").key(&["id"])
    };
    let versions = [schema(1).finish(), schema(2).finish()];
    let layouts = Layouts::of_versions(&versions);
    let names = ["id", "n", "text", "ratio", "flag"];
    let mut places = FieldPlaces::new(&layouts, names);
    let document = json!({"id": u64::MAX, "n": -7, "text": "é", "ratio": 0.5, "flag": true});
    let known =
        [Kind::Integer(u64::MAX.into()), Kind::Integer(-7), Kind::Text("é"), Kind::Float(0.5), Kind::Bool(true)];
    // The versions turn by turn, so that each follows the other.
    for version in [1, 2, 2, 1, 2] {
        let row = row::encode(&document, &layouts.for_version(version)).unwrap();
        let placed = places.open(&row).unwrap();
        let found: Vec<Glance<'_>> = (0..names.len()).map(|index| placed.field(index)).collect();
        assert_eq!(found, known.map(Glance::Value));
    }
    let row = row::encode(&json!({"id": 1, "n": 1_000_000, "text": null}), &layouts).unwrap();
    let placed = places.open(&row).unwrap();
    let found: Vec<Glance<'_>> = (1..4).map(|index| placed.field(index)).collect();
    assert_eq!(found, [Glance::Unknown, Glance::Value(Kind::Null), Glance::Missing], "a number that does not fit");
    let open = Layouts::of_schema(&Schema::open("t", "id", KeyType::Integer));
    assert!(places.open(&row::encode(&document, &open).unwrap()).is_none());
}
