use bucketdb_derive::Document;

#[derive(Document)]
enum User {
    Admin,
}

fn main() {}
