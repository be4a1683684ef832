//! What a schema may not say.

use bucketdb::{Document, Error};
use serde::{Deserialize, Serialize};

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
