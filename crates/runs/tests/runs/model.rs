//! Whatever is written to runs is read from them, in every way that there is.

use std::ops::Bound;

use bucketdb_log::Seq;
use bucketdb_runs::{Direction, Merge, MergeSource, RunEntry, RunOptions, ScanOptions};
use bytes::Bytes;
use proptest::prelude::*;

use crate::support::{Bench, MIB, Model, collect, entry};

fn a_key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(0u8..3, 0..5),
        prop::collection::vec(prop::sample::select(b"ab\0\xff".to_vec()), 8..12),
        (0u32..400).prop_map(|number| format!("order/{number:05}/{}", "x".repeat(number as usize % 40)).into_bytes()),
    ]
    .prop_map(Bytes::from)
}

fn a_row() -> impl Strategy<Value = Option<Bytes>> {
    prop_oneof![
        1 => Just(None),
        4 => prop::collection::vec(any::<u8>(), 0..80).prop_map(|row| Some(row.into())),
        1 => (0usize..3000).prop_map(|length| Some(vec![b'z'; length].into())),
    ]
}

fn a_model() -> impl Strategy<Value = Model> {
    prop::collection::btree_map(a_key(), ((1u64..1000).prop_map(Seq), a_row()), 0..200)
}

fn a_bound() -> impl Strategy<Value = Bound<Bytes>> {
    prop_oneof![Just(Bound::Unbounded), a_key().prop_map(Bound::Included), a_key().prop_map(Bound::Excluded)]
}

fn within<'a>(
    model: &'a Model,
    from: &Bound<Bytes>,
    to: &Bound<Bytes>,
) -> impl DoubleEndedIterator<Item = RunEntry> + use<'a> {
    let (from, to) = (from.clone(), to.clone());
    let range = move |key: &&Bytes| {
        let behind = match &from {
            Bound::Unbounded => true,
            Bound::Included(bound) => *key >= bound,
            Bound::Excluded(bound) => *key > bound,
        };
        behind
            && match &to {
                Bound::Unbounded => true,
                Bound::Included(bound) => *key <= bound,
                Bound::Excluded(bound) => *key < bound,
            }
    };
    model.iter().filter(move |(key, _)| range(key)).map(|(key, value)| entry(key, value))
}

fn in_runtime<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
}

proptest! {
    #[test]
    fn a_run_answers_as_an_ordered_map(
        model in a_model(), block_bytes in 1usize..3000, probes in prop::collection::vec(a_key(), 0..30),
        ranges in prop::collection::vec((a_bound(), a_bound()), 1..6), read_ahead_bytes in 1u64..4000, cache_bytes in 0u64..MIB,
    ) {
        in_runtime(async {
            let bench = Bench::new(cache_bytes);
            let Some(meta) = bench.write(&model, RunOptions { block_bytes }).await else {
                assert!(model.is_empty());
                return;
            };
            assert_eq!(meta.entries, model.len() as u64);
            assert_eq!(meta.deletions, model.values().filter(|(_, row)| row.is_none()).count() as u64);
            assert_eq!(bench.runs.verify(&meta).await.unwrap().entries, meta.entries);
            let run = bench.open(meta);
            for (from, to) in ranges.into_iter().chain([(Bound::Unbounded, Bound::Unbounded)]) {
                for fill_cache in [false, true] {
                    for direction in [Direction::Forward, Direction::Reverse] {
                        let options = ScanOptions { direction, read_ahead_bytes, fill_cache };
                        let read = collect(run.scan((from.clone(), to.clone()), options)).await;
                        let expected = within(&model, &from, &to);
                        let expected: Vec<_> = match direction {
                            Direction::Forward => expected.collect(),
                            Direction::Reverse => expected.rev().collect(),
                        };
                        assert_eq!(read, expected, "{from:?} {to:?} {direction:?}");
                    }
                }
            }
            let keys: Vec<Bytes> = probes.into_iter().chain(model.keys().cloned()).collect();
            let expected: Vec<_> = keys.iter().map(|key| model.get(key).map(|value| entry(key, value))).collect();
            assert_eq!(run.get_many(&keys).await.unwrap(), expected);
            for (key, expected) in keys.iter().zip(&expected) {
                assert!(run.may_hold(key).await.unwrap() || expected.is_none());
                assert_eq!(&run.get(key).await.unwrap(), expected);
                for is_likely in [false, true] {
                    if let Some(answer) = run.try_get(key, is_likely) {
                        assert_eq!(&answer, expected);
                    }
                }
            }
        });
    }

    #[test]
    fn a_merge_gives_the_newest_of_each_key(
        models in prop::collection::vec((a_model(), any::<bool>()), 0..5), block_bytes in 1usize..3000, from in a_bound(), to in a_bound(),
    ) {
        in_runtime(async {
            let bench = Bench::new(MIB);
            let mut newest = Model::new();
            for (model, _) in models.iter().rev() {
                newest.extend(model.clone());
            }
            for direction in [Direction::Forward, Direction::Reverse] {
                let mut sources = Vec::new();
                for (model, in_memory) in &models {
                    if *in_memory {
                        let mut entries: Vec<_> = within(model, &from, &to).collect();
                        if direction == Direction::Reverse {
                            entries.reverse();
                        }
                        sources.push(MergeSource::Memory(Box::new(entries.into_iter())));
                    } else if let Some(meta) = bench.write(model, RunOptions { block_bytes }).await {
                        let options = ScanOptions { direction, ..ScanOptions::default() };
                        sources.push(bench.open(meta).scan((from.clone(), to.clone()), options).into());
                    }
                }
                let mut merge = Merge::new(sources, direction);
                let mut merged = Vec::new();
                while let Some(entry) = merge.next().await.unwrap() {
                    merged.push(entry);
                }
                let expected = within(&newest, &from, &to);
                let expected: Vec<_> = match direction {
                    Direction::Forward => expected.collect(),
                    Direction::Reverse => expected.rev().collect(),
                };
                assert_eq!(merged, expected);
            }
        });
    }
}

#[tokio::test]
async fn a_version_stands_for_every_position() {
    let bench = Bench::new(MIB);
    let model = Model::from([("a".into(), (Seq(1), Some("x".into()))), ("b".into(), (Seq(2), None))]);
    let mut meta = bench.write(&model, RunOptions::default()).await.unwrap();
    meta.version = Some(Seq(77));
    let run = bench.open(meta);
    assert_eq!(run.get(b"a").await.unwrap().unwrap().seq, Seq(77));
    let (range, options) = crate::support::all(Direction::Forward);
    assert!(collect(run.scan(range, options)).await.iter().all(|entry| entry.seq == Seq(77)));
}
