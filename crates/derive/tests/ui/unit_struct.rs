use bucketdb_derive::Document;

#[derive(Document)]
struct User;

fn main() {}
