use bucketdb_derive::Document;

#[derive(Document)]
union User {
    id: u64,
}

fn main() {}
