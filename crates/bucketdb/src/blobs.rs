mod claiming;
mod keeping;
mod reader;
mod upload;

use std::path::Path;
use std::time::Duration;

use bucketdb_documents::{Blob, blob_name, blobs_of_row};
use bucketdb_driver::Key;
use bytes::Bytes;
use futures::Stream;

use crate::{Database, Error, Result};

pub(crate) use self::claiming::blob_expired;
pub(crate) use self::keeping::Superfluous;
pub use self::reader::BlobReader;

/// Where blobs of a database are uploaded and read: bytes of any length, each in an object of its own. Cheap to clone.
///
/// A blob is uploaded first, and belongs to the first document that is written with it, in a field of type [`Blob`], or as its
/// text anywhere in a document. It leaves with the document that refers to it: once nothing does, neither now nor at a
/// position or [snapshot](Database::create_snapshot) that can still be read, its object is removed. One that no document ever
/// referred to, because the upload or the commit failed or the process was killed, is removed by a [sweep](Database::sweep).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bucketdb::Error> {
/// use bucketdb::{Blob, Database, Document, MemoryDriver};
///
/// #[derive(serde::Serialize, serde::Deserialize, Document)]
/// #[document(table = "photos")]
/// struct Photo {
///     #[document(key)]
///     id: u64,
///     image: Blob,
/// }
///
/// let db = Database::builder().driver(MemoryDriver::new()).open().await?;
/// let photos = db.table::<Photo>().await?;
/// let image = db.blobs().upload("as many bytes as you like").await?;
/// photos.insert(&Photo { id: 1, image }).await?;
///
/// let photo = photos.get(1).await?.unwrap();
/// let image = db.blobs().open(&photo.image)?;
/// assert_eq!(image.bytes().await?, "as many bytes as you like");
/// assert_eq!(image.range(3..7).await?, "many");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Blobs {
    db: Database,
}

impl Database {
    /// The blobs.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        Blobs { db: self.clone() }
    }
}

impl Blobs {
    /// Uploads bytes: one put, and for more than 8 MiB one to take the place and the store's upload in parts. Nothing refers to
    /// the blob yet: write a document with it.
    ///
    /// A sweep that begins after the upload did removes what no document refers to: then writing the document ends in
    /// [`Error::BlobExpired`], and the blob has to be uploaded again. An upload of more than 64 MiB, or of a stream of more
    /// than 8 MiB, which may take long, is announced in the log by two more puts, so that sweeps spare it until it has
    /// ended.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn upload(&self, content: impl Into<Bytes>) -> Result<Blob> {
        upload::bytes(&self.db.inner, content.into()).await
    }

    /// Uploads what a stream gives, whatever its length, a few megabytes of which are in memory at a time; see
    /// [`upload`](Self::upload).
    ///
    /// # Errors
    /// [`Error::BlobSource`] if the stream fails, or if it has more than 5 TiB; otherwise if the store fails. It is not tried
    /// again, since a stream cannot be read twice.
    pub async fn upload_stream<E: ToString>(
        &self,
        pieces: impl Stream<Item = std::result::Result<Bytes, E>> + Send,
    ) -> Result<Blob> {
        upload::stream(&self.db.inner, pieces).await
    }

    /// Uploads a file; see [`upload_stream`](Self::upload_stream).
    ///
    /// # Errors
    /// [`Error::BlobSource`] if it cannot be read; otherwise if the store fails.
    pub async fn upload_file(&self, path: impl AsRef<Path>) -> Result<Blob> {
        upload::file(&self.db.inner, path.as_ref()).await
    }

    /// The blobs of this database to which a text refers, such as a document as JSON, each once. No request.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), bucketdb::Error> {
    /// # let db = bucketdb::Database::builder().driver(bucketdb::MemoryDriver::new()).open().await?;
    /// let blob = db.blobs().upload("as many bytes as you like").await?;
    /// let document = serde_json::json!({"id": 1, "photos": [{"of": "Ann", "content": blob}]});
    /// assert_eq!(db.blobs().find_in(&document.to_string()), [blob]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn find_in(&self, text: &str) -> Vec<Blob> {
        blobs_of_row(text.as_bytes(), self.db.inner.log.database())
    }

    /// To read a blob that a document refers to. No request.
    ///
    /// # Errors
    /// [`Error::ForeignBlob`] if it was not uploaded to this database.
    pub fn open(&self, blob: &Blob) -> Result<BlobReader> {
        let key = self.key(blob)?;
        Ok(BlobReader::new(self.db.inner.clone(), *blob, key))
    }

    /// A URL with which anyone can read the blob for that long, without credentials. It tells where the object is, as nothing
    /// else does.
    ///
    /// # Errors
    /// [`Error::ForeignBlob`] as of [`open`](Self::open); an error of the kind [`Unsupported`](crate::ErrorKind::Unsupported)
    /// if the store has no such URLs.
    pub async fn url(&self, blob: &Blob, expires_in: Duration) -> Result<String> {
        let key = self.key(blob)?;
        Ok(self.db.inner.log.timed_driver().presign_get(&key, expires_in).await?)
    }

    fn key(&self, blob: &Blob) -> Result<Key> {
        let log = &self.db.inner.log;
        if !blob.is_of(log.database()) {
            return Err(Error::ForeignBlob { blob: *blob });
        }
        Ok(log.layout().key(&blob_name(blob)))
    }
}
