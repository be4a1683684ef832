//! Documents and stores that the tests share.

use bucketdb::{
    Database, DatabaseBuilder, Document, Driver, MemoryDriver, MeteredDriver, StoreCheck, TokioEnvironment,
};
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
    Database::builder().driver(driver).prefix("db").store_check(StoreCheck { rounds: 2, racers: 3 })
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
