//! What commands ask about the table that they are for.

use bucketdb::{Collection, Database, Error, Schema};

use crate::failure::Failure;

/// A table that must exist, with its schema.
pub(super) async fn existing_table(db: &Database, name: &str) -> Result<(Collection, Schema), Failure> {
    let collection = db.collection(name);
    match collection.schema().await? {
        Some(schema) => Ok((collection, schema)),
        None => Err(Error::UnknownTable { table: name.to_owned() }.into()),
    }
}

/// The names of the fields of a table's key.
pub(super) fn key_names(schema: &Schema) -> Vec<String> {
    schema.key().iter().map(|field| field.name.clone()).collect()
}
