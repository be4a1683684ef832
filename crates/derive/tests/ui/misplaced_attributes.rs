use bucketdb_derive::Document;

#[derive(Document)]
#[document(key)]
struct User {
    #[document(table = "users")]
    id: String,
}

fn main() {}
