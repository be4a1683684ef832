use bucketdb_derive::Document;

#[derive(Document)]
struct Größe {
    #[document(key)]
    id: String,
}

fn main() {}
