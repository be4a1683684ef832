use bucketdb_derive::Document;

#[derive(Document)]
struct User<T> {
    #[document(key)]
    id: String,
    extra: T,
}

fn main() {}
