//! Documents without a Rust type.

use bucketdb::{Error, KeyType, MemoryDriver, Schema};
use serde_json::{Value, json};

use crate::support::{User, in_memory, open, user};

#[tokio::test]
async fn a_collection_and_a_table_of_one_name_see_the_same_data() {
    let db = in_memory().await;
    let typed = db.table::<User>().await.unwrap();
    let untyped = db.collection("users");
    typed.insert(&user(2)).await.unwrap();
    let expected =
        json!({"id": "u_2", "email": "u2@example.org", "role": "guest", "age": 2, "address": {"city": "city 2"}});
    assert_eq!(untyped.get(&json!("u_2")).await.unwrap(), Some(expected.clone()));
    let mut other = expected;
    other["id"] = json!("u_x");
    untyped.insert(&other).await.unwrap();
    assert_eq!(typed.get("u_x").await.unwrap(), Some(User { id: "u_x".into(), ..user(2) }));
    untyped.put(&json!({"id": "odd", "age": "old"})).await.unwrap();
    let error = typed.get("odd").await.unwrap_err();
    assert!(
        matches!(&error, Error::InvalidDocument { table, key, .. } if table == "users" && key == "\"odd\""),
        "{error}"
    );
}

#[tokio::test]
async fn the_first_document_decides_what_the_key_is() {
    let db = in_memory().await;
    let events = db.collection("events");
    assert_eq!(events.get(&json!(1)).await.unwrap(), None);
    assert_eq!(events.query().count().await.unwrap(), 0);
    assert!(matches!(events.delete(&json!(1)).await, Err(Error::UnknownTable { .. })));
    for bad in [json!({"name": "x"}), json!({"id": 1.5}), json!({"id": null}), json!([1]), json!("x")] {
        assert!(matches!(events.insert(&bad).await, Err(Error::InvalidKey { .. })), "{bad}");
    }
    for too_much in [json!({"id": "x".repeat(5000)}), json!({"id": "a", "text": "x".repeat(9 << 20)})] {
        events.insert(&too_much).await.unwrap_err();
    }
    assert!(db.stats().unwrap().tables.is_empty(), "what could not be stored decides nothing");
    events.insert(&json!({"id": 7, "name": "x"})).await.unwrap();
    let error = events.insert(&json!({"id": "seven"})).await.unwrap_err().to_string();
    assert!(error.contains(r#""seven" is not of type integer"#), "{error}");
    assert_eq!(events.schema().await.unwrap().unwrap().key_types(), [KeyType::Integer]);
    assert_eq!(events.get_by_text("7").await.unwrap().unwrap()["name"], "x");
}

/// The table came into being after the asking process had opened the database: it was looked for too early once.
#[tokio::test]
async fn a_collection_that_somebody_else_made_is_found() {
    let store = MemoryDriver::new();
    let (maker, asker) = (open(store.clone()).await, open(store).await);
    let events = asker.collection("events").with_freshness(bucketdb::Freshness::Strict);
    assert!(events.query().fetch().await.unwrap().is_empty());
    maker.collection("events").insert(&json!({"id": 1})).await.unwrap();
    assert_eq!(events.query().fetch().await.unwrap(), [json!({"id": 1})]);
}

#[tokio::test]
async fn a_collection_can_be_made_with_another_key() {
    let store = MemoryDriver::new();
    let db = open(store.clone()).await;
    let airports = db.create_collection(Schema::open("airports", "icao", KeyType::Text)).await.unwrap();
    airports.insert(&json!({"icao": "LSZB", "city": "Bern"})).await.unwrap();
    let again = open(store).await.collection("airports");
    assert_eq!(again.get_by_text("LSZB").await.unwrap().unwrap()["city"], "Bern");
    assert!(matches!(again.delete_by_text("XXXX").await, Err(Error::NotFound { .. })));
    again.delete_by_text("LSZB").await.unwrap();
    assert_eq!(again.query().count().await.unwrap(), 0);
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let db = in_memory().await;
    let values = db.collection("values");
    let documents = [
        json!({"id": 1, "n": u64::MAX, "i": i64::MIN, "f": 0.1, "e": 1e300, "z": -0.5}),
        json!({"id": 2, "t": "Zoë \u{1f980} \u{0}", "": null, "list": [1, [2, {"a": []}]], "b": true}),
    ];
    for document in &documents {
        values.insert(document).await.unwrap();
    }
    let found: Vec<Value> = values.query().fetch().await.unwrap();
    assert_eq!(found, documents);
}

#[tokio::test]
async fn updates_read_and_write_json() {
    let db = in_memory().await;
    let counters = db.collection("counters");
    counters.insert(&json!({"id": "c", "n": 1})).await.unwrap();
    let updated =
        counters.update(&json!("c"), |counter| counter["n"] = json!(counter["n"].as_i64().unwrap() + 1)).await;
    assert_eq!(updated.unwrap(), json!({"id": "c", "n": 2}));
    assert!(matches!(counters.update(&json!("d"), |_| ()).await, Err(Error::NotFound { .. })));
}
