//! (H17) Dropping a database, and creating another one in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{Condition, DelayDriver, Driver, ETag, ErrorKind, Fault, FaultDriver, Key, MemoryDriver};
use bucketdb_env::Environment;
use bucketdb_log::{
    CommitError, DropReport, Layout, Log, LogError, OpenOptions, Seq, SlotNames, Tombstone, find_dropped,
    remove_dropped,
};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::support::{
    Behaviour, Claims, DEADLINE, SeededEnvironment, Strange, checkpoint, delete_records, is_record, keys, open_in,
    read, record_key, set, set_within, sleep, spawn,
};

/// A store that may not honour create-only, and can hold puts of records back, to let them arrive later.
#[derive(Debug, Default)]
struct Gate {
    ignores_create_only: bool,
    is_shut: AtomicBool,
    held: AtomicU64,
    opened: Arc<Notify>,
}

#[async_trait]
impl Behaviour for Gate {
    async fn put(
        &self,
        store: &MemoryDriver,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<ETag> {
        let condition = if self.ignores_create_only { Condition::Always } else { condition };
        if !(is_record(key.as_str()) && self.is_shut.load(Ordering::SeqCst)) {
            return store.put(key, body, condition).await;
        }
        self.held.fetch_add(1, Ordering::SeqCst);
        let (store, key, opened) = (store.clone(), key.clone(), self.opened.clone());
        // Whether or not anybody waits for it any more.
        let late = spawn(async move {
            opened.notified().await;
            store.put(&key, body, condition).await
        });
        late.await.unwrap()
    }
}

fn gate(store: &MemoryDriver, names: SlotNames) -> Strange<Gate> {
    Strange::new(store, Gate { ignores_create_only: names == SlotNames::PerSession, ..Gate::default() })
}

/// Clocks that the test's time moves, and other chance for everybody.
fn env() -> SeededEnvironment {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    SeededEnvironment::new(NEXT.fetch_add(1, Ordering::SeqCst))
}

async fn open_with(driver: impl Driver, change: impl FnOnce(&mut OpenOptions)) -> bucketdb_log::Result<Log<Claims>> {
    open_in(env(), driver, change).await
}

async fn open(driver: impl Driver) -> Log<Claims> {
    open_with(driver, |_| {}).await.unwrap()
}

const BOTH: [SlotNames; 2] = [SlotNames::Shared, SlotNames::PerSession];

async fn remove(driver: impl Driver, tombstone: &Tombstone, wait: bool) -> bucketdb_log::Result<DropReport> {
    let (driver, env): (Arc<dyn Driver>, Arc<dyn Environment>) = (Arc::new(driver), Arc::new(env()));
    remove_dropped(&driver, &env, &Layout::new("db").unwrap(), tombstone, wait).await
}

async fn tombstone(driver: impl Driver) -> Option<Tombstone> {
    let (driver, env): (Arc<dyn Driver>, Arc<dyn Environment>) = (Arc::new(driver), Arc::new(env()));
    find_dropped(&driver, &env, &Layout::new("db").unwrap()).await.unwrap()
}

#[track_caller]
fn assert_dropped<T: std::fmt::Debug, E: Into<CommitError<()>> + std::fmt::Debug>(outcome: Result<T, E>) {
    match outcome.map_err(Into::into) {
        Err(CommitError::Log(LogError::Dropped { prefix, .. })) => assert_eq!(prefix, "db/"),
        other => panic!("expected it to be dropped, got {other:?}"),
    }
}

async fn assert_all_dropped(log: &Log<Claims>) {
    let outcome = set(log, "a", "ghost").await;
    assert!(matches!(outcome, Err(CommitError::Log(LogError::Dropped { .. }))), "{outcome:?}");
    assert_dropped(read(log, "a").await);
    assert_dropped(log.record(Seq(1)).await);
}

/// What whoever opens the database finds, with `head` and without.
async fn assert_state(driver: &Strange<Gate>, expected: &[(&str, &str)]) {
    let head = Key::new("db/head").unwrap();
    for _ in 0..2 {
        let log = open_with(driver.clone(), |options| options.read_only = true).await.unwrap();
        let state = log.read(|claims, _| claims.0.clone()).unwrap();
        let state: Vec<(&str, &str)> = state.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(state, expected);
        driver.store.delete(&head).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_learns_that_a_database_was_dropped_and_may_create_another_one_there() {
    for names in BOTH {
        let store = MemoryDriver::new();
        let driver = gate(&store, names);
        let first = open(driver.clone()).await;
        assert_eq!(first.slot_names(), names);
        set(&first, "a", "1").await.unwrap();
        checkpoint(&first, |_| {}).await.unwrap();
        let (beside, dropper) = (open(driver.clone()).await, open(driver.clone()).await);
        let dropped = dropper.drop_database(DEADLINE).await.unwrap();
        assert_eq!((dropped.database, dropped.seq, dropped.generation), (first.database(), Seq(4), 1));
        for log in [&dropper, &first, &beside] {
            assert_all_dropped(log).await;
            assert_eq!(log.drop_database(DEADLINE).await.as_ref().ok(), Some(&dropped), "as it is dropped already");
        }
        assert_dropped(open_with(driver.clone(), |options| options.create = false).await);
        assert_dropped(open_with(driver.clone(), |options| options.read_only = true).await);

        let report = remove(driver.clone(), &dropped, false).await.unwrap();
        assert_eq!(report.records_left, 3);
        assert!(keys(&store).await.iter().all(|key| is_record(key)), "{:?}", keys(&store).await);
        let second = open(driver.clone()).await;
        let genesis = if names == SlotNames::Shared { Seq(5) } else { Seq(6) };
        assert_eq!((second.position(), second.options().generation, second.floor()), (genesis, 2, genesis));
        assert_ne!(second.database(), dropped.database);
        assert_eq!(tombstone(driver.clone()).await, None);
        assert!(matches!(second.record(Seq(2)).await, Err(LogError::BelowFloor { .. })));
        set(&second, "b", "2").await.unwrap();
        assert_state(&driver, &[("b", "2")]).await;
        assert_dropped(first.drop_database(DEADLINE).await);
        // The one that dropped it comes late.
        remove(driver.clone(), &dropped, true).await.unwrap();
        assert_state(&driver, &[("b", "2")]).await;
        for log in [&dropper, &first, &beside] {
            assert_all_dropped(log).await;
        }
        // And the same again.
        let again = second.drop_database(DEADLINE).await.unwrap();
        assert_eq!((again.database, again.generation), (second.database(), 2));
        assert_all_dropped(&second).await;
        assert_eq!(remove(driver.clone(), &again, true).await.unwrap().records_left, 0);
        assert_eq!(keys(&store).await.len(), 1, "{:?}", keys(&store).await);
        let third = open(driver.clone()).await;
        assert_eq!(third.options().generation, 3);
        assert_state(&driver, &[]).await;
        assert_all_dropped(&second).await;
    }
}

/// What is left of the log of a database that was dropped goes with the first checkpoint of the next one.
#[tokio::test(start_paused = true)]
async fn the_next_database_removes_the_records_of_the_one_before() {
    for names in BOTH {
        let store = MemoryDriver::new();
        let driver = gate(&store, names);
        let first = open(driver.clone()).await;
        for value in 0..10 {
            set(&first, "a", &value.to_string()).await.unwrap();
        }
        let dropped = first.drop_database(DEADLINE).await.unwrap();
        let second = open(driver.clone()).await;
        set(&second, "b", "2").await.unwrap();
        let floor = second.position();
        checkpoint(&second, |content| content.floor = floor).await.unwrap();
        assert_eq!(second.collect_garbage().await.unwrap().records, 0);
        sleep(Duration::from_secs(3_601)).await;
        second.collect_garbage().await.unwrap();
        let left = keys(&store).await;
        let last_removed = format!("db/log/{:020}", floor.0 - 1);
        assert!(left.iter().filter(|key| is_record(key)).all(|key| *key > last_removed), "{left:?}");
        assert_state(&driver, &[("b", "2")]).await;
        assert!(matches!(set(&first, "a", "ghost").await, Err(CommitError::Log(LogError::Dropped { .. }))));
        assert!(dropped.seq < floor);
    }
}

/// One process writes, and another one drops the database at some moment.
#[tokio::test(start_paused = true)]
async fn a_write_is_acknowledged_before_the_drop_or_told_of_it() {
    for names in BOTH {
        for writes in 0..4 {
            let store = MemoryDriver::new();
            let driver = gate(&store, names);
            let (writer, dropper) = (open(driver.clone()).await, open(driver.clone()).await);
            for value in 0..writes {
                set(&writer, "a", &value.to_string()).await.unwrap();
            }
            let dropped = dropper.drop_database(DEADLINE).await.unwrap();
            assert_eq!(dropped.seq, Seq(2 + writes), "behind every write that was acknowledged");
            assert_all_dropped(&writer).await;
            remove(driver.clone(), &dropped, true).await.unwrap();
            let expected = if names == SlotNames::Shared { 1 } else { keys(&store).await.len() };
            assert_eq!(keys(&store).await.len(), expected);
            let next = open(driver.clone()).await;
            assert_state(&driver, &[]).await;
            set(&next, "a", "new").await.unwrap();
            assert_state(&driver, &[("a", "new")]).await;
        }
    }
}

/// A process freezes while a put of it is under way, and wakes up when everything has changed.
#[tokio::test(start_paused = true)]
async fn a_frozen_writer_never_gets_into_the_next_database() {
    for names in BOTH {
        for (others, removes, recreates) in [0, 1, 3].into_iter().flat_map(|others| {
            [None, Some(false), Some(true)]
                .into_iter()
                .flat_map(move |removes| [0, 1, 6].map(|next| (others, removes, next)))
        }) {
            if names == SlotNames::PerSession && others > 0 {
                // One writer only, there.
                continue;
            }
            let case =
                format!("{names:?}, {others} writes of others, removed {removes:?}, {recreates} writes in the next");
            let store = MemoryDriver::new();
            let (slow, driver) = (gate(&store, names), gate(&store, names));
            let frozen = open(slow.clone()).await;
            set(&frozen, "a", "old").await.unwrap();
            slow.behaviour.is_shut.store(true, Ordering::SeqCst);
            let late = {
                let frozen = frozen.clone();
                spawn(async move { set_within(&frozen, "a", "ghost", Duration::from_secs(7_000)).await })
            };
            while slow.behaviour.held.load(Ordering::SeqCst) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            let other = open(driver.clone()).await;
            for value in 0..others {
                set(&other, "b", &value.to_string()).await.unwrap();
            }
            let dropped = other.drop_database(DEADLINE).await.unwrap();
            if let Some(wait) = removes {
                remove(driver.clone(), &dropped, wait).await.unwrap();
            }
            let mut expected = Vec::new();
            if recreates > 0 {
                let next = open(driver.clone()).await;
                for _ in 0..recreates {
                    set(&next, "c", "new").await.unwrap();
                }
                expected.push(("c", "new"));
                if recreates > 3 {
                    checkpoint(&next, |_| {}).await.unwrap();
                    set(&next, "d", "newer").await.unwrap();
                    expected.push(("d", "newer"));
                }
                next.close(DEADLINE).await.unwrap();
            }
            slow.behaviour.is_shut.store(false, Ordering::SeqCst);
            slow.behaviour.opened.notify_waiters();
            let outcome = late.await.unwrap();
            assert!(
                matches!(
                    outcome,
                    Err(CommitError::Log(LogError::Dropped { .. })
                        | CommitError::OutcomeUnknown { .. }
                        | CommitError::TimedOut)
                ),
                "{case}: {outcome:?}"
            );
            sleep(Duration::from_secs(60)).await;
            assert_all_dropped(&frozen).await;
            if recreates == 0 {
                assert_eq!(tombstone(driver.clone()).await.as_ref().map(|it| it.seq), Some(dropped.seq), "{case}");
                let _ = open(driver.clone()).await;
            }
            assert_state(&driver, &expected).await;
            let next = open(driver.clone()).await;
            assert_ne!(next.database(), frozen.database(), "{case}");
            set(&next, "e", "last").await.unwrap();
            expected.push(("e", "last"));
            assert_state(&driver, &expected).await;
        }
    }
}

/// The process that drops the database is killed at each of its requests, before and behind it, and the next one goes on.
#[tokio::test(start_paused = true)]
async fn a_drop_that_was_cut_off_goes_on_where_it_is_repeated() {
    for names in BOTH {
        for fault in [Fault::Before(ErrorKind::Denied), Fault::After(ErrorKind::Denied)] {
            for limit in 0.. {
                assert!(limit < 200, "it must come to an end");
                let store = MemoryDriver::new();
                let driver = gate(&store, names);
                let first = open(driver.clone()).await;
                for value in 0..5 {
                    set(&first, "a", &value.to_string()).await.unwrap();
                }
                checkpoint(&first, |_| {}).await.unwrap();
                set(&first, "a", "5").await.unwrap();
                first.close(DEADLINE).await.unwrap();
                let (count, is_armed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
                let (rule_count, rule_armed, fault) = (count.clone(), is_armed.clone(), fault.clone());
                let killed = FaultDriver::new(driver.clone(), move |_, _| {
                    if !rule_armed.load(Ordering::SeqCst) {
                        return Fault::None;
                    }
                    match rule_count.fetch_add(1, Ordering::SeqCst) {
                        before if before < limit => Fault::None,
                        at if at == limit => fault.clone(),
                        _ => Fault::Before(ErrorKind::Denied),
                    }
                });
                let dropper = open(killed.clone()).await;
                is_armed.store(true, Ordering::SeqCst);
                let outcome = match dropper.drop_database(DEADLINE).await {
                    Ok(tombstone) => remove(killed.clone(), &tombstone, true).await.map(|_| ()),
                    Err(error) => Err(error),
                };
                // Whoever comes next sees the database as it was, or as dropped, and nothing in between.
                let tombstone = match open_with(driver.clone(), |options| options.create = false).await {
                    Ok(log) => {
                        assert!(outcome.is_err());
                        assert_eq!(read(&log, "a").await.unwrap().as_deref(), Some("5"));
                        log.drop_database(DEADLINE).await.unwrap()
                    }
                    Err(LogError::Dropped { .. }) => tombstone(driver.clone()).await.unwrap(),
                    Err(error) => panic!("{error}"),
                };
                remove(driver.clone(), &tombstone, true).await.unwrap();
                let left = keys(&store).await;
                assert_eq!(left.len(), 1, "{left:?}");
                let next = open(driver.clone()).await;
                assert_eq!((next.options().generation, read(&next, "a").await.unwrap()), (2, None));
                if outcome.is_ok() {
                    break;
                }
            }
        }
    }
}

/// A process was at an old position when the database was dropped, and all that it could read on with is gone.
#[tokio::test(start_paused = true)]
async fn whoever_stood_still_for_long_learns_of_it_too() {
    for creates in [false, true] {
        let store = MemoryDriver::new();
        let driver = gate(&store, SlotNames::Shared);
        let (still, other) = (open(driver.clone()).await, open(driver.clone()).await);
        for value in 0..8 {
            set(&other, "a", &value.to_string()).await.unwrap();
        }
        let dropped = other.drop_database(DEADLINE).await.unwrap();
        remove(driver.clone(), &dropped, true).await.unwrap();
        if creates {
            let next = open(driver.clone()).await;
            for value in 0..8 {
                set(&next, "b", &value.to_string()).await.unwrap();
            }
            checkpoint(&next, |_| {}).await.unwrap();
            // Not even where it begins is left.
            delete_records(&store, dropped.seq.0..dropped.seq.0 + 5).await;
        }
        assert_all_dropped(&still).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_record_that_stays_holds_nothing_of_what_was_there() {
    let store = MemoryDriver::new();
    let log = open(store.clone()).await;
    for _ in 0..3 {
        set(&log, "secret", "words").await.unwrap();
    }
    let dropped = log.drop_database(DEADLINE).await.unwrap();
    let bytes = store.get(&record_key(dropped.seq.0)).await.unwrap().body;
    assert!(bytes.len() < 200 && !bytes.windows(6).any(|part| part == b"secret"), "{}", bytes.len());
}

/// One process writes as fast as it can, and another one drops the database in the middle of it.
#[tokio::test(start_paused = true)]
async fn a_drop_in_the_middle_of_writes_ends_them_all() {
    for (names, seed) in BOTH.into_iter().flat_map(|names| (0..30).map(move |seed| (names, seed))) {
        let store = MemoryDriver::new();
        let driver = gate(&store, names);
        let slow = |reads, writes| {
            let (reads, writes) = (Duration::from_millis(reads), Duration::from_millis(writes));
            DelayDriver::new(driver.clone(), env()).reads(reads).writes(writes)
        };
        let writer = open(slow(1 + seed % 5, 10 + seed % 7)).await;
        // On stores a get takes less than a put: else whoever comes second would never get a position, whatever it writes.
        let dropper = open(slow(1 + seed % 3, 10 + seed % 7)).await;
        let writing = spawn(async move {
            let mut acknowledged = Vec::new();
            loop {
                match set(&writer, "a", "1").await {
                    Ok(commit) => acknowledged.push(commit.seq),
                    Err(error) => return (acknowledged, error),
                }
            }
        });
        sleep(Duration::from_millis(seed * 13)).await;
        let dropped = dropper.drop_database(DEADLINE).await;
        let (acknowledged, error) = writing.await.unwrap();
        let case = format!("{names:?}, seed {seed}");
        match (dropped, names) {
            (Ok(dropped), _) => {
                assert!(matches!(error, CommitError::Log(LogError::Dropped { .. })), "{case}: {error:?}");
                let is_before = |seq: &Seq| {
                    // Where two were in one position, both are in the database that is no more.
                    *seq < dropped.seq || names == SlotNames::PerSession && *seq == dropped.seq
                };
                assert!(acknowledged.iter().all(is_before), "{case}: {acknowledged:?}, {dropped:?}");
                assert_eq!(tombstone(driver.clone()).await, Some(dropped), "{case}");
                open(driver.clone()).await;
                assert_state(&driver, &[]).await;
            }
            // Two that write at the same time to a store that cannot keep them apart.
            (Err(_), SlotNames::PerSession) => {
                let opened = open_with(driver.clone(), |_| {}).await;
                assert!(matches!(opened, Err(LogError::Forked { .. } | LogError::Halted { .. })), "{case}: {opened:?}");
            }
            (Err(error), SlotNames::Shared) => panic!("{case}: {error}"),
        }
    }
}

/// Where each session has names of its own: the writer gets into the position of the drop, does not see it there, and freezes
/// while it writes to the next one.
#[tokio::test(start_paused = true)]
async fn a_writer_that_froze_one_position_behind_the_drop_does_not_get_into_the_next_database_either() {
    let store = MemoryDriver::new();
    let [writers, droppers, driver] = [(); 3].map(|()| gate(&store, SlotNames::PerSession));
    let writer = open(writers.clone()).await;
    let dropper = open(droppers.clone()).await;
    droppers.behaviour.is_shut.store(true, Ordering::SeqCst);
    let dropping = spawn(async move { dropper.drop_database(DEADLINE).await });
    while droppers.behaviour.held.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let last = set(&writer, "a", "1").await.unwrap().seq;
    writers.behaviour.is_shut.store(true, Ordering::SeqCst);
    let late = {
        let writer = writer.clone();
        spawn(async move { set(&writer, "a", "ghost").await })
    };
    while writers.behaviour.held.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    droppers.behaviour.opened.notify_waiters();
    let dropped = dropping.await.unwrap().unwrap();
    assert_eq!(dropped.seq, last);
    let next = open(driver.clone()).await;
    writers.behaviour.opened.notify_waiters();
    let outcome = late.await.unwrap();
    assert!(matches!(outcome, Err(CommitError::Log(LogError::Dropped { .. }))), "{outcome:?}");
    assert_all_dropped(&writer).await;
    set(&next, "b", "2").await.unwrap();
    assert_eq!(read(&next, "b").await.unwrap().as_deref(), Some("2"));
    assert_state(&driver, &[("b", "2")]).await;
    remove(driver.clone(), &dropped, true).await.unwrap();
    assert_state(&driver, &[("b", "2")]).await;
}
