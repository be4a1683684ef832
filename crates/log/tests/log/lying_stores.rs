//! Stores that break their promises: every node ends in an error, and as early as the records can show it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{Condition, Driver, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, Object, Operation};
use bucketdb_env::Random;
use bucketdb_log::{CommitError, Freshness, Log, LogError, NodeId, Seq, SlotNames};

use crate::liar::{Liar, Lie, liar};
use crate::support::{
    Behaviour, Claims, SeededEnvironment, Strange, fresh_state, is_record, keys, open, open_in, open_with, read,
    record_key, set, set_within, sleep, spawn,
};

fn fatal(error: &LogError) -> bool {
    matches!(error, LogError::BrokenChain { .. } | LogError::Halted { .. })
}

async fn assert_stopped(log: &Log<Claims>) {
    let error = read(log, "a").await.unwrap_err();
    assert!(fatal(&error), "{error}");
    assert!(fatal(&log.read(|_, _| ()).unwrap_err()), "not even a local read is answered");
    match set(log, "a", "1").await.unwrap_err() {
        CommitError::Log(error) => assert!(fatal(&error), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_create_only_is_found_out_at_creation() {
    for lie in [Lie::IgnoresCreateOnly, Lie::HonoursItAlone] {
        let driver = liar(&MemoryDriver::new(), lie);
        let error = open_with(driver.clone(), |options| options.ring_size = Some(2)).await.unwrap_err();
        assert!(matches!(error, LogError::UnfitStore { .. }), "{lie:?}: {error}");
        assert!(error.to_string().contains("If-None-Match"), "{error}");
        assert_eq!(keys(&driver.store).await, Vec::<String>::new(), "{lie:?}");
        assert_eq!(open(driver).await.slot_names(), SlotNames::PerSession, "{lie:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_create_at_once_on_a_store_that_only_one_finds_out_the_other_has_the_database() {
    let store = MemoryDriver::new();
    let (deceived, undeceived) = (liar(&store, Lie::None), liar(&store, Lie::HonoursItAlone));
    let (refused, log) = tokio::join!(open_with(undeceived, |_| {}), open(deceived.clone()));
    let error = refused.unwrap_err();
    assert!(matches!(&error, LogError::UnfitStore { reason, .. } if reason.contains("another process")), "{error}");
    assert_eq!(log.slot_names(), SlotNames::Shared);
    set(&log, "a", "1").await.unwrap();
    assert_eq!(read(&open(deceived).await, "a").await.unwrap().as_deref(), Some("1"));
}

/// Ignores create-only, and has a database with shared names the moment that a record with another kind of name arrives.
#[derive(Debug)]
struct Overtaken(MemoryDriver);

#[async_trait]
impl Behaviour for Overtaken {
    async fn put(
        &self,
        store: &MemoryDriver,
        key: &Key,
        body: bytes::Bytes,
        _: Condition,
    ) -> bucketdb_driver::Result<bucketdb_driver::ETag> {
        if is_record(key.as_str()) {
            let genesis = record_key(1);
            store.put(&genesis, self.0.get(&genesis).await?.body, Condition::Always).await?;
        }
        store.put(key, body, Condition::Always).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_came_beside_a_log_of_another_kind_is_taken_back() {
    let (elsewhere, store) = (MemoryDriver::new(), MemoryDriver::new());
    open(elsewhere.clone()).await;
    let error = open_with(Strange::new(&store, Overtaken(elsewhere)), |_| {}).await.unwrap_err();
    assert!(matches!(&error, LogError::UnfitStore { .. }), "{error}");
    assert_eq!(keys(&store).await, [record_key(1).to_string()]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_loses_what_it_acknowledged_is_not_fit_for_anything() {
    let error = open_with(liar(&MemoryDriver::new(), Lie::LosesAll), |_| {}).await.unwrap_err();
    assert!(matches!(error, LogError::UnfitStore { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_begins_to_lie_stops_every_node() {
    // Who writes behind the overwritten record, and how long the store goes on lying.
    for (overwritten_goes_on, lies_on) in [(true, false), (false, false), (true, true), (false, true)] {
        let driver = liar(&MemoryDriver::new(), Lie::None);
        let (one, two) = (open(driver.clone()).await, open(driver.clone()).await);
        *driver.behaviour.lie.lock() = Lie::IgnoresCreateOnly;
        assert_eq!(set(&one, "a", "one").await.unwrap().seq, Seq(2));
        assert_eq!(set(&two, "a", "two").await.unwrap().seq, Seq(2), "the store overwrote the record");
        if !lies_on {
            *driver.behaviour.lie.lock() = Lie::None;
        }
        let (writer, reader) = if overwritten_goes_on { (&one, &two) } else { (&two, &one) };
        assert_eq!(set(writer, "b", "1").await.unwrap().seq, Seq(3));
        assert_stopped(reader).await;
        assert_stopped(writer).await;
        let error = open_with(driver.clone(), |_| {}).await.unwrap_err();
        assert!(fatal(&error), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn busy_writers_do_not_keep_the_log_from_being_stopped() {
    let driver = liar(&MemoryDriver::new(), Lie::None);
    let conflicts = parking_lot::Mutex::new(3);
    let contended = FaultDriver::new(driver.clone(), move |operation, key| {
        let mut left = conflicts.lock();
        if operation != Operation::Put || !is_record(key) || *left == 0 {
            return Fault::None;
        }
        *left -= 1;
        Fault::Before(ErrorKind::PreconditionFailed)
    });
    let (survivor, overwritten) = (open(driver.clone()).await, open(driver.clone()).await);
    set(&survivor, "a", "1").await.unwrap();
    let witness = open(contended).await;
    *driver.behaviour.lie.lock() = Lie::IgnoresCreateOnly;
    set(&overwritten, "a", "2").await.unwrap();
    *driver.behaviour.lie.lock() = Lie::None;
    set(&overwritten, "b", "2").await.unwrap();
    assert_stopped(&witness).await;
    assert_stopped(&overwritten).await;
    assert_stopped(&survivor).await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_log_can_still_be_read() {
    let driver = liar(&MemoryDriver::new(), Lie::None);
    let (one, two) = (open(driver.clone()).await, open(driver.clone()).await);
    *driver.behaviour.lie.lock() = Lie::IgnoresCreateOnly;
    set(&one, "a", "one").await.unwrap();
    set(&two, "a", "two").await.unwrap();
    set(&two, "b", "two").await.unwrap();
    assert_stopped(&one).await;
    assert!(matches!(open_with(driver.clone(), |_| {}).await, Err(LogError::Halted { seq: Seq(4), .. })));
    let reader = open_with(driver.clone(), |options| options.read_only = true).await.unwrap();
    assert_eq!(read(&reader, "a").await.unwrap().as_deref(), Some("two"));
    // Whoever accepts the loss goes on from what survived.
    let Err(LogError::Halted { object, .. }) = open_with(driver.clone(), |_| {}).await else { panic!("it is stopped") };
    driver.delete(&Key::new(object).unwrap()).await.unwrap();
    *driver.behaviour.lie.lock() = Lie::None;
    assert_eq!(set(&open(driver).await, "a", "three").await.unwrap().seq, Seq(4));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_seen_overwritten_is_not_acknowledged() {
    for further in [0, 3] {
        let driver = liar(&MemoryDriver::new(), Lie::None);
        let (slow, other) = (liar(&driver.store, Lie::IgnoresCreateOnly), open(driver.clone()).await);
        let log = open(slow.clone()).await;
        *slow.behaviour.slow_answers.lock() = Duration::from_secs(2);
        let commit = spawn({
            let log = log.clone();
            async move { set(&log, "a", "mine").await }
        });
        sleep(Duration::from_secs(1)).await;
        assert_eq!(keys(&driver.store).await.len(), 2, "it was written");
        *driver.behaviour.lie.lock() = Lie::IgnoresCreateOnly;
        set(&other, "a", "other").await.unwrap();
        for _ in 0..further {
            set(&other, "b", "other").await.unwrap();
        }
        assert_eq!(read(&log, "a").await.unwrap().as_deref(), Some("other"));
        let outcome = commit.await.unwrap();
        assert!(matches!(outcome, Err(CommitError::OutcomeUnknown { slot: Seq(2), .. })), "{outcome:?}");
        assert_stopped(&log).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_record_leaves_a_hole_that_is_named_or_a_chain_that_does_not_fit() {
    let driver = liar(&MemoryDriver::new(), Lie::None);
    let (one, two) = (open(driver.clone()).await, open(driver.clone()).await);
    *driver.behaviour.lie.lock() = Lie::LosesRecords;
    set(&one, "a", "lost").await.unwrap();
    *driver.behaviour.lie.lock() = Lie::None;
    set(&one, "b", "1").await.unwrap();
    let error = open_with(driver.clone(), |_| {}).await.unwrap_err();
    assert!(matches!(&error, LogError::Missing { object, .. } if object == record_key(2).as_str()), "{error}");
    // Somebody who was there already fills the hole.
    set(&two, "c", "1").await.unwrap();
    assert_stopped(&two).await;
    assert_stopped(&one).await;
    assert!(fatal(&open_with(driver, |_| {}).await.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_newest_record_that_is_taken_back_stops_every_node_once_its_place_is_taken() {
    let store = MemoryDriver::new();
    let one = open(store.clone()).await;
    set(&one, "a", "1").await.unwrap();
    store.delete(&record_key(2)).await.unwrap();
    // Whoever opens now cannot know of it.
    let two = open(store.clone()).await;
    assert_eq!(two.position(), Seq(1));
    set(&two, "a", "2").await.unwrap();
    set(&one, "b", "1").await.unwrap();
    assert_stopped(&two).await;
    assert_stopped(&one).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_there_but_cannot_be_read_is_waited_for_and_never_overtaken() {
    let store = MemoryDriver::new();
    let other = open(store.clone()).await;
    let driver = liar(&store, Lie::None);
    let log = open(driver.clone()).await;
    driver.behaviour.unreadable.lock().insert(record_key(2).to_string());
    set(&other, "a", "other").await.unwrap();
    let outcome = set_within(&log, "a", "mine", Duration::from_secs(30)).await;
    assert!(matches!(outcome, Err(CommitError::OutcomeUnknown { slot: Seq(2), .. })), "{outcome:?}");
    driver.behaviour.unreadable.lock().clear();
    assert_eq!(set(&log, "b", "mine").await.unwrap().seq, Seq(3));
    assert_eq!(fresh_state(&store).await.0["a"], "other");
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_an_error_that_names_it_however_it_is_met() {
    let store = MemoryDriver::new();
    let behind = open(store.clone()).await;
    let driver = liar(&store, Lie::None);
    let writer = open(store.clone()).await;
    for round in 0..9 {
        set(&writer, "a", &round.to_string()).await.unwrap();
    }
    // It is listed and cannot be read: whoever is content with what the record behind it carries need not know.
    driver.behaviour.unreadable.lock().insert(record_key(7).to_string());
    assert_eq!(open(driver.clone()).await.position(), Seq(10));
    let unreadable = open_with(driver.clone(), |options| options.thorough = true).await.unwrap_err();
    store.delete(&record_key(7)).await.unwrap();
    let deleted = open_with(store.clone(), |_| {}).await.unwrap_err();
    let refreshed = behind.refresh(Freshness::Strict).await.unwrap_err();
    for error in [unreadable, deleted, refreshed] {
        assert!(matches!(&error, LogError::Missing { object, .. } if object == record_key(7).as_str()), "{error}");
    }
}

/// A listing may run beside writers, and pages of a cluster are of different moments: what counts is that a later record
/// exists.
#[tokio::test(start_paused = true)]
async fn a_listing_with_a_hole_hides_no_record() {
    let store = MemoryDriver::new();
    let writer = open(store.clone()).await;
    for round in 0..9 {
        set(&writer, "a", &round.to_string()).await.unwrap();
    }
    for unlisted in 1..=9 {
        let driver = liar(&store, Lie::None);
        driver.behaviour.unlisted.lock().insert(record_key(unlisted).to_string());
        assert_eq!(open(driver).await.position(), writer.position());
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_ends_early_makes_an_opener_late_and_not_wrong() {
    let store = MemoryDriver::new();
    let writer = open(store.clone()).await;
    for round in 0..4 {
        set(&writer, "a", &round.to_string()).await.unwrap();
    }
    let driver = liar(&store, Lie::None);
    driver.behaviour.unlisted.lock().extend([record_key(4).to_string(), record_key(5).to_string()]);
    let log = open(driver).await;
    assert_eq!(log.position(), Seq(3));
    assert_eq!(set(&log, "b", "1").await.unwrap().seq, Seq(6));
    assert_eq!(read(&log, "a").await.unwrap().as_deref(), Some("3"));
}

/// Reads that sometimes come back wrong in one bit, come back short, or find nothing.
#[derive(Debug)]
struct BadLine {
    env: SeededEnvironment,
    bad: AtomicBool,
}

#[async_trait]
impl Behaviour for BadLine {
    async fn get(&self, store: &MemoryDriver, key: &Key) -> bucketdb_driver::Result<Object> {
        sleep(Duration::from_micros(self.env.random_below(2_000))).await;
        let mut object = store.get(key).await?;
        if self.bad.load(Ordering::SeqCst) {
            let mut bytes = object.body.to_vec();
            let at = self.env.random_below(bytes.len() as u64) as usize;
            match self.env.random_below(12) {
                0 => bytes[at] ^= 1 << self.env.random_below(8),
                1 => bytes.truncate(at),
                _ => {}
            }
            object.body = bytes.into();
        }
        Ok(object)
    }
}

#[tokio::test(start_paused = true)]
async fn reads_that_come_back_spoilt_never_stop_a_healthy_log_and_never_change_it() {
    for seed in 0..10 {
        let store = MemoryDriver::new();
        open_with(store.clone(), |options| options.ring_size = Some(3)).await.unwrap();
        let env = SeededEnvironment::new(seed);
        let line = Strange::new(&store, BadLine { env: env.clone(), bad: AtomicBool::new(false) });
        let mut logs = Vec::new();
        for node in 0..3 {
            logs.push(open_in(env.clone(), line.clone(), |options| options.node = NodeId(node)).await.unwrap());
        }
        line.behaviour.bad.store(true, Ordering::SeqCst);
        let mut tasks = Vec::new();
        for (node, log) in logs.iter().cloned().enumerate() {
            tasks.push(spawn(async move {
                let mut outcomes = Vec::new();
                for number in 0..60 {
                    let key = format!("{node}-{number}");
                    outcomes.push((key.clone(), set_within(&log, &key, "1", Duration::from_secs(5)).await));
                    sleep(Duration::from_millis(1)).await;
                }
                outcomes
            }));
        }
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.extend(task.await.unwrap());
        }
        line.behaviour.bad.store(false, Ordering::SeqCst);
        for log in &logs {
            set(log, "last", "1").await.unwrap();
        }
        let state = fresh_state(&store).await;
        let mut troubled = 0;
        for (key, outcome) in outcomes {
            match outcome {
                Ok(commit) => assert!(state.1.contains(&commit.id) && state.0.contains_key(&key), "{key} was lost"),
                Err(CommitError::OutcomeUnknown { .. }) => troubled += 1,
                Err(error) => {
                    troubled += 1;
                    assert!(!state.0.contains_key(&key), "{key} was reported as failed and is there: {error}");
                }
            }
        }
        assert!(troubled > 0, "the line was never bad");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_liar_does_is_what_its_name_says() {
    let driver: Strange<Liar> = liar(&MemoryDriver::new(), Lie::HonoursItAlone);
    let key = record_key(1);
    let put = || driver.put(&key, "x".into(), Condition::IfAbsent);
    let (first, second) = tokio::join!(put(), put());
    assert!(first.is_ok() && second.is_ok() && put().await.is_err());
}
