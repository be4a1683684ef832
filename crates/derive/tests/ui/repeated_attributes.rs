use bucketdb_derive::Document;

#[derive(Document)]
#[document(table = "users", table = "people")]
struct User {
    #[document(key, key)]
    id: String,
}

fn main() {}
