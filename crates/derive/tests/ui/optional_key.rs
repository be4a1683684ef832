use bucketdb_derive::Document;

#[derive(Document)]
struct User {
    #[document(key)]
    id: Option<String>,
}

fn main() {}
