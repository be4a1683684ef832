use bucketdb_derive::Document;

#[derive(Document)]
#[document(table = "a_table_whose_name_goes_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on_and_ends_here")]
struct User {
    #[document(key)]
    id: String,
}

fn main() {}
