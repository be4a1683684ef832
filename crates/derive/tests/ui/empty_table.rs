use bucketdb_derive::Document;

#[derive(Document)]
#[document(table = "")]
struct User {
    #[document(key)]
    id: String,
}

fn main() {}
