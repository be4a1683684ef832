use bucketdb_derive::Document;
use serde::{Deserialize, Serialize};

#[derive(Document)]
#[document(table = "users", rename = "people")]
struct OnTheStruct {
    #[document(key)]
    id: String,
}

#[derive(Document)]
#[document(table = "users", rename_all = "camelCase")]
struct AllOfThem {
    #[document(key)]
    id: String,
}

#[derive(Serialize, Deserialize, Document)]
#[serde(rename_all = "camelCase")]
struct User {
    #[document(key)]
    id: String,
    #[document(rename = "mail")]
    mail_address: String,
    #[serde(rename = "years")]
    #[document(rename = "age")]
    age: u8,
    #[serde(skip)]
    #[document(rename = "cached")]
    cache: u8,
}

fn main() {}
