use bucketdb_derive::Document;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Document)]
struct User {
    #[document(key)]
    #[serde(skip)]
    id: String,
}

fn main() {}
