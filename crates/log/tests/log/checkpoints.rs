//! Checkpoints: opening from them, by `head` and without it, and what that costs.

use bucketdb_driver::{Condition, Driver, Key, MemoryDriver, MeteredDriver, Operation, Usage};
use bucketdb_env::TokioEnvironment;
use bucketdb_log::{CheckpointError, Log, LogError, Seq};
use bytes::Bytes;

use crate::liar::{Lie, liar};
use crate::support::{Claims, checkpoint, fresh_state, keys, open, open_with, read, record_key, set};

fn metered(store: &MemoryDriver) -> MeteredDriver {
    MeteredDriver::new(store.clone(), TokioEnvironment::new())
}

pub(crate) fn head_key() -> Key {
    Key::new("db/head").unwrap()
}

/// Gets, listings, and all requests.
fn requests(usage: &Usage) -> (u64, u64, u64) {
    (usage.requests(Operation::Get), usage.requests(Operation::List), usage.total_requests())
}

async fn write(log: &Log<Claims>, count: usize) {
    for round in 0..count {
        set(log, &format!("key {}", round % 7), &round.to_string()).await.unwrap();
    }
}

fn state(log: &Log<Claims>) -> Claims {
    log.read(|claims, _| claims.clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn opening_from_a_checkpoint_takes_few_requests_whatever_is_before_it() {
    for tail in 0..14u64 {
        let store = MemoryDriver::new();
        let log = open(store.clone()).await;
        write(&log, 30).await;
        let meter = metered(&store);
        let maker = open(meter.clone()).await;
        let before = meter.usage();
        let made = checkpoint(&maker, |_| {}).await.unwrap();
        let used = meter.usage() - before;
        assert_eq!((used.requests(Operation::Put), used.total_requests()), (3, 3), "{used:?}");
        assert!(made.is_in_head && made.checkpoint.covers == Seq(31) && made.checkpoint.seq == Seq(32));
        write(&maker, tail as usize).await;
        let meter = metered(&store);
        let again = open(meter.clone()).await;
        // `head`, the checkpoint's record, and what is behind it.
        assert_eq!(requests(&meter.usage()), (2 + tail.div_ceil(4), 1, 3 + tail.div_ceil(4)), "a tail of {tail}");
        assert_eq!((again.position(), state(&again)), (maker.position(), state(&maker)));
        assert_eq!(again.tail().records, tail + 1);
        set(&again, "more", "1").await.unwrap();
        assert_eq!(read(&log, "more").await.unwrap().as_deref(), Some("1"));
    }
}
