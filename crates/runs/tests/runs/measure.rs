//! How fast it is. Run with
//! `cargo test -p bucketdb-runs --release --test runs -- --ignored --nocapture --test-threads 1 measure_`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::time::Duration;

use bucketdb_env::{Environment, TokioEnvironment};
use bucketdb_log::Seq;
use bucketdb_runs::{Direction, Merge, MergeSource, Run, RunOptions, ScanOptions};
use bytes::Bytes;

use crate::support::{Bench, MIB, absent_key, key};

const COUNT: u64 = 1_000_000;

/// A row of about 200 bytes, as MessagePack would have it: names, numbers and short texts.
pub(crate) fn document(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    let words = ["north", "harbour", "invoice", "pending", "delivered", "gold", "standard", "priority"];
    let mut text = Vec::new();
    for field in ["customer_name", "status", "street", "note", "city"] {
        text.push(0xa0 | field.len() as u8);
        text.extend_from_slice(field.as_bytes());
        for _ in 0..2 {
            let word = words[random.usize(..words.len())];
            text.push(0xa0 | word.len() as u8);
            text.extend_from_slice(word.as_bytes());
        }
    }
    for field in ["amount_cents", "created_at", "version"] {
        text.push(0xa0 | field.len() as u8);
        text.extend_from_slice(field.as_bytes());
        text.push(0xcf);
        text.extend_from_slice(&random.u64(..1 << 40).to_be_bytes());
    }
    text
}

/// The processor time of this thread so far: other processes do not count. The wall clock where the system does not tell.
fn now(env: &TokioEnvironment) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| env.monotonic(), Duration::from_nanos)
}

fn report(what: &str, count: u64, took: Duration) {
    let nanoseconds = took.as_nanos() as f64 / count as f64;
    println!("{what:<60} {nanoseconds:>8.0} ns each, {:>6.2} M/s", 1e3 / nanoseconds);
}

async fn written(bench: &Bench, env: TokioEnvironment) -> Run {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = (0..COUNT).map(|number| (key(number), document(number))).collect();
    let before = now(&env);
    let mut writer = bench.runs.writer(Seq(1), RunOptions::default());
    for (key, row) in &rows {
        writer.add(key, Seq(1), Some(row)).await.unwrap();
    }
    let meta = writer.finish().await.unwrap().unwrap();
    report("write", COUNT, now(&env) - before);
    println!("{} bytes a row, {} stored", meta.live_bytes / COUNT, meta.size_bytes / COUNT);
    bench.open(meta)
}

#[tokio::test]
#[ignore = "measures, and judges nothing"]
async fn measure_reads_and_writes() {
    let env = TokioEnvironment::new();
    let bench = Bench::new(1024 * MIB);
    let run = written(&bench, env.clone()).await;

    let options = || ScanOptions { fill_cache: false, ..ScanOptions::default() };
    let everything = || (Bound::Unbounded, Bound::Unbounded);
    let before = now(&env);
    let mut scan = run.scan(everything(), options());
    let mut count = 0;
    while scan.load().await.unwrap() {
        while let Some(entry) = scan.next_loaded() {
            black_box(entry);
            count += 1;
        }
    }
    assert_eq!(count, COUNT);
    report("scan of everything, nothing in memory", COUNT, now(&env) - before);

    let mut scan = run.scan(everything(), ScanOptions::default());
    while scan.load().await.unwrap() {}
    println!("{} MiB in the cache", bench.runs.cache().usage() >> 20);

    for direction in [Direction::Forward, Direction::Reverse] {
        let before = now(&env);
        let mut scan = run.scan(everything(), ScanOptions { direction, ..ScanOptions::default() });
        while scan.load().await.unwrap() {
            while let Some(entry) = scan.next_loaded() {
                black_box(entry);
            }
        }
        report(&format!("scan of everything, all in memory, {direction:?}"), COUNT, now(&env) - before);
    }

    let before = now(&env);
    let scans = (0..4).map(|_| MergeSource::Run(run.scan(everything(), ScanOptions::default())));
    let mut merge = Merge::new(scans.collect(), Direction::Forward);
    while merge.load().await.unwrap() {
        while let Some(entry) = merge.next_loaded() {
            black_box(entry);
        }
    }
    report("merge of 4, all in memory, each entry", 4 * COUNT, now(&env) - before);

    let mut random = fastrand::Rng::with_seed(1);
    let random_keys: Vec<Vec<u8>> = (0..COUNT).map(|_| key(random.u64(..COUNT))).collect();
    let few_keys: Vec<Vec<u8>> = (0..COUNT).map(|_| key(random.u64(..20_000))).collect();
    let near_keys: Vec<Vec<u8>> = (0..COUNT).map(|_| key(random.u64(..1_000))).collect();
    let absent_keys: Vec<Vec<u8>> = (0..COUNT).map(|_| absent_key(random.u64(..COUNT - 1))).collect();
    let kinds =
        [("of everything", &random_keys), ("of 20,000", &few_keys), ("of 1,000", &near_keys), ("absent", &absent_keys)];
    for (what, keys) in kinds {
        let before = now(&env);
        for key in keys {
            black_box(run.try_get(key, true));
        }
        report(&format!("try_get, {what}, all in memory"), COUNT, now(&env) - before);
    }
    let map: BTreeMap<Bytes, Bytes> = (0..COUNT).map(|number| (key(number).into(), document(number).into())).collect();
    for (what, keys) in kinds {
        let before = now(&env);
        for key in keys {
            black_box(map.get_key_value(&**key).map(|(key, row)| (key.clone(), row.clone())));
        }
        report(&format!("for comparison: BTreeMap, {what}"), COUNT, now(&env) - before);
    }
    let before = now(&env);
    for key in &few_keys {
        black_box(run.get(key).await.unwrap());
    }
    report("get, of 20,000, all in memory", COUNT, now(&env) - before);

    let many: Vec<Bytes> = random_keys.iter().take(100_000).cloned().map(Bytes::from).collect();
    let before = now(&env);
    for keys in many.chunks(1000) {
        black_box(run.get_many(keys).await.unwrap());
    }
    report("get_many of 1000, of everything, all in memory", 100_000, now(&env) - before);

    let before = now(&env);
    bench.runs.verify(run.meta()).await.unwrap();
    report("verify", COUNT, now(&env) - before);
}
