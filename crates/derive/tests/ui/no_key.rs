use bucketdb_derive::Document;

#[derive(Document)]
struct User {
    id: String,
}

fn main() {}
