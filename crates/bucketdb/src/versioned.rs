use bucketdb_log::Seq;

/// A document, and which version of it: what a later write can be made to depend on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bucketdb::Error> {
/// # use bucketdb::{Database, Document, Error, MemoryDriver};
/// # #[derive(serde::Serialize, serde::Deserialize, Document)]
/// # #[document(table = "pages")]
/// # struct Page { #[document(key)] path: String, text: String }
/// # let db = Database::builder().driver(MemoryDriver::new()).open().await?;
/// let pages = db.table::<Page>().await?;
/// pages.insert(&Page { path: "/".into(), text: "Hello".into() }).await?;
/// let mut mine = pages.get_versioned("/").await?.unwrap();
/// // Shown to somebody, who thinks about it. Meanwhile:
/// pages.update("/", |page| page.text += ", world").await?;
/// mine.document.text = "Goodbye".into();
/// let outcome = pages.put_if(&mine.document, mine.version).await;
/// assert!(matches!(outcome, Err(Error::VersionMismatch { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The document.
    pub document: T,
    /// The position of the record that wrote it last.
    pub version: Seq,
}
