//! Whatever is waited for can be waited for on any thread.

use std::ops::Bound;

use bucketdb_log::Seq;
use bucketdb_runs::{Direction, Merge, RunOptions, ScanOptions};
use bytes::Bytes;

use crate::support::{Bench, MIB, key, row};

fn sendable<F: Future + Send>(future: F) -> F {
    future
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_scans_merges_and_writes_move_between_threads() {
    let bench = Bench::new(MIB);
    let mut writer = bench.runs.writer(Seq(1), RunOptions::default());
    sendable(writer.add(&key(1), Seq(1), Some(&row(1, 10)))).await.unwrap();
    let meta = sendable(writer.finish()).await.unwrap().unwrap();
    let run = bench.open(meta);
    let wanted = [Bytes::from(key(1))];
    assert_eq!(sendable(run.get_many(&wanted)).await.unwrap()[0], sendable(run.get(&key(1))).await.unwrap());
    assert!(sendable(run.may_hold(&key(1))).await.unwrap());
    let scan = || run.scan((Bound::Unbounded, Bound::Unbounded), ScanOptions::default());
    let mut merge = Merge::new(vec![scan().into(), scan().into()], Direction::Forward);
    assert!(sendable(merge.load()).await.unwrap());
    assert_eq!(sendable(merge.next()).await.unwrap(), sendable(scan().next()).await.unwrap());
    assert_eq!(sendable(bench.runs.verify(run.meta())).await.unwrap().entries, 1);
}
