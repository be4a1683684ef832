//! Held: blobs of any length come back as they were, as a whole and in ranges, and one of a gigabyte goes to the store and
//! back through a process that never has more than 200 MiB of memory.
//!
//! Catches: a part that a store puts elsewhere or takes for too small; a blob, or an answer of a store, that is held as a whole.

use bucketdb_system_tests::{Line, Picture};
use tokio::runtime::Runtime;

use crate::stores::{Store, on_stores};
use crate::workers::Worker;

/// Around the least size of a part that S3 takes in the middle of an upload, around what goes in one piece here, and one more
/// than what goes in one request under a condition.
const LENGTHS: [u64; 9] =
    [0, 1, (5 << 20) - 1, 5 << 20, (5 << 20) + 1, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, (64 << 20) + 1];

const GIGABYTE: u64 = 1 << 30;
const MOST_MEMORY: u64 = 200 << 20;

on_stores!(carry_all_lengths: file, localstack, ceph);

/// They take a gigabyte of the store, and of the memory of a server that keeps what it has there.
mod gigabyte {
    use crate::stores::on_stores;

    on_stores!(
        #[ignore = "each takes a gigabyte and minutes"]
        super::carry_a_gigabyte: file, localstack, ceph
    );
}

fn carry_all_lengths(runtime: &Runtime, store: &Store) -> String {
    prepare(runtime, store);
    let carried: Vec<u64> = LENGTHS.iter().map(|bytes| carry(store, *bytes).0).collect();
    assert_eq!(carried, LENGTHS);
    format!("; {} blobs of up to 64 MiB", LENGTHS.len())
}

fn carry_a_gigabyte(runtime: &Runtime, store: &Store) -> String {
    prepare(runtime, store);
    let (bytes, upload_ms, read_ms, peak_bytes) = carry(store, GIGABYTE);
    assert_eq!(bytes, GIGABYTE);
    assert!(peak_bytes < MOST_MEMORY, "{} MiB of memory", peak_bytes >> 20);
    format!(
        "; uploaded in {:.1} s, read in {:.1} s, with {} MiB of memory at most",
        upload_ms as f64 / 1e3,
        read_ms as f64 / 1e3,
        peak_bytes >> 20
    )
}

fn prepare(runtime: &Runtime, store: &Store) {
    runtime.block_on(async {
        let db = store.open().await;
        db.table::<Picture>().await.unwrap();
        db.close().await.unwrap();
    });
}

fn carry(store: &Store, bytes: u64) -> (u64, u64, u64, u64) {
    let lines = Worker::start(store, &["carry", "--bytes", &bytes.to_string()]).succeed();
    match lines.as_slice() {
        [Line::Carried { bytes, upload_ms, read_ms, peak_bytes }] => (*bytes, *upload_ms, *read_ms, *peak_bytes),
        unexpected => panic!("{unexpected:?}"),
    }
}
