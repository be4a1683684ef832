use bucketdb_derive::Document;

#[derive(Document)]
#[document(table = "my users")]
struct User {
    #[document(key)]
    id: String,
}

fn main() {}
