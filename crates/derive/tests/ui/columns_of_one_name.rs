use bucketdb_derive::Document;

#[derive(Document)]
struct User {
    #[document(key)]
    id: String,
    #[allow(non_snake_case)]
    Id: String,
}

fn main() {}
