use std::collections::BTreeMap;
use std::ops::Bound;

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

#[derive(Clone, Debug)]
enum StepOrCheckpoint {
    Step(Step),
    Checkpoint(prop::sample::Index),
}

fn any_step_or_checkpoint() -> impl Strategy<Value = StepOrCheckpoint> {
    prop_oneof![
        6 => any_step().prop_map(StepOrCheckpoint::Step),
        1 => any::<prop::sample::Index>().prop_map(StepOrCheckpoint::Checkpoint),
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

    /// Against the same model, where checkpoints take what was written up to them out of memory.
    #[test]
    fn whoever_reads_sees_the_same_before_and_behind_a_checkpoint(
        steps in prop::collection::vec(any_step_or_checkpoint(), 0..80)
    ) {
        let mut model = vec![BTreeMap::<u8, u8>::new()];
        let mut pins: Vec<usize> = Vec::new();
        // Each with the position that is in runs there.
        let mut epochs = vec![(0, Overlay::over_runs())];
        for step in steps {
            let now = model.len() - 1;
            let of = |position: usize, epochs: &[(usize, Overlay)]| {
                epochs.iter().rposition(|(covers, _)| *covers <= position).unwrap()
            };
            match step {
                StepOrCheckpoint::Step(Step::Write(number, row)) => {
                    let mut rows = model.last().unwrap().clone();
                    match row {
                        Some(row) => rows.insert(number, row),
                        None => rows.remove(&number),
                    };
                    model.push(rows);
                    let present = &mut epochs.last_mut().unwrap().1;
                    present.write(TABLE, &key(number), row.map(|row| vec![row].into()), Seq(now as u64 + 1));
                }
                StepOrCheckpoint::Step(Step::Pin) => {
                    pins.push(now);
                    epochs.last_mut().unwrap().1.pin(Seq(now as u64));
                }
                StepOrCheckpoint::Step(Step::Unpin(which)) if !pins.is_empty() => {
                    let position = pins.swap_remove(which.index(pins.len()));
                    let epoch = of(position, &epochs);
                    epochs[epoch].1.unpin(Seq(position as u64));
                }
                StepOrCheckpoint::Step(Step::Unpin(_)) => {}
                StepOrCheckpoint::Checkpoint(which) => {
                    let (last, present) = epochs.last_mut().unwrap();
                    let covers = *last + which.index(now - *last + 1);
                    if covers > *last {
                        let rows = present.tables.values().map(|rows| rows.by_key.len()).sum::<usize>();
                        let (later, mut leftover) = present.split_off(Seq(covers as u64));
                        prop_assert!(present.is_pinned() || present.tables.is_empty());
                        let kept = later.tables.values().map(|rows| rows.by_key.len()).sum::<usize>();
                        let in_both = later.tables.values().flat_map(|rows| rows.by_key.keys());
                        let in_both = in_both.filter(|key| leftover.rows.iter().any(|(left, _)| left == *key)).count();
                        prop_assert!(present.is_pinned() || leftover.rows.len() + kept - in_both == rows);
                        while leftover.free_some(2) {}
                        prop_assert!(leftover.rows.is_empty());
                        epochs.push((covers, later));
                    }
                }
            }
            let newest = model.len() - 1;
            for position in pins.iter().copied().chain([newest]) {
                let (covers, overlay) = &epochs[of(position, &epochs)];
                let mut found = model[*covers].clone();
                for written in overlay.scan(&all(Seq(position as u64))) {
                    let number = (0..6).find(|number| key(*number) == written.key).unwrap();
                    match written.row {
                        Some(row) => found.insert(number, row[0]),
                        None => found.remove(&number),
                    };
                    prop_assert_eq!(
                        overlay.at(TABLE, &written.key, Seq(position as u64)).and_then(|at| Some(at.row?[0])),
                        model[position].get(&number).copied()
                    );
                }
                prop_assert_eq!(&found, &model[position]);
            }
        }
        for position in pins {
            let epoch = epochs.iter().rposition(|(covers, _)| *covers <= position).unwrap();
            epochs[epoch].1.unpin(Seq(position as u64));
        }
        let (present, earlier) = epochs.split_last().unwrap();
        prop_assert!(earlier.iter().all(|(_, overlay)| !overlay.is_pinned()));
        let history = present.1.tables.values().flat_map(|rows| rows.by_key.values()).filter(|kept| kept.0.len() > 1);
        prop_assert_eq!(history.count(), 0, "nobody reads an older version any more");
        let bytes: usize = present.1.tables.values().flat_map(|rows| &rows.by_key)
            .map(|(key, versions)| versions.0.iter().map(|version| memory(key, version)).sum::<usize>()).sum();
        prop_assert_eq!(present.1.size_bytes(), bytes);
        let live = present.1.tables.values().flat_map(|rows| rows.by_key.values());
        let live = live.filter(|versions| versions.newest().unwrap().row.is_some()).count();
        prop_assert_eq!(present.1.size(TABLE).0, live as u64);
    }
}
