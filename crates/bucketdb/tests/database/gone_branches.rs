//! What is left of a branch that is gone: by those who dropped it and did not wait, and by those who had not heard of
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb::{
    Capabilities, Condition, Database, DatabaseBuilder, Driver, ETag, EncryptionKey, EncryptionKeys, Environment,
    Error, ErrorKind, Fault, FaultDriver, Freshness, Key, LogError, MemoryDriver, MeteredDriver, Object, Operation,
    Page, TokioEnvironment,
};
use bytes::Bytes;

use crate::branches::put;
use crate::support::{GRACE_S, Skipping, keys as usual_keys, on};

const GRACE: Duration = Duration::from_secs(GRACE_S);

/// A store that tells the time, or does not.
#[derive(Clone, Debug)]
struct Told {
    store: MemoryDriver,
    clock: Skipping,
    tells: bool,
}

#[async_trait]
impl Driver for Told {
    async fn get(&self, key: &Key) -> Result<Object, bucketdb::DriverError> {
        self.store.get(key).await
    }
    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag, bucketdb::DriverError> {
        self.store.put(key, body, condition).await
    }
    async fn delete(&self, key: &Key) -> Result<(), bucketdb::DriverError> {
        self.store.delete(key).await
    }
    async fn list(&self, prefix: &str, next: Option<&str>) -> Result<Page, bucketdb::DriverError> {
        self.store.list(prefix, next).await
    }
    async fn server_time(&self) -> Result<Option<SystemTime>, bucketdb::DriverError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(self.clock.wall_clock().0);
        Ok(self.tells.then_some(now))
    }
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new();
        capabilities.server_time = self.tells;
        capabilities
    }
}

/// A store, a clock that all processes have, and how they open what is there.
#[derive(Clone)]
struct Bucket {
    driver: Told,
    is_encrypted: bool,
}

impl Bucket {
    fn new(tells: bool, is_encrypted: bool) -> Self {
        let driver = Told { store: MemoryDriver::new(), clock: Skipping::default(), tells };
        Self { driver, is_encrypted }
    }

    fn builder_on(&self, driver: impl Driver) -> DatabaseBuilder {
        let builder = on(driver).environment(self.driver.clock.clone()).staleness(Duration::ZERO).grace(GRACE);
        match self.is_encrypted && usual_keys().is_none() {
            true => builder.encryption(EncryptionKeys::new(EncryptionKey::from_bytes([3; 32]))),
            false => builder,
        }
    }

    /// Another process opens the database, or a branch of it.
    async fn open(&self, path: &str) -> Database {
        let builder = self.builder_on(self.driver.clone());
        if path.is_empty() { builder.open().await.unwrap() } else { builder.branch(path).open().await.unwrap() }
    }

    /// What is left of branches.
    async fn left(&self) -> Vec<String> {
        let page = self.driver.store.list("db/branch/", None).await.unwrap();
        assert!(page.next.is_none());
        page.objects.into_iter().map(|listed| listed.key.as_str().to_owned()).collect()
    }

    /// Whether nothing is left of so many branches but what says that they are gone.
    async fn assert_empty(&self, branches: usize) {
        let left = self.left().await;
        let records = left.iter().filter(|key| key.contains("/log/")).count();
        let origins = left.iter().filter(|key| key.ends_with("/origin")).count();
        assert!(records == branches && origins <= branches && records + origins == left.len(), "{left:#?}");
    }

    /// Somebody who has not heard that a branch was dropped writes a run and a manifest, and is killed before it hears
    /// of it.
    async fn writer(&self, path: &str) -> (Database, Arc<AtomicBool>) {
        let is_killed = Arc::new(AtomicBool::new(false));
        let rule = is_killed.clone();
        let driver = FaultDriver::new(self.driver.clone(), move |operation, subject| {
            let is_log = subject.contains("/log/") || operation == Operation::Delete;
            if is_log && rule.load(Ordering::SeqCst) { Fault::Before(ErrorKind::Denied) } else { Fault::None }
        });
        let db = self.builder_on(driver).branch(path).open().await.unwrap();
        (db, is_killed)
    }
}

async fn leave_late_objects(bucket: &Bucket, (writer, is_killed): (Database, Arc<AtomicBool>)) {
    is_killed.store(true, Ordering::SeqCst);
    writer.checkpoint().await.unwrap_err();
    let left = bucket.left().await;
    for kind in ["/run/", "/manifest/"] {
        assert!(left.iter().any(|key| key.contains(kind)), "{left:#?}");
    }
}

#[tokio::test]
async fn a_sweep_removes_what_late_writers_left_and_the_records_once_the_grace_is_over() {
    for (tells, is_encrypted) in [(false, false), (true, false), (true, true)] {
        let bucket = Bucket::new(tells, is_encrypted);
        let db = bucket.open("").await;
        put(&db, 1, 1).await;
        db.create_branch("x").await.unwrap();
        let late = bucket.writer("x").await;
        for n in 0..10 {
            put(&late.0, n, n).await;
        }
        let hearer = bucket.open("x").await;
        let report = db.drop_branch("x").await.unwrap();
        assert!(report.records_left > 10 && report.is_dated == tells, "{report:?}");
        leave_late_objects(&bucket, late).await;

        bucket.driver.clock.skip(GRACE_S / 2);
        let swept = db.sweep().await.unwrap();
        assert!(swept.removed >= 2 && swept.looked_at >= swept.removed + report.records_left, "{swept:?}");
        assert!(swept.next_due.is_some_and(|left| left <= GRACE / 2), "{swept:?}");
        let left = bucket.left().await;
        assert!(left.iter().all(|key| !key.contains("/run/")), "{left:#?}");
        assert_eq!(left.iter().filter(|key| key.contains("/log/")).count() as u64, report.records_left + 1);

        bucket.driver.clock.skip(GRACE_S / 2 + 1);
        // Where the store tells the time, another process knows it as well.
        let other = if tells { bucket.open("").await } else { db.clone() };
        let swept = other.sweep().await.unwrap();
        assert!(swept.removed >= report.records_left && swept.next_due.is_none(), "{swept:?}");
        bucket.assert_empty(1).await;
        let heard = hearer.refresh(Freshness::Strict).await;
        assert!(matches!(heard, Err(Error::Log(LogError::Dropped { .. }))), "{heard:?}");
        assert_eq!(other.sweep().await.unwrap().looked_at, 0);
    }
}

#[tokio::test]
async fn a_branch_that_is_gone_and_empty_costs_nothing_and_one_that_is_there_one_listing() {
    let bucket = Bucket::new(false, false);
    let meter = MeteredDriver::new(bucket.driver.store.clone(), TokioEnvironment::new());
    let db = bucket.builder_on(meter.clone()).open().await.unwrap();
    put(&db, 1, 1).await;
    let cost = async || {
        let before = meter.usage();
        let swept = db.sweep().await.unwrap();
        ((meter.usage() - before).total_requests(), swept.removed)
    };
    let (alone, _) = cost().await;
    let mut records = 0;
    for round in 0..5 {
        let name = format!("x{}", round % 3);
        db.create_branch(&name).await.unwrap();
        put(&bucket.open(&name).await, 1, round).await;
        records += db.drop_branch(&name).await.unwrap().records_left;
    }
    let (found, removed) = cost().await;
    assert!(removed == 0 && (alone + 5 * 8..=alone + 5 * 11).contains(&found), "{found} requests, {alone} before");
    bucket.driver.clock.skip(GRACE_S + 1);
    assert_eq!(cost().await.1, records);
    assert_eq!(cost().await, (alone, 0));
    let before = meter.usage();
    db.collect_garbage().await.unwrap();
    assert_eq!((meter.usage() - before).total_requests(), 0);

    // Some pages of objects of one that is there, and one of its branches, are passed over.
    db.create_branch("there").await.unwrap();
    let there = bucket.open("there").await;
    put(&there, 2, 2).await;
    there.create_branch("below").await.unwrap();
    let objects = bucket.left().await.into_iter().filter(|key| key.starts_with("db/branch/there/"));
    let folders: Vec<String> = objects.filter_map(|key| Some(key.rsplit_once("/log/")?.0.to_owned())).collect();
    assert!(folders.len() >= 2, "{folders:?}");
    for (number, folder) in folders.iter().cycle().take(5_000).enumerate() {
        let key = Key::new(format!("{folder}/run/{:020}-{number:032x}", 900)).unwrap();
        bucket.driver.store.put(&key, "run".into(), Condition::Always).await.unwrap();
    }
    let (found, removed) = cost().await;
    assert!(removed == 0 && found <= alone + 2, "{found} requests, {alone} before");
}

#[tokio::test]
async fn each_sees_to_its_own_branches_and_a_name_can_be_used_again_meanwhile() {
    let bucket = Bucket::new(true, false);
    let db = bucket.open("").await;
    put(&db, 1, 1).await;
    db.create_branch("x").await.unwrap();
    let x = bucket.open("x").await;
    put(&x, 2, 2).await;
    x.create_branch("y").await.unwrap();
    let late = [bucket.writer("x").await, bucket.writer("x/y").await];
    for (writer, _) in &late {
        put(writer, 3, 3).await;
    }
    bucket.builder_on(bucket.driver.clone()).branch("x/y").drop_database("db/branch/x/branch/y", false).await.unwrap();
    db.drop_branch("x").await.unwrap();
    for writer in late {
        leave_late_objects(&bucket, writer).await;
    }
    // Another one of the name, which has a branch of the same name as well.
    db.create_branch("x").await.unwrap();
    let x = bucket.open("x").await;
    put(&x, 4, 4).await;
    x.create_branch("y").await.unwrap();
    let y = bucket.open("x/y").await;
    put(&y, 5, 5).await;
    y.checkpoint().await.unwrap();
    bucket.driver.clock.skip(GRACE_S + 1);
    let before = bucket.left().await;
    let below = |keys: &[String]| keys.iter().filter(|key| key.starts_with("db/branch/x/branch/")).count();
    assert!(db.sweep().await.unwrap().removed > 0);
    let between = bucket.left().await;
    assert!(between.len() < before.len() && below(&between) == below(&before), "{between:#?}");
    assert!(x.sweep().await.unwrap().removed > 0);
    let left = bucket.left().await;
    assert!(below(&left) < below(&before), "{left:#?}");
    for (path, expected) in [("x", &x), ("x/y", &y)] {
        let opened = bucket.open(path).await;
        assert_eq!(crate::branches::shown(&opened).await, crate::branches::shown(expected).await);
        assert!(opened.verify(|_| ()).await.unwrap().is_clean());
    }
    // What is left of the former ones is one record each.
    for db in [&x, &db] {
        assert_eq!(db.sweep().await.unwrap().removed, 0);
    }
    for (path, db) in [("db/branch/x/", &db), ("db/branch/x/branch/y/", &x)] {
        let there = db.branches().await.unwrap().len();
        let is_own = |key: &&String| key.strip_prefix(path).is_some_and(|rest| rest.as_bytes().get(32) == Some(&b'/'));
        let mut ids: Vec<&str> =
            left.iter().filter(is_own).filter_map(|key| key.get(path.len()..path.len() + 32)).collect();
        ids.dedup();
        assert_eq!((there, ids.len()), (1, 2), "{left:#?}");
        let least = ids.iter().map(|id| left.iter().filter(|key| key.contains(*id)).count()).min();
        assert_eq!(least, Some(1), "{left:#?}");
    }
}

#[tokio::test]
async fn dropping_the_database_again_removes_what_its_branches_left() {
    let bucket = Bucket::new(true, true);
    let db = bucket.open("").await;
    put(&db, 1, 1).await;
    db.create_branch("x").await.unwrap();
    let x = bucket.open("x").await;
    put(&x, 2, 2).await;
    x.create_branch("y").await.unwrap();
    let late = [bucket.writer("x").await, bucket.writer("x/y").await];
    for (writer, _) in &late {
        put(writer, 3, 3).await;
    }
    assert_eq!(db.drop_database("db").await.unwrap().held_by, ["x"]);
    let drop = async |path: &str, name: &str| {
        let builder = bucket.builder_on(bucket.driver.clone());
        let builder = if path.is_empty() { builder } else { builder.branch(path) };
        builder.drop_database(name, false).await.unwrap()
    };
    drop("x/y", "db/branch/x/branch/y").await;
    drop("x", "db/branch/x").await;
    for writer in late {
        leave_late_objects(&bucket, writer).await;
    }
    let report = drop("", "db").await;
    assert!(report.removed >= 4 && report.records_left > 0 && report.is_dated, "{report:?}");
    bucket.driver.clock.skip(GRACE_S + 1);
    let report = drop("", "db").await;
    assert!(report.removed > 0 && report.next_due.is_none(), "{report:?}");
    bucket.assert_empty(2).await;
    assert_eq!(drop("", "db").await.removed, 0);
    // The next one at this place has branches of the same names.
    let next = bucket.open("").await;
    put(&next, 7, 7).await;
    next.create_branch("x").await.unwrap();
    assert_eq!(crate::branches::shown(&bucket.open("x").await).await.len(), 1);
    next.sweep().await.unwrap();
    assert_eq!(crate::branches::shown(&bucket.open("x").await).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_database_to_be_gone_waits_for_its_branches_too() {
    let store = MemoryDriver::new();
    let open = |path: &str| {
        let builder = on(store.clone()).grace(GRACE);
        if path.is_empty() { builder } else { builder.branch(path) }
    };
    let db = open("").open().await.unwrap();
    put(&db, 1, 1).await;
    db.create_branch("x").await.unwrap();
    put(&open("x").open().await.unwrap(), 2, 2).await;
    db.drop_branch("x").await.unwrap();
    let report = open("").drop_database("db", true).await.unwrap();
    assert_eq!((report.records_left, report.next_due), (0, None));
    let page = store.list("", None).await.unwrap();
    assert_eq!(page.objects.len(), 3, "{:#?}", page.objects);
}
