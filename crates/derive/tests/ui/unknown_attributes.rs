use bucketdb_derive::Document;

#[derive(Document)]
#[document(tabel = "users")]
struct User {
    #[document(primary)]
    id: String,
}

fn main() {}
