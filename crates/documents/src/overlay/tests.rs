use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::KeyPart;

const TABLE: TableId = TableId(1);

fn key(number: u8) -> EncodedKey {
    EncodedKey::new(&[KeyPart::Integer(i128::from(number))]).unwrap()
}

fn all(at: Seq) -> Scan {
    Scan { range: KeyRange::all(TABLE), at, limit: usize::MAX }
}

#[test]
fn a_pinned_position_is_read_as_it_was() {
    let mut overlay = Overlay::default();
    overlay.write(TABLE, &key(1), Some("a".into()), Seq(1));
    overlay.pin(Seq(1));
    overlay.write(TABLE, &key(1), None, Seq(2));
    overlay.write(TABLE, &key(2), Some("b".into()), Seq(3));
    assert_eq!(overlay.at(TABLE, &key(1), Seq(1)).unwrap().row, Some("a".into()));
    assert_eq!(overlay.newest(TABLE, &key(1)).unwrap().row, None);
    assert_eq!(overlay.scan(&all(Seq(1))).len(), 1);
    assert_eq!(overlay.size(TABLE).0, 1);
    overlay.unpin(Seq(1));
    assert_eq!(overlay.tables[&TABLE].by_key.len(), 1, "the deleted row is gone when nobody reads it");
    assert!(overlay.pins.is_empty());
}

#[test]
fn a_reader_that_ends_looks_at_what_was_kept_for_it_only() {
    let mut overlay = Overlay::default();
    for number in 0..100 {
        overlay.write(TABLE, &key(number), Some("a".into()), Seq(1));
    }
    overlay.pin(Seq(1));
    for number in 0..100 {
        overlay.write(TABLE, &key(number), Some("b".into()), Seq(2));
    }
    overlay.pin(Seq(2));
    overlay.write(TABLE, &key(7), Some("c".into()), Seq(3));
    assert_eq!(overlay.pins.remove(Seq(2)), [(TABLE, key(7))].into());
}

#[test]
fn an_empty_range_has_no_rows() {
    let mut overlay = Overlay::default();
    overlay.write(TABLE, &key(1), Some("a".into()), Seq(1));
    for (start, end) in [
        (Bound::Included(key(2)), Bound::Included(key(1))),
        (Bound::Excluded(key(1)), Bound::Excluded(key(1))),
        (Bound::Excluded(key(1)), Bound::Included(key(1))),
    ] {
        assert!(overlay.scan(&Scan { range: KeyRange { table: TABLE, start, end }, ..all(Seq(1)) }).is_empty());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8, Option<u8>),
    Pin,
    Unpin(prop::sample::Index),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6, any::<Option<u8>>()).prop_map(|(key, row)| Step::Write(key, row)),
        1 => Just(Step::Pin),
        1 => any::<prop::sample::Index>().prop_map(Step::Unpin),
    ]
}

proptest! {
    /// Against a model that keeps a whole copy of the rows for every position.
    #[test]
    fn every_pinned_position_reads_as_the_model(steps in prop::collection::vec(any_step(), 0..80)) {
        let mut overlay = Overlay::default();
        let mut model = vec![BTreeMap::<u8, u8>::new()];
        let mut pins: Vec<usize> = Vec::new();
        for step in steps {
            match step {
                Step::Write(number, row) => {
                    let seq = Seq(model.len() as u64);
                    let mut rows = model.last().unwrap().clone();
                    match row {
                        Some(row) => rows.insert(number, row),
                        None => rows.remove(&number),
                    };
                    model.push(rows);
                    overlay.write(TABLE, &key(number), row.map(|row| vec![row].into()), seq);
                }
                Step::Pin => {
                    pins.push(model.len() - 1);
                    overlay.pin(Seq(model.len() as u64 - 1));
                }
                Step::Unpin(which) => {
                    if !pins.is_empty() {
                        let position = pins.swap_remove(which.index(pins.len()));
                        overlay.unpin(Seq(position as u64));
                    }
                }
            }
            for position in pins.iter().copied().chain([model.len() - 1]) {
                let found: BTreeMap<_, _> = overlay
                    .scan(&all(Seq(position as u64)))
                    .into_iter()
                    .filter(|found| found.row.is_some())
                    .map(|found| (found.key, found.row.unwrap()[0]))
                    .collect();
                let expected: BTreeMap<_, _> = model[position].iter().map(|(number, row)| (key(*number), *row)).collect();
                prop_assert_eq!(&found, &expected);
                for number in 0..6 {
                    let row = overlay.at(TABLE, &key(number), Seq(position as u64)).and_then(|found| Some(found.row?[0]));
                    prop_assert_eq!(row, model[position].get(&number).copied());
                }
            }
            prop_assert_eq!(overlay.size(TABLE).0, model.last().unwrap().len() as u64);
        }
        for position in pins {
            overlay.unpin(Seq(position as u64));
        }
        let kept = overlay.tables.get(&TABLE).map_or(0, |rows| rows.by_key.len());
        prop_assert_eq!(kept, model.last().unwrap().len(), "nothing but the newest rows is kept");
        let history = overlay.tables.values().flat_map(|rows| rows.by_key.values()).filter(|kept| kept.0.len() > 1);
        prop_assert_eq!(history.count(), 0, "nor any older version of them");
        prop_assert!(overlay.pins.is_empty());
    }
}
