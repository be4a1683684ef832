//! What a schema may not say.

use bucketdb::{Document, Error, FieldType, KeyType, Presence, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::in_memory;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Address {
    #[serde(rename = "postalCode")]
    zip: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "people", index(address.zip))]
struct ByRustName {
    #[document(key)]
    id: u32,
    address: Option<Address>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "people", index(address.postalCode))]
struct ByStoredName {
    #[document(key)]
    id: u32,
    address: Option<Address>,
}

#[tokio::test]
async fn an_index_over_a_field_that_no_nested_document_has_is_refused() {
    let db = in_memory().await;
    let error = db.table::<ByRustName>().await.unwrap_err();
    assert!(matches!(error, Error::Schema(_)), "{error}");
    let expected = r#"the index "address.zip" is over field "zip" of address"#;
    assert!(error.to_string().contains(expected) && error.to_string().ends_with("postalCode"), "{error}");
    assert_eq!(db.collection("people").schema().await.unwrap(), None, "nothing was registered");
    let people = db.table::<ByStoredName>().await.unwrap();
    people.insert(&ByStoredName { id: 1, address: Some(Address { zip: "3000".into() }) }).await.unwrap();
    let found = people.query().filter_text("address.postalCode = \"3000\"").unwrap();
    assert_eq!(found.by_index("address.postalCode").fetch().await.unwrap().len(), 1);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "people")]
struct Older {
    #[document(key)]
    id: u32,
    age: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "people")]
struct OtherType {
    #[document(key)]
    id: u32,
    age: Option<String>,
}

#[tokio::test]
async fn a_version_that_is_registered_keeps_its_types() {
    let db = in_memory().await;
    let older = db.table::<Older>().await.unwrap();
    older.insert(&Older { id: 1, age: Some(7) }).await.unwrap();
    let error = db.table::<OtherType>().await.unwrap_err();
    let expected = r#"it declares field "age" as text under version 1, which is registered with u8; raise the version"#;
    assert!(matches!(&error, Error::Schema(invalid) if invalid.reason == expected), "{error}");
    assert_eq!(db.table::<Older>().await.unwrap().get(1).await.unwrap(), Some(Older { id: 1, age: Some(7) }));
}

#[tokio::test]
async fn a_schema_is_inferred_from_what_documents_have() {
    let db = in_memory().await;
    let events = db.collection("events");
    let uuid = |id: u64| format!("67e55044-10b1-426f-9247-bb680e5fe0{id:02x}");
    for id in 0..200_u64 {
        let mut event = json!({
            "id": id, "flag": id % 2 == 0, "count": i64::MIN, "big": u64::MAX - id, "ratio": 0.5, "mixed": id, "name": "x",
            "zip": "3000", "token": uuid(id), "at": "2026-01-31T12:00:00Z", "day": "2026-01-31", "tags": ["a"],
            "local": "2026-01-31T12:00:00+01:00", "nothing": null, "either": true,
        });
        match id % 4 {
            0 => event["mixed"] = json!(1.5),
            1 => event["note"] = json!("y"),
            2 => event["either"] = json!("yes"),
            _ => event["name"] = json!(null),
        }
        event[format!("named by {id}")] = json!(1);
        events.put(&event).await.unwrap();
    }
    let inferred = events.infer_schema(150).await.unwrap();
    assert_eq!((inferred.documents, inferred.schema.version()), (150, 1));
    let found: Vec<_> = inferred.schema.fields().iter().map(|field| (&*field.name, field.field_type)).collect();
    let expected = [
        ("id", FieldType::I64),
        ("flag", FieldType::Bool),
        ("count", FieldType::I64),
        ("big", FieldType::U64),
        ("ratio", FieldType::F64),
        ("mixed", FieldType::F64),
        ("name", FieldType::Text),
        ("zip", FieldType::Text),
        ("token", FieldType::Uuid),
        ("at", FieldType::Timestamp),
        ("day", FieldType::Date),
        ("tags", FieldType::Any),
        ("local", FieldType::Text),
        ("either", FieldType::Any),
        ("note", FieldType::Text),
    ];
    assert_eq!(found, expected);
    let of = |name: &str| inferred.schema.fields().iter().find(|field| field.name == name).unwrap().presence;
    assert_eq!((of("id"), of("flag")), (Presence::Required, Presence::Unsaid));
    assert_eq!((of("name"), of("note")), (Presence::Optional, Presence::Optional));
    let counts: Vec<u64> = inferred.fields.iter().map(|field| field.documents).collect();
    assert_eq!((counts[0], counts[6], counts[14]), (150, 113, 38));

    // It can be registered, no document changes by that, and then there is nothing to add.
    let before = events.query().fetch().await.unwrap();
    db.create_collection(inferred.schema.clone()).await.unwrap();
    assert_eq!(events.query().fetch().await.unwrap(), before);
    let again = events.infer_schema(150).await.unwrap();
    assert_eq!(again.schema, inferred.schema);
    assert!(again.fields.iter().all(|field| field.is_declared));
    for document in &before {
        events.put(document).await.unwrap();
    }
    assert_eq!(events.query().fetch().await.unwrap(), before);
    assert_eq!(events.query().filter_text("at = \"2026-01-31T13:00:00+01:00\"").unwrap().count().await.unwrap(), 200);

    // A field that comes later makes another version.
    for id in 0..10 {
        events.patch(&json!(id), &json!({"level": id, "count": "many"})).await.unwrap();
    }
    let more = events.infer_schema(150).await.unwrap();
    assert_eq!((more.schema.version(), more.schema.fields().len()), (2, expected.len() + 1));
    let level = more.fields.last().unwrap();
    assert_eq!((&*level.name, level.field_type, level.documents), ("level", FieldType::I64, 10));
    assert_eq!(more.fields[2].field_type, FieldType::I64, "what is declared stays");
    db.create_collection(more.schema).await.unwrap();
    assert_eq!(events.get(&json!(3)).await.unwrap().unwrap()["count"], "many");
}

#[tokio::test]
async fn a_schema_is_inferred_of_keys_alone_too() {
    let db = in_memory().await;
    let none = db.collection("none").infer_schema(10).await.unwrap_err();
    assert!(matches!(none, Error::UnknownTable { .. }), "{none}");
    let schema = Schema::open("things", "token", KeyType::Uuid);
    let things = db.create_collection(schema).await.unwrap();
    let inferred = things.infer_schema(10).await.unwrap();
    assert_eq!((inferred.documents, inferred.schema.fields()[0].field_type), (0, FieldType::Uuid));
    db.create_collection(inferred.schema).await.unwrap();
}
