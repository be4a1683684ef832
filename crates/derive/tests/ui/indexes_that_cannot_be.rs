use bucketdb_derive::Document;

#[derive(Document)]
#[document(index)]
struct WithoutFields {
    #[document(key)]
    id: String,
    #[document(unique, index)]
    email: String,
}

#[derive(Document)]
#[document(index(town))]
struct WithoutTown {
    #[document(key)]
    id: String,
}

#[derive(Document)]
#[document(index(id upwards))]
struct Upwards {
    #[document(key)]
    id: String,
}

fn main() {}
