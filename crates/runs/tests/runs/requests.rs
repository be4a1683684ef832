//! How many requests reading takes. Requests are what a user of an object store pays for and waits for.

use std::ops::Bound;

use bucketdb_driver::Operation;
use bucketdb_runs::{Direction, RunMeta, ScanOptions};
use bytes::Bytes;

use crate::support::{Bench, MIB, absent_key, all, collect, key, row};

#[tokio::test]
async fn a_short_run_is_read_in_one_request() {
    let bench = Bench::new(16 * MIB);
    let run = bench.numbered(200, 200).await;
    assert!(run.meta().size_bytes <= 64 << 10, "{}", run.meta().size_bytes);
    assert_eq!(run.get(&key(3)).await.unwrap().unwrap().row.unwrap(), row(3, 200));
    let (range, options) = all(Direction::Reverse);
    assert_eq!(collect(run.scan(range, options)).await.len(), 200);
    assert_eq!(bench.gets(), 1);
}

#[tokio::test]
async fn a_cold_point_read_of_a_run_of_moderate_size_takes_two_requests_and_then_one() {
    let bench = Bench::new(64 * MIB);
    let run = bench.numbered(50_000, 200).await;
    run.get(&key(3)).await.unwrap().unwrap();
    assert_eq!(bench.gets(), 2);
    run.get(&key(49_000)).await.unwrap().unwrap();
    assert_eq!(bench.gets(), 3);
    assert!(run.try_get(&key(49_000), true).unwrap().is_some());
    assert!(run.try_get(&key(25_000), true).is_none(), "its block is not in memory");
}

#[tokio::test]
async fn a_cold_point_read_of_a_long_run_takes_two_requests_or_three_if_its_tail_is_not_known() {
    let bench = Bench::new(64 * MIB);
    let known = bench.numbered(300_000, 100).await.meta().as_ref().clone();
    assert!(known.tail.is_some());
    let unknown = RunMeta { tail: None, ..known.clone() };
    for (meta, requests) in [(known, 2), (unknown, 3)] {
        let run = bench.cold(64 * MIB).open(meta.into());
        let before = bench.driver.usage();
        run.get(&key(150_000)).await.unwrap().unwrap();
        let used = (bench.driver.usage() - before).of(Operation::Get);
        assert_eq!(used.requests, requests);
        assert!(used.bytes <= 128 << 10, "{} bytes for one row", used.bytes);
    }
}

#[tokio::test]
async fn a_cold_point_read_of_few_long_rows_takes_one_request() {
    let bench = Bench::new(64 * MIB);
    let run = bench.numbered(500, 10_000).await;
    run.get(&key(250)).await.unwrap().unwrap();
    assert_eq!(bench.gets(), 1, "index and filter are part of the tail");
}

#[tokio::test]
async fn absent_keys_take_no_request_once_the_filters_are_in_memory() {
    let bench = Bench::new(64 * MIB);
    let run = bench.numbered(50_000, 100).await;
    run.get(&key(0)).await.unwrap().unwrap();
    let is_known_absent = |number: &u64, is_likely| run.try_get(&absent_key(*number), is_likely) == Some(None);
    let answered = (0..50_000).filter(|number| is_known_absent(number, false)).count();
    assert_eq!((0..50_000).filter(|number| is_known_absent(number, true)).count(), answered);
    assert!(answered >= 49_500, "{answered} of 50,000");
    let before = bench.gets();
    assert_eq!(run.try_get(b"aaa", true), Some(None));
    assert_eq!(run.try_get(b"zzz", false), Some(None));
    assert_eq!(bench.gets(), before);
}

#[tokio::test]
async fn a_cold_scan_of_a_hundred_rows_takes_two_requests_wherever_it_begins() {
    let bench = Bench::new(64 * MIB);
    for (count, step) in [(50_000, 777), (300_000, 7_777)] {
        let meta = bench.numbered(count, 200).await.meta().clone();
        for begin in (0..count - 1_000).step_by(step) {
            let run = bench.cold(64 * MIB).open(meta.clone());
            let before = bench.gets();
            let mut scan = run.scan((Bound::Included(key(begin).into()), Bound::Unbounded), ScanOptions::default());
            for number in begin..begin + 100 {
                assert_eq!(scan.next().await.unwrap().unwrap().key, key(number));
            }
            assert!(bench.gets() - before <= 2, "{} from {begin} of {count}", bench.gets() - before);
        }
    }
}

#[tokio::test]
async fn a_cold_scan_of_short_entries_takes_one_request_wherever_it_begins() {
    let bench = Bench::new(64 * MIB);
    // Of the longer ones, as many as a partition otherwise has are more than what comes in one request.
    for (count, row_bytes, step) in [(50_000, 4, 777), (300_000, 4, 7_777), (100_000, 32, 3_777)] {
        let meta = bench.numbered(count, row_bytes).await.meta().clone();
        assert!(meta.tail.is_some(), "no partition is held back");
        for begin in (0..count - 20).step_by(step) {
            for direction in [Direction::Forward, Direction::Reverse] {
                let run = bench.cold(64 * MIB).open(meta.clone());
                let before = bench.driver.usage();
                let range = (Bound::Included(key(begin).into()), Bound::Excluded(key(begin + 20).into()));
                let scan = run.scan(range, ScanOptions { direction, ..ScanOptions::default() });
                assert_eq!(collect(scan).await.len(), 20);
                let used = (bench.driver.usage() - before).of(Operation::Get);
                assert!(used.bytes <= 512 << 10, "{} bytes from {begin} of {count}", used.bytes);
                // Backwards, the end of what is wanted may lie in a stretch of its own.
                let most = if direction == Direction::Forward { 1 } else { 2 };
                assert!(used.requests <= most, "{} from {begin} of {count}, {direction:?}", used.requests);
            }
        }
    }
}

#[tokio::test]
async fn a_cold_scan_of_twenty_thousand_rows_takes_at_most_ten_requests() {
    let bench = Bench::new(64 * MIB);
    for count in [50_000, 300_000] {
        let meta = bench.numbered(count, 200).await.meta().clone();
        for direction in [Direction::Forward, Direction::Reverse] {
            let run = bench.cold(64 * MIB).open(meta.clone());
            let before = bench.gets();
            let range = match direction {
                Direction::Forward => (Bound::Included(key(10_000).into()), Bound::Unbounded),
                Direction::Reverse => (Bound::Unbounded, Bound::Included(key(40_000).into())),
            };
            let mut scan = run.scan(range, ScanOptions { direction, ..ScanOptions::default() });
            for _ in 0..20_000 {
                scan.next().await.unwrap().unwrap();
            }
            let gets = bench.gets() - before;
            assert!(gets <= 10, "{gets} requests, {direction:?}, {count} rows");
        }
    }
}

#[tokio::test]
async fn a_scan_reads_little_beyond_its_end() {
    let bench = Bench::new(64 * MIB);
    let run = bench.numbered(50_000, 200).await;
    run.may_hold(&key(0)).await.unwrap();
    let before = bench.driver.usage().of(Operation::Get);
    let range = (Bound::Included(Bytes::from(key(10_000))), Bound::Excluded(Bytes::from(key(14_000))));
    assert_eq!(collect(run.scan(range, ScanOptions::default())).await.len(), 4_000);
    let after = bench.driver.usage().of(Operation::Get);
    assert!(after.requests - before.requests <= 4);
    assert!(after.bytes - before.bytes <= 4_000 * 230 + (128 << 10), "{} bytes", after.bytes - before.bytes);
}

#[tokio::test]
async fn many_keys_are_read_at_few_requests() {
    let bench = Bench::new(64 * MIB);
    let meta = bench.numbered(50_000, 200).await.meta().clone();
    let run = bench.cold(64 * MIB).open(meta.clone());
    let before = bench.gets();
    let close: Vec<Bytes> = (0..1000).map(|number| key(number * 2).into()).collect();
    let read = run.get_many(&close).await.unwrap();
    assert!(read.iter().all(Option::is_some));
    assert_eq!(bench.gets() - before, 2, "what lies close together comes at once");

    let before = bench.gets();
    let absent: Vec<Bytes> = (40_000..40_050).map(|number| absent_key(number).into()).collect();
    let read = run.get_many(&absent).await.unwrap();
    assert!(read.iter().all(Option::is_none));
    assert!(bench.gets() - before <= 1);
}

#[tokio::test]
async fn reads_at_the_same_moment_share_their_requests() {
    let bench = Bench::new(64 * MIB);
    let run = bench.numbered(50_000, 200).await;
    let wanted: Vec<Bytes> = (0..64).map(|number| key(number).into()).collect();
    let reads = wanted.iter().map(|key| run.get(key));
    let (many, single) = futures::join!(run.get_many(&wanted), futures::future::join_all(reads));
    assert!(many.unwrap().iter().all(Option::is_some));
    assert!(single.iter().all(|entry| entry.as_ref().unwrap().is_some()));
    assert_eq!(bench.gets(), 2, "one for the footer and the index, one for the block");
}

#[tokio::test]
async fn a_scan_that_does_not_fill_the_cache_drives_nothing_out() {
    let bench = Bench::new(4 * MIB);
    let run = bench.numbered(50_000, 200).await;
    for number in 0..100 {
        run.get(&key(number)).await.unwrap();
    }
    let usage = bench.runs.cache().usage();
    let options = ScanOptions { fill_cache: false, ..ScanOptions::default() };
    assert_eq!(collect(run.scan((Bound::Unbounded, Bound::Unbounded), options)).await.len(), 50_000);
    assert_eq!(bench.runs.cache().usage(), usage);
    assert!((0..100).all(|number| run.try_get(&key(number), false).is_some()));
}

#[tokio::test]
async fn the_cache_stays_within_its_bytes() {
    let bench = Bench::new(4 * MIB);
    let run = bench.numbered(50_000, 200).await;
    let (range, options) = all(Direction::Forward);
    assert_eq!(collect(run.scan(range, options)).await.len(), 50_000);
    let cache = bench.runs.cache();
    assert!(cache.usage() <= 4 * MIB && cache.usage() > 2 * MIB, "{}", cache.usage());
}
