//! Options that cannot be, prefixes that may not be, and what a new store costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bucketdb_driver::{
    Condition, DelayDriver, Driver, ErrorKind, Fault, FaultDriver, Key, MemoryDriver, MeteredDriver, Operation,
};
use bucketdb_env::TokioEnvironment;
use bucketdb_log::{Freshness, LogError, NodeId, SlotNames};

use crate::liar::{Lie, liar};
use crate::support::{
    Behaviour, DEADLINE, SeededEnvironment, Strange, keys, open, open_in, open_with, quick_check, set, sleep, spawn,
    within,
};

fn at(prefix: &str) -> impl FnOnce(&mut bucketdb_log::OpenOptions) {
    let prefix = prefix.to_owned();
    move |options| options.prefix = prefix
}

#[tokio::test(start_paused = true)]
async fn options_out_of_range_are_refused_before_anything_is_written() {
    let store = MemoryDriver::new();
    for (ring_size, node, option) in [(0, 0, "ring_size"), (257, 0, "ring_size"), (2, 2, "node_id"), (1, 9, "node_id")]
    {
        let opening = open_with(store.clone(), |options| {
            options.ring_size = Some(ring_size);
            options.node = NodeId(node);
        });
        let error = opening.await.unwrap_err();
        assert!(matches!(error, LogError::InvalidOption { option: found, .. } if found == option), "{error}");
    }
    for prefix in ["/", "a//b", "../x", "a/./b", &"x".repeat(600)] {
        assert!(matches!(open_with(store.clone(), at(prefix)).await, Err(LogError::InvalidPrefix(_))), "{prefix}");
    }
    let default_ring = open_with(store.clone(), |options| options.node = NodeId(1)).await.unwrap_err();
    assert!(matches!(default_ring, LogError::InvalidOption { option: "node_id", .. }), "{default_ring}");
    assert_eq!(keys(&store).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_contradicts_the_database_is_refused() {
    let store = MemoryDriver::new();
    let log = open_with(store.clone(), |options| options.ring_size = Some(3)).await.unwrap();
    let error = open_with(store.clone(), |options| options.ring_size = Some(4)).await.unwrap_err().to_string();
    assert!(error.contains("ring size of 3") && error.contains("set_ring_size"), "{error}");
    assert!(open_with(store.clone(), |options| options.node = NodeId(2)).await.is_ok());
    let error = open_with(store.clone(), |options| options.node = NodeId(3)).await.unwrap_err();
    assert!(matches!(error, LogError::InvalidOption { option: "node_id", .. }), "{error}");

    log.set_ring_size(4, quick_check(), DEADLINE).await.unwrap();
    assert!(open_with(store.clone(), |options| options.node = NodeId(3)).await.is_ok());
    assert!(log.set_ring_size(0, quick_check(), DEADLINE).await.is_err());
    let last = open_with(store.clone(), |options| options.node = NodeId(3)).await.unwrap();
    let error = last.set_ring_size(2, quick_check(), DEADLINE).await.unwrap_err();
    assert!(matches!(error, LogError::InvalidOption { option: "node_id", .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn read_only_writes_nothing_at_all() {
    let store = MemoryDriver::new();
    for (read_only, create) in [(true, true), (false, false)] {
        let change = |options: &mut bucketdb_log::OpenOptions| {
            options.read_only = read_only;
            options.create = create;
        };
        let error = open_with(store.clone(), change).await.unwrap_err();
        assert!(matches!(error, LogError::NoDatabase { .. }) && error.to_string().contains("\"db/\""), "{error}");
    }
    open(store.clone()).await;
    let guarded = FaultDriver::new(store.clone(), |operation, key| match operation {
        Operation::Put | Operation::Delete => panic!("{operation} of {key}"),
        _ => Fault::None,
    });
    let log = open_with(guarded, |options| options.read_only = true).await.unwrap();
    assert!(matches!(set(&log, "a", "1").await, Err(bucketdb_log::CommitError::Log(LogError::ReadOnly))));
    assert!(matches!(log.set_ring_size(2, quick_check(), DEADLINE).await, Err(LogError::ReadOnly)));
    assert!(matches!(log.check_store(quick_check()).await, Err(LogError::ReadOnly)));
}

#[tokio::test(start_paused = true)]
async fn no_database_inside_another_or_around_one() {
    for lie in [Lie::None, Lie::IgnoresCreateOnly] {
        for (outer, inner) in [("", "a"), ("", "a/b/c"), ("a", "a/b"), ("a", "a/b/c/d"), ("", "log"), ("a", "a/log")] {
            for (first, second, relation) in [(outer, inner, "lies inside"), (inner, outer, "contains")] {
                let driver = liar(&MemoryDriver::new(), lie);
                open_with(driver.clone(), at(first)).await.unwrap();
                let error = open_with(driver.clone(), at(second)).await.unwrap_err();
                assert!(
                    matches!(&error, LogError::Nested { relation: found, .. } if *found == relation),
                    "{second:?} beside {first:?}: {error}"
                );
                assert_eq!(keys(&driver.store).await.len(), 1);
                open_with(driver, at(first)).await.unwrap();
            }
        }
    }
    let store = MemoryDriver::new();
    for prefix in ["a/b", "a/bc", "a/b2/c", "b", "ab"] {
        open_with(store.clone(), at(prefix)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn objects_of_others_are_no_databases_and_do_not_hide_one() {
    let store = MemoryDriver::new();
    let put = async |key: String| store.put(&Key::new(key).unwrap(), "x".into(), Condition::Always).await.unwrap();
    // No database can be at a prefix that long, whatever the names below it look like.
    put(format!("db/{}/log/{:020}", "x".repeat(700), 1)).await;
    put(format!("db/blog/{:020}", 1)).await;
    put("db/log/2024-01-01.txt".to_owned()).await;
    open(store.clone()).await;

    // More than a page of somebody else's objects before the first record.
    let store = MemoryDriver::new();
    open_with(store.clone(), at("")).await.unwrap();
    for number in 0..1_100 {
        let key = Key::new(format!("log/0000-{number:04}")).unwrap();
        store.put(&key, "x".into(), Condition::Always).await.unwrap();
    }
    assert!(matches!(open_with(store, at("a")).await, Err(LogError::Nested { .. })));
}

#[tokio::test(start_paused = true)]
async fn two_that_create_a_database_at_the_same_time_share_it() {
    for seed in 0..10 {
        let store = MemoryDriver::new();
        let openers: Vec<_> = (0..3)
            .map(|node| {
                let env = SeededEnvironment::new(seed * 10 + node);
                let slow = DelayDriver::new(store.clone(), env.clone())
                    .reads(Duration::from_millis(1 + node))
                    .writes(Duration::from_millis(2 + seed));
                spawn(open_in(env, slow, |options| options.ring_size = Some(3)))
            })
            .collect();
        let mut databases = Vec::new();
        for opener in openers {
            let log = opener.await.unwrap().unwrap();
            set(&log, "a", "1").await.unwrap();
            databases.push(log.database());
        }
        databases.dedup();
        assert_eq!(databases.len(), 1);
        assert_eq!(keys(&store).await.len(), 4, "a first record, three commits, and nothing of the trials");
    }
}

/// The same store under another name.
#[derive(Debug)]
struct Renamed(&'static str);

#[async_trait]
impl Behaviour for Renamed {
    fn fingerprint(&self, _: &MemoryDriver) -> String {
        self.0.to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_is_tried_once_under_each_name() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let metered = |name| MeteredDriver::new(Strange::new(&store, Renamed(name)), TokioEnvironment::new());
    for (name, tried) in [("one", true), ("one", false), ("two", true), ("two", false), ("one", false)] {
        let meter = metered(name);
        let log = open(meter.clone()).await;
        let records = log.position().0;
        let used = meter.usage();
        if tried {
            assert!(used.requests(Operation::Put) > 16, "{name}: {used:?}");
        } else {
            // `head`, a listing, the first record, and the others in one.
            let gets = if records > 2 { 4 } else { 3 + records - 1 };
            assert_eq!((used.requests(Operation::Put), used.total_requests()), (0, gets), "{name}: {used:?}");
        }
        assert_eq!(keys(&store).await.len() as u64, records, "the trial cleaned up");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_was_moved_to_an_unfit_store_is_refused_there() {
    let store = MemoryDriver::new();
    open(store.clone()).await;
    let driver = Elsewhere(liar(&store, Lie::IgnoresCreateOnly));
    let error = open_with(driver, |_| {}).await.unwrap_err();
    assert!(matches!(error, LogError::UnfitStore { .. }) && error.to_string().contains("elsewhere"), "{error}");
    assert_eq!(keys(&store).await.len(), 1);
}

#[derive(Debug)]
struct Elsewhere(Strange<crate::liar::Liar>);

#[async_trait]
impl Driver for Elsewhere {
    async fn get(&self, key: &Key) -> bucketdb_driver::Result<bucketdb_driver::Object> {
        self.0.get(key).await
    }
    async fn put(
        &self,
        key: &Key,
        body: bytes::Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<bucketdb_driver::ETag> {
        self.0.put(key, body, condition).await
    }
    async fn delete(&self, key: &Key) -> bucketdb_driver::Result<()> {
        self.0.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> bucketdb_driver::Result<bucketdb_driver::Page> {
        self.0.list(prefix, next).await
    }
    fn fingerprint(&self) -> String {
        "elsewhere".to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_offers_no_condition_serves_one_node() {
    let conditionless = NoConditions(MemoryDriver::new());
    let error = open_with(conditionless.clone(), |options| options.ring_size = Some(2)).await.unwrap_err().to_string();
    assert!(error.contains("not offered"), "{error}");
    let log = open(conditionless.clone()).await;
    assert_eq!(log.slot_names(), SlotNames::PerSession);
    set(&log, "a", "1").await.unwrap();
    assert_eq!(keys(&conditionless.0).await.len(), 2);
}

#[derive(Clone, Debug)]
struct NoConditions(MemoryDriver);

#[async_trait]
impl Driver for NoConditions {
    async fn get(&self, key: &Key) -> bucketdb_driver::Result<bucketdb_driver::Object> {
        self.0.get(key).await
    }
    async fn put(
        &self,
        key: &Key,
        body: bytes::Bytes,
        condition: Condition,
    ) -> bucketdb_driver::Result<bucketdb_driver::ETag> {
        if condition == Condition::Always {
            return self.0.put(key, body, condition).await;
        }
        let detail = "this store has no conditions";
        Err(bucketdb_driver::DriverError::new(ErrorKind::Unsupported, Operation::Put, key.as_str(), detail))
    }
    async fn delete(&self, key: &Key) -> bucketdb_driver::Result<()> {
        self.0.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> bucketdb_driver::Result<bucketdb_driver::Page> {
        self.0.list(prefix, next).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_denies_says_so() {
    let store = MemoryDriver::new();
    let denying = FaultDriver::new(store.clone(), |operation, _| match operation {
        Operation::Put => Fault::Before(ErrorKind::Denied),
        _ => Fault::None,
    });
    match open_with(denying, |_| {}).await.unwrap_err() {
        LogError::Driver(error) => assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, Operation::Put)),
        other => panic!("{other}"),
    }
    let blind = FaultDriver::new(store.clone(), |_, _| Fault::Before(ErrorKind::Denied));
    match open_with(blind, |_| {}).await.unwrap_err() {
        LogError::Driver(error) => assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, Operation::List)),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_without_end_is_no_error() {
    open_with(MemoryDriver::new(), |options| options.deadline = Duration::MAX).await.unwrap();
}

/// Takes a time for everything that it is asked.
#[derive(Debug, Default)]
struct Slow(AtomicU64);

impl Slow {
    async fn hold_up(&self) {
        sleep(Duration::from_millis(self.0.load(Ordering::SeqCst))).await;
    }
}

#[async_trait]
impl Behaviour for Slow {
    async fn get(&self, store: &MemoryDriver, key: &Key) -> bucketdb_driver::Result<bucketdb_driver::Object> {
        self.hold_up().await;
        store.get(key).await
    }

    async fn list(
        &self,
        store: &MemoryDriver,
        prefix: &str,
        continuation: Option<&str>,
    ) -> bucketdb_driver::Result<bucketdb_driver::Page> {
        self.hold_up().await;
        store.list(prefix, continuation).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_too_slow_for_the_grace_for_a_while_is_waited_for_but_not_for_ever() {
    let slow = Strange::new(&MemoryDriver::new(), Slow::default());
    let with_grace = |options: &mut bucketdb_log::OpenOptions| options.grace = Some(Duration::from_millis(400));
    let log = open_in(SeededEnvironment::new(1), slow.clone(), with_grace).await.unwrap();
    set(&log, "a", "1").await.unwrap();
    // What a listing says is older than half a grace by the time that the next record was asked for.
    slow.behaviour.0.store(150, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    let store = slow.clone();
    spawn(async move {
        sleep(Duration::from_secs(4)).await;
        store.behaviour.0.store(1, Ordering::SeqCst);
    });
    within(Duration::from_secs(5), log.refresh(Freshness::Strict)).await.unwrap();
    assert_eq!(slow.behaviour.0.load(Ordering::SeqCst), 1, "it was waited for");

    slow.behaviour.0.store(150, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    let error = within(Duration::from_secs(60), log.refresh(Freshness::Strict)).await.unwrap_err();
    assert!(error.to_string().contains("too slow for a grace of 400ms"), "{error}");
    slow.behaviour.0.store(1, Ordering::SeqCst);
    log.refresh(Freshness::Strict).await.unwrap();
}
