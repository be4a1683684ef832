//! Documents and stores that the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bucketdb::{
    Database, DatabaseBuilder, Document, Driver, EncryptedDriver, EncryptionKey, EncryptionKeys, Environment,
    MemoryDriver, MeteredDriver, StoreCheck, Table, TokioEnvironment, WallTime,
};
use futures::future::BoxFuture;
use proptest::prelude::ProptestConfig;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "users", version = 1)]
pub(crate) struct User {
    #[document(key)]
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) age: u8,
    pub(crate) address: Option<Address>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) city: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "orders")]
pub(crate) struct Order {
    #[document(key)]
    pub(crate) shop: String,
    #[document(key)]
    pub(crate) number: u64,
    pub(crate) total: i64,
}

/// So many cases of a property; `BUCKETDB_TEST_CASES` times as many if that is set.
pub(crate) fn cases(ordinary: u32) -> ProptestConfig {
    let times = std::env::var("BUCKETDB_TEST_CASES").map_or(1, |times| times.parse().unwrap());
    ProptestConfig::with_cases(ordinary * times)
}

pub(crate) fn user(number: u32) -> User {
    let role = if number.is_multiple_of(3) { "admin" } else { "guest" };
    User {
        id: format!("u_{number}"),
        email: format!("u{number}@example.org"),
        role: role.to_owned(),
        age: (number % 90) as u8,
        address: number.is_multiple_of(2).then(|| Address { city: format!("city {}", number % 5) }),
    }
}

pub(crate) fn order(shop: &str, number: u64, total: i64) -> Order {
    Order { shop: shop.to_owned(), number, total }
}

/// A builder whose trial of the store is short: the thorough one has tests of its own.
pub(crate) fn on(driver: impl Driver) -> DatabaseBuilder {
    let builder = Database::builder().driver(driver).prefix("db").store_check(StoreCheck { rounds: 2, racers: 3 });
    match keys() {
        Some(keys) => builder.encryption(keys),
        None => builder,
    }
}

/// The keys of all databases of the tests, if they are to be encrypted: with `BUCKETDB_TEST_ENCRYPTION=1` in the
/// environment.
pub(crate) fn keys() -> Option<EncryptionKeys> {
    let is_wanted = std::env::var("BUCKETDB_TEST_ENCRYPTION").is_ok_and(|wanted| wanted == "1");
    is_wanted.then(|| EncryptionKeys::new(EncryptionKey::from_bytes([8; 32])))
}

/// A store as the tests' databases see it, whether they are encrypted or not.
pub(crate) fn within(driver: impl Driver) -> Arc<dyn Driver> {
    let driver: Arc<dyn Driver> = Arc::new(driver);
    match keys() {
        Some(keys) => {
            Arc::new(EncryptedDriver::new(driver, keys, Arc::new(TokioEnvironment::new())).relative_to("db/"))
        }
        None => driver,
    }
}

/// The grace of databases that are opened [`on_clock`].
pub(crate) const GRACE_S: u64 = 1_800;

/// Opens a database whose time is a clock's, and which keeps so much of the past.
pub(crate) async fn on_clock(store: &MemoryDriver, clock: &Skipping, history: Option<Duration>) -> Database {
    let builder = on(store.clone()).environment(clock.clone()).staleness(Duration::ZERO);
    let builder = builder.grace(Duration::from_secs(GRACE_S));
    match history {
        Some(history) => builder.history(history).open().await.unwrap(),
        None => builder.open().await.unwrap(),
    }
}

pub(crate) async fn open(driver: impl Driver) -> Database {
    on(driver).open().await.unwrap()
}

pub(crate) async fn in_memory() -> Database {
    open(MemoryDriver::new()).await
}

pub(crate) fn metered(store: &MemoryDriver) -> MeteredDriver {
    MeteredDriver::new(store.clone(), TokioEnvironment::new())
}

/// A new database with so many users.
pub(crate) async fn with_users(count: u32) -> (Database, Table<User>) {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    let mut batch = db.batch();
    for number in 0..count {
        batch.insert(&user(number)).unwrap();
    }
    batch.commit().await.unwrap();
    (db, users)
}

/// An environment whose clocks can be moved on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skipping {
    usual: TokioEnvironment,
    skipped_s: Arc<AtomicU64>,
}

impl Skipping {
    pub(crate) fn skip(&self, seconds: u64) {
        self.skipped_s.fetch_add(seconds, Ordering::Relaxed);
    }

    fn skipped(&self) -> Duration {
        Duration::from_secs(self.skipped_s.load(Ordering::Relaxed))
    }
}

impl Environment for Skipping {
    fn monotonic(&self) -> Duration {
        self.usual.monotonic() + self.skipped()
    }

    fn wall_clock(&self) -> WallTime {
        WallTime(self.usual.wall_clock().0 + self.skipped().as_millis() as u64)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.usual.sleep(duration)
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        self.usual.fill_random(buffer);
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.usual.spawn(task);
    }
}
