//! (H17) Whoever meets a log that goes on behind a drop, and cannot look for it because the store fails, is told of the store:
//! nothing is damaged.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{Driver, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, Operation, Page};
use bucketdb_log::{Freshness, Log, LogError};

use crate::support::{
    Behaviour, Claims, DEADLINE, SeededEnvironment, Strange, delete_records, is_record, open_in, record_key, set, sleep,
};

async fn open(seed: u64, driver: impl Driver) -> bucketdb_log::Result<Log<Claims>> {
    open_in(SeededEnvironment::new(seed), driver, |options| options.create = seed < 10).await
}

/// Drops the database, of which the log stays, and creates another one behind it.
async fn succeed(store: &MemoryDriver) {
    let first = open(4, store.clone()).await.unwrap();
    set(&first, "a", "1").await.unwrap();
    first.drop_database(DEADLINE).await.unwrap();
    let second = open(2, store.clone()).await.unwrap();
    set(&second, "b", "2").await.unwrap();
    store.delete(&Key::new("db/head").unwrap()).await.unwrap();
}

/// A store that refuses one request for a record or a listing, when so many of them are left before it as the number says.
fn failing(store: &MemoryDriver, after: u64) -> (FaultDriver, Arc<AtomicU64>) {
    let left = Arc::new(AtomicU64::new(after));
    let counted = left.clone();
    let driver = FaultDriver::new(store.clone(), move |operation, subject| {
        let is_looked_for = operation == Operation::List || subject.contains("/log/");
        if is_looked_for && counted.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Fault::Before(ErrorKind::Denied);
        }
        Fault::None
    });
    (driver, left)
}

/// Nothing fails for a long time.
const NEVER: u64 = 1 << 40;

#[tokio::test(start_paused = true)]
async fn an_opening_that_cannot_look_for_a_drop_tells_of_the_store() {
    let store = MemoryDriver::new();
    open(1, store.clone()).await.unwrap();
    succeed(&store).await;
    let mut failed = 0;
    for after in 0.. {
        let (driver, left) = failing(&store, after);
        match open(100 + after, driver).await {
            Ok(log) => {
                let state = log.read(|claims, _| claims.0.clone()).unwrap();
                assert_eq!(state.get("b").map(String::as_str), Some("2"), "after {after}");
                assert!(!state.contains_key("a"), "after {after}");
            }
            Err(LogError::Driver(error)) if error.kind() == ErrorKind::Denied => failed += 1,
            Err(error) => panic!("after {after}: {error}"),
        }
        // Below zero, it begins anew from the top.
        if left.load(Ordering::SeqCst) < NEVER {
            break;
        }
    }
    assert!(failed > 2, "{failed} openings failed");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_look_for_a_drop_asks_again() {
    let mut failed = 0;
    for after in 0.. {
        let store = MemoryDriver::new();
        open(1, store.clone()).await.unwrap();
        let (driver, left) = failing(&store, NEVER);
        let beside = open(3, driver).await.unwrap();
        succeed(&store).await;
        // It stood still for so long that nobody kept for it what it would read next.
        sleep(Duration::from_secs(7_200)).await;
        delete_records(&store, 1..3).await;
        left.store(after, Ordering::SeqCst);
        match beside.refresh(Freshness::Strict).await {
            Err(LogError::Dropped { .. }) => {}
            Err(LogError::Driver(error)) if error.kind() == ErrorKind::Denied => {
                failed += 1;
                let again = beside.refresh(Freshness::Strict).await;
                assert!(matches!(again, Err(LogError::Dropped { .. })), "after {after}: {again:?}");
            }
            other => panic!("after {after}: {other:?}"),
        }
        // Below zero, it begins anew from the top.
        if left.load(Ordering::SeqCst) < NEVER {
            break;
        }
    }
    assert!(failed > 0, "no look failed");
}

#[tokio::test(start_paused = true)]
async fn two_databases_that_follow_each_other_are_two_whatever_their_creators_draw() {
    let store = MemoryDriver::new();
    let first = open(1, store.clone()).await.unwrap();
    first.drop_database(DEADLINE).await.unwrap();
    let second = open(1, store).await.unwrap();
    assert_ne!(first.database(), second.database());
}

/// Some listings show nothing of a position and what is behind it.
#[derive(Debug)]
struct Lagging {
    from: String,
    /// Which of all listings these are.
    lags: Range<u64>,
    made: AtomicU64,
}

#[async_trait]
impl Behaviour for Lagging {
    async fn list(
        &self,
        store: &MemoryDriver,
        prefix: &str,
        continuation: Option<&str>,
    ) -> bucketdb_driver::Result<Page> {
        let mut page = store.list(prefix, continuation).await?;
        if self.lags.contains(&self.made.fetch_add(1, Ordering::SeqCst)) {
            page.objects.retain(|object| !is_record(object.key.as_str()) || object.key.as_str() < self.from.as_str());
        }
        Ok(page)
    }
}

#[tokio::test(start_paused = true)]
async fn an_opening_whose_listings_lag_does_not_call_the_next_database_damaged() {
    let store = MemoryDriver::new();
    open(1, store.clone()).await.unwrap();
    succeed(&store).await;
    let mut opened = 0;
    let cases = (0..4)
        .flat_map(|begin| [4, NEVER].map(|end| (begin, end)))
        .flat_map(|(begin, end)| (2..6).map(move |from| (begin, end, from)));
    for (begin, end, from) in cases {
        let lagging = Lagging { from: record_key(from).as_str().to_owned(), lags: begin..end, made: AtomicU64::new(0) };
        let place = format!("listings {begin} to {end} show nothing from {from} on");
        let log = open(100 + begin, Strange::new(&store, lagging)).await;
        // It may have opened the one before: then it learns of the drop when it reads on.
        let outcome = match &log {
            Ok(log) => log.refresh(Freshness::Strict).await,
            Err(error) => Err(error.clone()),
        };
        match (outcome, log) {
            (Ok(()), Ok(log)) => {
                let b = log.read(|claims, _| claims.0.get("b").cloned()).unwrap();
                assert_eq!(b.as_deref(), Some("2"), "{place}");
                opened += 1;
            }
            (Err(LogError::Dropped { .. }), _) => {}
            // What is there and no listing shows.
            (Err(LogError::Driver(error)), _) if end == NEVER && error.kind() == ErrorKind::Transient => {}
            (Err(LogError::Missing { .. }), _) if end == NEVER => {}
            (outcome, _) => panic!("{place}: {outcome:?}"),
        }
    }
    assert!(opened > 0, "none opened");
}

/// When a listing is asked for, what was there before is removed, as by whoever collects the garbage of the next database.
#[derive(Debug)]
struct Removing {
    left: AtomicU64,
    last: u64,
}

#[async_trait]
impl Behaviour for Removing {
    async fn list(
        &self,
        store: &MemoryDriver,
        prefix: &str,
        continuation: Option<&str>,
    ) -> bucketdb_driver::Result<Page> {
        let page = store.list(prefix, continuation).await?;
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            delete_records(store, 1..self.last + 1).await;
        }
        Ok(page)
    }
}

#[tokio::test(start_paused = true)]
async fn an_opening_under_which_the_beginning_is_removed_does_not_call_the_next_database_damaged() {
    for (left, last) in (0..3).flat_map(|left| (1..6).map(move |last| (left, last))) {
        let store = MemoryDriver::new();
        open(1, store.clone()).await.unwrap();
        succeed(&store).await;
        let removing = Removing { left: AtomicU64::new(left), last };
        let opened = open(100, Strange::new(&store, removing)).await;
        let is_told = !matches!(opened, Err(LogError::Damaged { .. }));
        assert!(is_told, "{last} removed when {left} listings were made: {opened:?}");
    }
}
