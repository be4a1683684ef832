use bucketdb_derive::Document;

#[derive(Document)]
struct User(String);

fn main() {}
