use bucketdb_derive::Document;

#[derive(Document)]
#[document(version = 0)]
struct User {
    #[document(key)]
    id: String,
}

fn main() {}
