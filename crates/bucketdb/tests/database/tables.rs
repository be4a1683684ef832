//! Typed tables: what each call does, and which error says that it did not.

use bucketdb::{Document, Error, LogError, MemoryDriver};
use serde::{Deserialize, Serialize};

use crate::support::{User, in_memory, on, open, order, user};

#[tokio::test]
async fn documents_are_inserted_read_replaced_updated_and_deleted() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    users.insert(&user(1)).await.unwrap();
    assert_eq!(users.get("u_1").await.unwrap(), Some(user(1)));
    let older = User { age: 77, ..user(1) };
    users.put(&older).await.unwrap();
    assert_eq!(users.get("u_1").await.unwrap(), Some(older.clone()));
    let updated = users.update("u_1", |user| user.age += 1).await.unwrap();
    assert_eq!(updated, User { age: 78, ..older });
    assert_eq!(users.get("u_1").await.unwrap(), Some(updated));
    users.delete("u_1").await.unwrap();
    assert_eq!(users.get("u_1").await.unwrap(), None);
    users.delete("u_1").await.unwrap();
}

#[tokio::test]
async fn an_insert_of_a_taken_key_is_refused_and_changes_nothing() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    users.insert(&user(1)).await.unwrap();
    let error = users.insert(&User { age: 99, ..user(1) }).await.unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { table, key } if table == "users" && key == "\"u_1\""));
    assert_eq!(error.to_string(), r#"table users has a document with key "u_1" already"#);
    assert!(!error.is_retryable());
    assert_eq!(users.get("u_1").await.unwrap(), Some(user(1)));
}

#[tokio::test]
async fn an_update_needs_a_document_and_keeps_its_key() {
    let db = in_memory().await;
    let users = db.table::<User>().await.unwrap();
    let error = users.update("u_1", |user| user.age += 1).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    users.insert(&user(1)).await.unwrap();
    let error = users.update("u_1", |user| user.id.push('x')).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidKey { .. }), "{error:?}");
    assert!(error.to_string().contains(r#""u_1" changed the key to "u_1x""#), "{error}");
    assert_eq!(users.get("u_1").await.unwrap(), Some(user(1)));
}

#[tokio::test]
async fn keys_of_several_fields_are_one_key() {
    let db = in_memory().await;
    let orders = db.table::<crate::support::Order>().await.unwrap();
    for (shop, number) in [("b", 1), ("a", 10), ("a", 9)] {
        orders.insert(&order(shop, number, 5)).await.unwrap();
    }
    assert_eq!(orders.get(("a", 9)).await.unwrap(), Some(order("a", 9, 5)));
    assert_eq!(orders.get(("b", 9)).await.unwrap(), None);
    let in_key_order: Vec<_> = orders.query().fetch().await.unwrap();
    assert_eq!(in_key_order, [order("a", 9, 5), order("a", 10, 5), order("b", 1, 5)]);
    assert!(matches!(orders.insert(&order("a", 9, 6)).await, Err(Error::AlreadyExists { .. })));
}

#[tokio::test]
async fn concurrent_updates_of_one_process_lose_nothing() {
    let db = in_memory().await;
    let orders = db.table::<crate::support::Order>().await.unwrap();
    orders.insert(&order("a", 1, 0)).await.unwrap();
    let updates = (0..200).map(|_| {
        let orders = orders.clone();
        async move { orders.update(("a", 1), |order| order.total += 1).await.unwrap() }
    });
    futures::future::join_all(updates).await;
    assert_eq!(orders.get(("a", 1)).await.unwrap().unwrap().total, 200);
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let users = db.table::<User>().await.unwrap();
    for number in 0..50 {
        users.insert(&user(number)).await.unwrap();
    }
    users.delete("u_7").await.unwrap();
    db.close().await.unwrap();
    assert!(matches!(users.put(&user(1)).await, Err(Error::Log(LogError::Closed))));

    let again = open(store).await;
    let users = again.table::<User>().await.unwrap();
    assert_eq!(users.query().count().await.unwrap(), 49);
    assert_eq!(users.get("u_7").await.unwrap(), None);
    assert_eq!(users.get("u_8").await.unwrap(), Some(user(8)));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "users", version = 1)]
struct OtherUser {
    #[document(key)]
    id: String,
    nickname: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "users", version = 2)]
struct NumberedUser {
    #[document(key)]
    id: u64,
}

#[tokio::test]
async fn a_type_that_contradicts_the_registered_schema_is_refused_by_field() {
    let db = in_memory().await;
    db.table::<User>().await.unwrap();
    let error = db.table::<OtherUser>().await.unwrap_err();
    assert!(matches!(error, Error::Schema(_)));
    assert!(error.to_string().contains("nickname"), "{error}");
    let error = db.table::<NumberedUser>().await.unwrap_err();
    assert!(error.to_string().contains("its key is (id integer)"), "{error}");
}

/// A batch once took the name of the table for enough, and wrote keys of another type into it.
#[tokio::test]
async fn a_batch_takes_no_type_whose_schema_is_not_registered() {
    let db = in_memory().await;
    db.table::<User>().await.unwrap();
    let mut batch = db.batch();
    let error = batch.put(&NumberedUser { id: 7 }).unwrap_err();
    assert!(matches!(&error, Error::Schema(_)), "{error}");
    assert!(error.to_string().contains("version 2") && error.to_string().contains("not registered"), "{error}");
    assert!(batch.delete::<NumberedUser>(7).is_err());
    assert!(batch.is_empty());
    batch.put(&user(1)).unwrap();
    batch.commit().await.unwrap();
}

#[tokio::test]
async fn a_read_only_database_reads_and_refuses_writes() {
    let store = MemoryDriver::new();
    let missing = on(store.clone()).read_only(true).open().await.unwrap_err();
    assert!(matches!(missing, Error::Log(LogError::NoDatabase { .. })), "{missing:?}");
    let users = open(store.clone()).await.table::<User>().await.unwrap();
    users.insert(&user(1)).await.unwrap();
    let reader = on(store).read_only(true).open().await.unwrap();
    let users = reader.table::<User>().await.unwrap();
    assert_eq!(users.get("u_1").await.unwrap(), Some(user(1)));
    assert!(matches!(users.put(&user(2)).await, Err(Error::Log(LogError::ReadOnly))));
}

#[tokio::test]
async fn impossible_options_are_refused_with_the_reason() {
    for (builder, reason) in [
        (on(MemoryDriver::new()).node_id(256), "node ids are 0 to 255"),
        (on(MemoryDriver::new()).ring_size(0), "0 is not between 1 and 256"),
        (on(MemoryDriver::new()).ring_size(257), "257 is not between 1 and 256"),
        (on(MemoryDriver::new()).node_id(4).ring_size(4), "does not exist in a ring of 4"),
        (on(MemoryDriver::new()).prefix("a//b"), "empty segment"),
    ] {
        let error = builder.open().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let store = MemoryDriver::new();
    on(store.clone()).ring_size(4).open().await.unwrap();
    let error = on(store.clone()).ring_size(2).open().await.unwrap_err().to_string();
    assert!(error.contains("ring size of 4"), "{error}");
    let error = on(store).prefix("db/inner").open().await.unwrap_err().to_string();
    assert!(error.contains("lies inside the database at prefix \"db/\""), "{error}");
}
