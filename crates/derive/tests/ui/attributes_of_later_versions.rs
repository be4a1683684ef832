use bucketdb_derive::Document;

#[derive(Document)]
#[document(default = "1d")]
struct User {
    #[document(key)]
    id: String,
    #[document(default = "18")]
    age: u8,
    #[document(rename = "nickname")]
    nick: String,
}

fn main() {}
