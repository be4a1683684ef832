//! Checkpoints: opening from them, by `head` and without it, and what that costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bucketdb_driver::{Condition, Driver, Fault, FaultDriver, Key, MemoryDriver, MeteredDriver, Operation, Usage};
use bucketdb_env::TokioEnvironment;
use bucketdb_log::{CheckpointContent, CheckpointError, CommitOutcome, Freshness, Log, LogError, Seq, SlotNames};
use bytes::Bytes;

use crate::liar::{Lie, liar};
use crate::support::{
    Claims, DEADLINE, checkpoint, delete_records, fresh_state, is_record, keys, open, open_with, read, record_key, set,
    sleep, spawn,
};

fn metered(store: &MemoryDriver) -> MeteredDriver {
    MeteredDriver::new(store.clone(), TokioEnvironment::new())
}

fn head_key() -> Key {
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

async fn put(store: &MemoryDriver, key: &Key, body: Bytes) {
    store.put(key, body, Condition::Always).await.unwrap();
}

/// A log with a checkpoint, whose records before it were removed, and `tail` records behind it.
async fn cut_log(store: &MemoryDriver, tail: usize) -> Log<Claims> {
    let log = open(store.clone()).await;
    write(&log, 9).await;
    let made = checkpoint(&log, |_| {}).await.unwrap();
    write(&log, tail).await;
    delete_records(store, 1..made.checkpoint.covers.next().0).await;
    log
}

#[tokio::test(start_paused = true)]
async fn a_log_without_its_beginning_opens_with_head_and_without_it() {
    for tail in [0, 1, 5, 40] {
        let store = MemoryDriver::new();
        let log = cut_log(&store, tail).await;
        let expected = state(&log);
        assert_eq!(fresh_state(&store).await, expected);
        store.delete(&head_key()).await.unwrap();
        let again = open(store.clone()).await;
        assert_eq!((state(&again), again.position()), (expected, log.position()));
        assert_eq!((again.floor(), again.options()), (log.floor(), log.options()));
        assert_eq!(again.last_checkpoint(), log.last_checkpoint());
        // Both go on.
        set(&again, "a", "1").await.unwrap();
        set(&log, "b", "1").await.unwrap();
        assert_eq!(fresh_state(&store).await, state(&log));
    }
}

#[tokio::test(start_paused = true)]
async fn commits_that_come_between_capturing_and_the_record_are_in_the_log_behind_it() {
    for between in [1, 3, 4, 30] {
        let store = MemoryDriver::new();
        let log = open(store.clone()).await;
        write(&log, 9).await;
        let captured = log.capture(|claims, _| claims.save()).unwrap();
        write(&log, between).await;
        let content = CheckpointContent { saved: captured.value.clone(), ..CheckpointContent::default() };
        let covers = captured.seq();
        let made = log.checkpoint(captured, content, DEADLINE).await.unwrap();
        assert_eq!(made.checkpoint.seq.0, covers.0 + between as u64 + 1);
        write(&log, 2).await;
        delete_records(&store, 1..covers.next().0).await;
        let meter = metered(&store);
        let again = open(meter.clone()).await;
        assert!(meter.usage().total_requests() <= 5 + (between as u64).div_ceil(4), "{:?}", meter.usage());
        assert_eq!((state(&again), again.position()), (state(&log), log.position()));
        store.delete(&head_key()).await.unwrap();
        assert_eq!(fresh_state(&store).await, state(&log));
    }
}

#[tokio::test(start_paused = true)]
pub(crate) async fn a_head_that_is_stale_foreign_or_spoilt_is_passed_over_and_then_replaced() {
    let foreign = MemoryDriver::new();
    cut_log(&foreign, 3).await;
    let foreign = foreign.get(&head_key()).await.unwrap().body;
    let store = MemoryDriver::new();
    let log = cut_log(&store, 3).await;
    let stale = store.get(&head_key()).await.unwrap().body;
    checkpoint(&log, |_| {}).await.unwrap();
    write(&log, 6).await;
    let newest = checkpoint(&log, |_| {}).await.unwrap().checkpoint;
    write(&log, 2).await;
    // What the stale head names is gone.
    delete_records(&store, 1..newest.covers.next().0).await;
    let good = store.get(&head_key()).await.unwrap().body;
    let mut flipped = good.to_vec();
    flipped[60] ^= 4;
    let spoilt = [stale, foreign, flipped.into(), good.slice(..20), Bytes::new()];
    for (index, body) in spoilt.into_iter().enumerate() {
        put(&store, &head_key(), body).await;
        let again = open(store.clone()).await;
        assert_eq!((state(&again), again.position()), (state(&log), log.position()), "{index}");
        assert!(checkpoint(&again, |_| {}).await.unwrap().is_in_head);
        let meter = metered(&store);
        open(meter.clone()).await;
        assert_eq!(requests(&meter.usage()), (2, 1, 3), "{index}: the new head is good");
        assert_eq!(read(&log, "key 1").await.unwrap(), read(&again, "key 1").await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
pub(crate) async fn a_head_from_before_the_log_was_set_back_does_not_hide_what_is_there() {
    let store = MemoryDriver::new();
    let log = cut_log(&store, 0).await;
    write(&log, 3).await;
    checkpoint(&log, |_| {}).await.unwrap();
    let ahead = store.get(&head_key()).await.unwrap().body;
    // As if an older copy of the log had been put back, and only `head` were of later.
    for seq in 11..=log.position().0 {
        store.delete(&record_key(seq)).await.unwrap();
    }
    let first = log.earlier_checkpoints()[0].clone();
    put(&store, &record_key(first.seq.0), Bytes::new()).await;
    let error = open_with(store.clone(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains(record_key(first.seq.0).as_str()), "{error}");

    let store = MemoryDriver::new();
    let log = cut_log(&store, 0).await;
    put(&store, &head_key(), ahead).await;
    let again = open(store.clone()).await;
    assert_eq!(state(&again), state(&log));
    assert!(checkpoint(&again, |_| {}).await.unwrap().is_in_head);
}

#[tokio::test(start_paused = true)]
async fn damage_to_a_manifest_is_named_or_unread() {
    let store = MemoryDriver::new();
    let log = cut_log(&store, 2).await;
    let name = log.last_checkpoint().unwrap().manifest;
    let key = Key::new(format!("db/{name}")).unwrap();
    let good = store.get(&key).await.unwrap().body;
    let head = store.get(&head_key()).await.unwrap().body;
    for at in 0..good.len() {
        let mut flipped = good.to_vec();
        flipped[at] ^= 1 << (at % 8);
        for spoilt in [Bytes::from(flipped), good.slice(..at)] {
            put(&store, &key, spoilt).await;
            // `head` holds a copy of its own.
            put(&store, &head_key(), head.clone()).await;
            assert_eq!(fresh_state(&store).await, state(&log));
            store.delete(&head_key()).await.unwrap();
            let error = open_with(store.clone(), |options| options.read_only = true).await.unwrap_err();
            assert!(matches!(&error, LogError::Damaged { object, .. } if object == key.as_str()), "{at}: {error}");
        }
    }
    store.delete(&key).await.unwrap();
    let error = open_with(store.clone(), |_| {}).await.unwrap_err();
    assert!(matches!(&error, LogError::Missing { object, .. } if object == key.as_str()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn damage_to_head_costs_time_only() {
    let store = MemoryDriver::new();
    let log = cut_log(&store, 2).await;
    let good = store.get(&head_key()).await.unwrap().body;
    for at in 0..good.len() {
        let mut flipped = good.to_vec();
        flipped[at] ^= 1 << (at % 8);
        for spoilt in [Bytes::from(flipped), good.slice(..at)] {
            put(&store, &head_key(), spoilt).await;
            assert_eq!(fresh_state(&store).await, state(&log), "{at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn damage_to_the_records_of_and_behind_a_checkpoint_is_named() {
    let store = MemoryDriver::new();
    let log = cut_log(&store, 3).await;
    for with_head in [true, false] {
        if !with_head {
            store.delete(&head_key()).await.unwrap();
        }
        for seq in log.last_checkpoint().unwrap().seq.0..=log.position().0 {
            let good = store.get(&record_key(seq)).await.unwrap().body;
            for at in (0..good.len()).step_by(3) {
                let mut flipped = good.to_vec();
                flipped[at] ^= 1 << (at % 8);
                for spoilt in [Bytes::from(flipped), good.slice(..at)] {
                    put(&store, &record_key(seq), spoilt).await;
                    let opening = open_with(store.clone(), |options| {
                        (options.read_only, options.thorough) = (true, true);
                    });
                    let error = opening.await.unwrap_err().to_string();
                    let is_named = error.contains(record_key(seq).as_str());
                    assert!(is_named, "{seq} at {at}: {error}");
                }
            }
            put(&store, &record_key(seq), good).await;
        }
    }
    assert_eq!(fresh_state(&store).await, state(&log));
}

#[tokio::test(start_paused = true)]
pub(crate) async fn of_two_that_make_a_checkpoint_at_the_same_time_one_does() {
    let store = MemoryDriver::new();
    let (one, two) = (open(store.clone()).await, open(store.clone()).await);
    write(&one, 5).await;
    read(&two, "key 1").await.unwrap();
    let of_two = two.capture(|claims, _| claims.save()).unwrap();
    write(&one, 2).await;
    let made = checkpoint(&one, |_| {}).await.unwrap().checkpoint;
    let content = CheckpointContent { saved: of_two.value.clone(), ..CheckpointContent::default() };
    // It does not know of the other one before it has tried to write its record.
    let outcome = two.checkpoint(of_two, content, DEADLINE).await;
    assert!(matches!(outcome, Err(CheckpointError::Superseded { by }) if by == made.seq), "{outcome:?}");
    assert_eq!(two.last_checkpoint(), Some(made));
    let again = checkpoint(&two, |_| {}).await.unwrap();
    assert!(again.is_in_head, "{again:?}");
    assert_eq!(fresh_state(&store).await, state(&two));
}

#[tokio::test(start_paused = true)]
async fn what_became_of_a_commit_can_be_told_when_its_record_is_gone() {
    let store = MemoryDriver::new();
    let log = open(store.clone()).await;
    let commit = set(&log, "a", "1").await.unwrap();
    checkpoint(&log, |_| {}).await.unwrap();
    delete_records(&store, 1..3).await;
    let again = open(store.clone()).await;
    let outcome = again.outcome(commit.id, Some(commit.seq)).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed { seq: None });
    let never = bucketdb_log::CommitId { counter: commit.id.counter + 5, ..commit.id };
    assert_eq!(again.outcome(never, Some(commit.seq)).await.unwrap(), CommitOutcome::NotCommitted);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_create_only_has_checkpoints_and_no_head() {
    let driver = liar(&MemoryDriver::new(), Lie::IgnoresCreateOnly);
    let log = open(driver.clone()).await;
    assert_eq!(log.slot_names(), SlotNames::PerSession);
    write(&log, 9).await;
    let made = checkpoint(&log, |_| {}).await.unwrap();
    assert!(!made.is_in_head && !keys(&driver.store).await.contains(&head_key().to_string()));
    write(&log, 3).await;
    for key in
        keys(&driver.store).await.iter().filter(|key| key.contains("/log/")).take(made.checkpoint.covers.0 as usize)
    {
        driver.store.delete(&Key::new(key.clone()).unwrap()).await.unwrap();
    }
    let again = open(driver.clone()).await;
    assert_eq!((state(&again), again.position()), (state(&log), log.position()));
    set(&again, "a", "1").await.unwrap();
    assert_eq!(read(&log, "a").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_long_log_without_head_is_not_read_from_its_beginning() {
    let store = MemoryDriver::new();
    let log = open(store.clone()).await;
    write(&log, 300).await;
    checkpoint(&log, |_| {}).await.unwrap();
    write(&log, 20).await;
    store.delete(&head_key()).await.unwrap();
    let meter = metered(&store);
    let again = open(meter.clone()).await;
    assert_eq!((state(&again), again.position()), (state(&log), log.position()));
    assert!(meter.usage().total_requests() < 40, "{:?}", meter.usage());
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_no_record_names_is_passed_over() {
    let store = MemoryDriver::new();
    let log = cut_log(&store, 4).await;
    let name = log.new_name(bucketdb_log::ObjectKind::Manifest);
    put(&store, &Key::new(format!("db/{name}")).unwrap(), "of a checkpoint that never came to be".into()).await;
    store.delete(&head_key()).await.unwrap();
    assert_eq!(fresh_state(&store).await, state(&log));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_was_made_is_never_said_to_have_come_to_nothing() {
    let store = MemoryDriver::new();
    let lose_one = Arc::new(AtomicBool::new(false));
    let lose = lose_one.clone();
    // The record arrives, and its writer is not told for as long as a request may take.
    let lossy = FaultDriver::new(store.clone(), move |operation, key| {
        let is_hit = operation == Operation::Put && is_record(key) && lose.swap(false, Ordering::SeqCst);
        if is_hit { Fault::HangAfter } else { Fault::None }
    });
    let (slow, other) = (open(lossy).await, open(store.clone()).await);
    write(&slow, 3).await;
    lose_one.store(true, Ordering::SeqCst);
    let maker = slow.clone();
    let making = spawn(async move { checkpoint(&maker, |_| {}).await });
    sleep(std::time::Duration::from_secs(1)).await;
    other.refresh(Freshness::Strict).await.unwrap();
    let first = other.last_checkpoint().unwrap();
    checkpoint(&other, |content| content.obsolete = vec![first.manifest.clone()]).await.unwrap();
    slow.refresh(Freshness::Strict).await.unwrap();
    let outcome = making.await.unwrap();
    assert!(matches!(outcome, Err(CheckpointError::Replaced { seq }) if seq == first.seq), "{outcome:?}");
}
