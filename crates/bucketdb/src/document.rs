use serde::Serialize;
use serde::de::DeserializeOwned;

use bucketdb_documents::row::RowError;
use bucketdb_documents::{DocumentKey, Schema};

use crate::EarlierDocument;

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

    /// Whether [`from_earlier`](Self::from_earlier) makes documents of this version of those of earlier ones. Otherwise what
    /// the schemas declare says it all.
    const HAS_STEP: bool = false;

    /// Makes a document of this version of one of an earlier version; asked only if [`HAS_STEP`](Self::HAS_STEP) says so.
    ///
    /// # Errors
    /// If the earlier one has not the shape that is expected.
    fn from_earlier(earlier: &EarlierDocument<'_>) -> Result<Self, RowError> {
        earlier.read()
    }
}
