use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::read::{OpenObject, read_cached};
use super::root::Root;
use super::walk;
use super::write::{self, Upload};
use crate::{
    Capabilities, Condition, Driver, DriverError, ETag, ErrorKind, Key, Object, Operation, Page, Result, Support,
};

/// How much of a streamed object is in memory at a time, in bytes.
const STREAM_PIECE_BYTES: u64 = 1 << 20;

/// Objects in the files of a folder, shared by any number of processes of one machine.
///
/// `log/00000000000000000001` is the file `log/00000000000000000001.object`. Upper case, non-ASCII and other
/// characters that some file system would change are written as `%` and hex digits, and very long segments are spread
/// over nested folders. A file holds the object's bytes followed by 32 of the driver's own, with length and ETag.
///
/// Conditions hold between processes, drivers and tasks: a hard link creates, a lock orders replacements. A put or
/// delete is acknowledged once the file and its folder are synced. A writer that is killed leaves no partial object;
/// its temporary file is removed when the folder is next opened. The folder must lie on a file system with hard links
/// and `flock`, as all the usual local ones have. A network file system keeps the promises only as far as it does for
/// these two.
///
/// Folders stay when their last object is deleted.
///
/// Its methods must be called on a tokio runtime: what may wait for the disk runs on the runtime's blocking threads.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use bucketdb_driver::{Condition, Driver, FileDriver, Key};
///
/// let store = FileDriver::new(folder.path().join("my-db"))?;
/// let key = Key::new("greeting")?;
/// store.put(&key, "hello".into(), Condition::Always).await?;
/// let reopened = FileDriver::new(folder.path().join("my-db"))?;
/// assert_eq!(reopened.get(&key).await?.body, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileDriver {
    root: Arc<Root>,
}

/// A folder cannot hold objects.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the folder {} as a store", path.display())]
struct UnusableFolder {
    path: PathBuf,
    source: std::io::Error,
}

impl FileDriver {
    /// Opens a folder, making it and those above it if they are missing. This may wait for the disk.
    ///
    /// A folder that can be read but not written is opened too: then puts and deletes are
    /// [denied](ErrorKind::Denied).
    ///
    /// # Errors
    /// If the folder can be neither made nor read. The error names it and chains the reason.
    pub fn new(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let path = path.as_ref();
        let root = Root::open(path)
            .map_err(|source| std::io::Error::new(source.kind(), UnusableFolder { path: path.to_owned(), source }))?;
        Ok(Self { root: Arc::new(root) })
    }

    /// Runs `job` where it may wait for the disk. If the caller goes away the job still runs to its end.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: Operation,
        subject: &str,
        job: impl FnOnce(&Arc<Root>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let root = Arc::clone(&self.root);
        tokio::task::spawn_blocking(move || job(&root)).await.unwrap_or_else(|error| {
            let detail = "the thread that was to do it did not finish";
            Err(DriverError::new(ErrorKind::Transient, operation, subject, detail).with_source(error))
        })
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object> {
        if let Some(result) = read_cached(&self.root, key, range.as_ref()) {
            return result;
        }
        let wanted = key.clone();
        self.blocking(Operation::Get, key.as_str(), move |root| {
            let object = OpenObject::open(root, &wanted)?;
            let body = object.read(&wanted, range.unwrap_or(0..object.body_bytes))?;
            Ok(Object { body, etag: object.etag })
        })
        .await
    }

    async fn page(&self, prefix: &str, after: &str) -> Result<Page> {
        let (wanted, after) = (prefix.to_owned(), after.to_owned());
        self.blocking(Operation::List, prefix, move |root| walk::page(root, &wanted, &after)).await
    }
}

#[async_trait]
impl Driver for FileDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        self.read(key, None).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        let wanted = key.clone();
        self.blocking(Operation::Put, key.as_str(), move |root| {
            let mut upload = Upload::begin(root, wanted, condition)?;
            upload.write(&body)?;
            upload.finish()
        })
        .await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let wanted = key.clone();
        self.blocking(Operation::Delete, key.as_str(), move |root| write::delete(root, &[wanted])).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.page(prefix, continuation.unwrap_or_default()).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.page(prefix, after.as_str()).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        self.read(key, Some(range)).await
    }

    /// Reads the object that is there now to its end, even if it is replaced or deleted meanwhile.
    async fn get_stream(&self, key: &Key) -> Result<BoxStream<'_, Result<Bytes>>> {
        let wanted = key.clone();
        let object = self
            .blocking(Operation::Get, key.as_str(), move |root| OpenObject::open(root, &wanted).map(Arc::new))
            .await?;
        let key = key.clone();
        let pieces = stream::try_unfold(0, move |offset| {
            let (object, key) = (Arc::clone(&object), key.clone());
            async move {
                if offset >= object.body_bytes {
                    return Ok(None);
                }
                let subject = key.clone();
                let read = move |_: &Arc<Root>| object.read(&key, offset..offset + STREAM_PIECE_BYTES);
                let piece = self.blocking(Operation::Get, subject.as_str(), read).await?;
                Ok(Some((piece, offset + STREAM_PIECE_BYTES)))
            }
        });
        Ok(pieces.boxed())
    }

    async fn put_stream(
        &self,
        key: &Key,
        mut pieces: BoxStream<'_, Result<Bytes>>,
        condition: Condition,
    ) -> Result<ETag> {
        let wanted = key.clone();
        let begin = move |root: &Arc<Root>| Upload::begin(root, wanted, condition);
        let mut upload = self.blocking(Operation::Put, key.as_str(), begin).await?;
        while let Some(piece) = pieces.try_next().await? {
            let write = move |_: &Arc<Root>| {
                upload.write(&piece)?;
                Ok(upload)
            };
            upload = self.blocking(Operation::Put, key.as_str(), write).await?;
        }
        self.blocking(Operation::Put, key.as_str(), move |_| upload.finish()).await
    }

    /// Syncs each folder once for all objects in it.
    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        let wanted = keys.to_vec();
        self.blocking(Operation::Delete, first.as_str(), move |root| write::delete(root, &wanted)).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            create_only: Support::Claimed,
            if_match: Support::Claimed,
            ranged_get: true,
            ..Capabilities::new()
        }
    }

    /// The folder's path, device and inode: a store that was moved or copied is a different one.
    fn fingerprint(&self) -> String {
        self.root.fingerprint()
    }
}
