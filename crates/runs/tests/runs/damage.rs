//! A bad byte anywhere in a run is reported with the object's name, and never becomes an answer.

use std::ops::Bound;
use std::sync::Arc;

use bucketdb_driver::{Condition, Driver, Key};
use bucketdb_log::{DatabaseId, Layout, Seq};
use bucketdb_runs::{Direction, Result, Run, RunEntry, RunError, RunMeta, RunOptions, RunStore, ScanOptions};
use bytes::Bytes;

use crate::support::{Bench, MIB, Model, entry, row, store, write};

/// Keys with rows of all kinds; blocks that compress and such that do not.
fn model(count: u64) -> Model {
    let rows = |number: u64| match number % 4 {
        0 => None,
        1 => Some(Bytes::from(vec![b'x'; 50])),
        _ => Some(Bytes::from(row(number, 30))),
    };
    (0..count).map(|number| (Bytes::from(format!("k{number:04}")), (Seq(number + 1), rows(number)))).collect()
}

fn object(meta: &RunMeta) -> String {
    format!("db/{}", meta.name)
}

/// Everything that a reader can ask of a run. What is answered must be right; what is not must name the object.
async fn check_reads(run: &Run, model: &Model, object: &str) -> usize {
    let mut errors = 0;
    let mut check = |answer: Result<Vec<Option<RunEntry>>>, expected: Vec<Option<RunEntry>>| match answer {
        Ok(answer) => assert_eq!(answer, expected),
        Err(RunError::Damaged { object: named, .. } | RunError::NeedsNewerVersion { object: named, .. }) => {
            assert_eq!(named, object);
            errors += 1;
        }
        Err(other) => panic!("{other}"),
    };
    let expected = |key: &Bytes| model.get(key).map(|value| entry(key, value));
    for key in model.keys() {
        check(run.get(key).await.map(|entry| vec![entry]), vec![expected(key)]);
    }
    let keys: Vec<Bytes> = model.keys().cloned().collect();
    check(run.get_many(&keys).await, keys.iter().map(expected).collect());
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut scan =
            run.scan((Bound::Unbounded, Bound::Unbounded), ScanOptions { direction, ..ScanOptions::default() });
        let mut entries = Vec::new();
        let outcome = loop {
            match scan.next().await {
                Ok(Some(entry)) => entries.push(Some(entry)),
                Ok(None) => break Ok(entries),
                Err(error) => break Err(error),
            }
        };
        let mut all: Vec<_> = keys.iter().map(expected).collect();
        if direction == Direction::Reverse {
            all.reverse();
        }
        check(outcome, all);
    }
    errors
}

async fn replace(bench: &Bench, meta: &RunMeta, body: Vec<u8>) {
    bench.memory.put(&Key::new(object(meta)).unwrap(), body.into(), Condition::Always).await.unwrap();
}

async fn bytes_of(bench: &Bench, meta: &RunMeta) -> Vec<u8> {
    bench.memory.get(&Key::new(object(meta)).unwrap()).await.unwrap().body.to_vec()
}

#[tokio::test]
async fn every_flipped_byte_and_every_cut_of_a_short_run_is_reported() {
    let bench = Bench::new(MIB);
    let model = model(16);
    let meta = bench.write(&model, RunOptions { block_bytes: 150 }).await.unwrap();
    let good = bytes_of(&bench, &meta).await;
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        for bad in [flipped, good[..at].to_vec()] {
            replace(&bench, &meta, bad).await;
            // A new store, so that nothing is in memory. So short a run is read whole, and whoever reads it finds the fault.
            let runs = bench.cold(MIB);
            let run = runs.open(Arc::new(meta.clone()));
            assert_eq!(check_reads(&run, &model, &object(&meta)).await, model.len() + 3, "byte {at}");
            match runs.verify(&meta).await {
                Err(RunError::Damaged { object: named, .. } | RunError::NeedsNewerVersion { object: named, .. }) => {
                    assert_eq!(named, object(&meta));
                }
                other => panic!("byte {at}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn flipped_bytes_of_a_long_run_are_reported_by_who_reads_them() {
    let bench = Bench::new(MIB);
    let model: Model = (0..1500u64)
        .map(|number| (Bytes::from(format!("k{number:05}")), (Seq(number + 1), Some(Bytes::from(row(number, 80))))))
        .collect();
    let meta = bench.write(&model, RunOptions { block_bytes: 16_000 }).await.unwrap();
    assert!(meta.size_bytes > 64 << 10, "it is not read whole");
    assert!(meta.tail.is_some());
    let unknown = RunMeta { tail: None, ..meta.clone() };
    let good = bytes_of(&bench, &meta).await;
    for at in (0..good.len()).step_by(1009).chain(good.len() - 80..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        replace(&bench, &meta, bad).await;
        let errors = check_reads(&bench.cold(MIB).open(Arc::new(unknown.clone())), &model, &object(&meta)).await;
        assert!(errors > 0, "byte {at} is read by all who read everything");
        let errors = check_reads(&bench.cold(MIB).open(Arc::new(meta.clone())), &model, &object(&meta)).await;
        assert_eq!(errors > 0, (at as u64) < meta.footer_offset, "byte {at} is read unless it is known");
        assert!(bench.cold(MIB).verify(&meta).await.is_err(), "byte {at}");
    }
}

#[tokio::test]
async fn a_tail_that_is_not_the_runs_is_found_out() {
    let bench = Bench::new(MIB);
    let model: Model = (0..200u64)
        .map(|number| (Bytes::from(format!("k{number:05}")), (Seq(1), Some(Bytes::from(row(number, 400))))))
        .collect();
    let meta = bench.write(&model, RunOptions { block_bytes: 4000 }).await.unwrap();
    let tail = meta.tail.clone().unwrap();
    for at in 0..tail.len() {
        let mut bad = tail.to_vec();
        bad[at] ^= 1 << (at % 8);
        let bad = RunMeta { tail: Some(bad.into()), ..meta.clone() };
        let errors = check_reads(&bench.cold(MIB).open(Arc::new(bad.clone())), &model, &object(&meta)).await;
        assert_eq!(errors, model.len() + 3, "byte {at}");
        assert!(bench.runs.verify(&bad).await.is_err(), "byte {at}");
    }
    let other = bench.write(&model, RunOptions { block_bytes: 4000 }).await.unwrap();
    assert_eq!(other.tail.as_ref().map(Bytes::len), Some(tail.len()));
    let swapped = RunMeta { tail: other.tail, ..meta };
    assert!(bench.cold(MIB).open(Arc::new(swapped)).get(b"k00001").await.is_err());
}

#[tokio::test]
async fn what_was_removed_is_missing() {
    let bench = Bench::new(MIB);
    let meta = bench.write(&model(10), RunOptions::default()).await.unwrap();
    bench.memory.delete(&Key::new(object(&meta)).unwrap()).await.unwrap();
    let run = bench.open(meta.clone());
    assert!(matches!(run.get(b"k0001").await, Err(RunError::Missing { object: named }) if named == object(&meta)));
    assert!(matches!(bench.runs.verify(&meta).await, Err(RunError::Missing { .. })));
}

#[tokio::test]
async fn bytes_of_another_run_or_another_database_do_not_pass() {
    let bench = Bench::new(MIB);
    let model = model(60);
    let one = bench.write(&model, RunOptions::default()).await.unwrap();
    let other = bench.write(&model, RunOptions::default()).await.unwrap();
    assert_ne!(one.name, other.name);
    let foreign = bytes_of(&bench, &other).await;
    replace(&bench, &one, foreign).await;
    assert!(bench.open(one).get(b"k0001").await.is_err());

    let env = Arc::new(bucketdb_env::TokioEnvironment::new());
    let cache = bucketdb_runs::Cache::new(MIB);
    let driver = Arc::new(bench.driver.clone());
    let elsewhere = RunStore::new(driver, env, Layout::new("db").unwrap(), DatabaseId([8; 16]), cache);
    assert!(elsewhere.open(Arc::new(other.clone())).get(b"k0001").await.is_err());
    assert!(elsewhere.verify(&other).await.is_err());
    assert!(bench.open(other).get(b"k0001").await.unwrap().is_some());
}

#[tokio::test]
async fn a_meta_that_tells_of_other_entries_is_found_out() {
    let bench = Bench::new(MIB);
    let good = bench.write(&model(60), RunOptions::default()).await.unwrap();
    let changes: [fn(&mut RunMeta); 6] = [
        |meta| meta.entries += 1,
        |meta| meta.deletions -= 1,
        |meta| meta.live_bytes += 1,
        |meta| meta.first_key = "k".into(),
        |meta| meta.last_key = "z".into(),
        |meta| meta.footer_hash[0] ^= 1,
    ];
    for change in changes {
        let mut meta = good.clone();
        change(&mut meta);
        assert!(matches!(bench.runs.verify(&meta).await, Err(RunError::Damaged { .. })), "{meta:?}");
    }
}

#[tokio::test]
async fn faults_that_pass_are_sat_out() {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bucketdb_driver::{ErrorKind, Fault, FaultDriver, MemoryDriver};
    let calls = AtomicU32::new(0);
    let lossy = FaultDriver::new(MemoryDriver::new(), move |_, _| match calls.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Fault::After(ErrorKind::Transient),
        _ => Fault::None,
    });
    let runs = store(Arc::new(lossy), MIB);
    let model = model(60);
    let meta = write(&runs, &model, RunOptions::default()).await.unwrap();
    let run = runs.open(Arc::new(meta.clone()));
    assert_eq!(check_reads(&run, &model, &object(&meta)).await, 0);
}
