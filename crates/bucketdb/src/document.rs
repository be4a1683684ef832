use serde::Serialize;
use serde::de::DeserializeOwned;

use bucketdb_documents::{DocumentKey, Schema};

/// A Rust type whose values are the documents of a table. Derive it:
///
/// ```
/// use bucketdb::Document;
///
/// #[derive(serde::Serialize, serde::Deserialize, Document)]
/// #[document(table = "orders", version = 1)]
/// struct Order {
///     #[document(key)]
///     number: u64,
///     customer: String,
/// }
///
/// assert_eq!(Order::schema().table(), "orders");
/// ```
pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type of the primary key; a tuple if several fields are marked.
    type Key: DocumentKey;

    /// What is registered in the database.
    fn schema() -> Schema;

    /// This document's primary key.
    fn key(&self) -> Self::Key;
}
