use bucketdb_derive::Document;

#[derive(Document)]
struct User {
    #[document(key)]
    id: String,
    // The names of the fields differ, those of the columns do not.
    Id: String,
}

fn main() {}
