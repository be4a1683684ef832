use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bucketdb_documents::{Blob, MAX_BLOB_BYTES, new_blob};
use bucketdb_driver::{Condition, DriverError, ErrorKind, Key, Operation};
use bucketdb_log::{LogError, ObjectKind, SlotNames, put_new};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;

use crate::database::Inner;
use crate::{Error, Result};

/// How much of a file is read at a time.
const FILE_PIECE_BYTES: usize = 1 << 20;

/// More bytes than that are uploaded in parts, which a store takes side by side.
const PART_BYTES: usize = 8 << 20;

/// An object that is to hold a blob. Its name is drawn before the first byte is sent, so that a sweep that begins later spares
/// it (H1).
struct Target {
    name: String,
    key: Key,
    /// Whether nothing may be there: a machine that was copied while it ran draws the same names as its copy.
    create_only: bool,
}

impl Target {
    fn new(inner: &Inner) -> Result<Self> {
        if inner.log.is_read_only() {
            return Err(LogError::ReadOnly.into());
        }
        let name = inner.log.new_name(ObjectKind::Blob);
        let key = Key::new(format!("{}{name}", inner.log.layout().prefix()));
        let key = key.map_err(|error| Error::BlobSource { reason: error.to_string() })?;
        Ok(Self { name, key, create_only: inner.log.slot_names() == SlotNames::Shared })
    }

    fn blob(&self, inner: &Inner, len: u64, hash: blake3::Hash) -> Result<Blob> {
        new_blob(inner.log.database(), &self.name, len, *hash.as_bytes()).ok_or_else(too_large)
    }
}

fn too_large() -> Error {
    Error::BlobSource { reason: format!("it has more than {MAX_BLOB_BYTES} bytes") }
}

pub(super) async fn bytes(inner: &Arc<Inner>, content: Bytes) -> Result<Blob> {
    if content.len() > PART_BYTES {
        let parts = (0..content.len()).step_by(PART_BYTES);
        let parts = parts.map(|start| Ok::<_, String>(content.slice(start..content.len().min(start + PART_BYTES))));
        return stream(inner, stream::iter(parts.collect::<Vec<_>>())).await;
    }
    let target = Target::new(inner)?;
    let hash = blake3::hash(&content);
    let driver = inner.log.timed_driver();
    put_new(&**driver, &**inner.log.env(), &target.key, &content, target.create_only).await?;
    target.blob(inner, content.len() as u64, hash)
}

/// What came through so far.
#[derive(Default)]
struct Passed {
    hasher: blake3::Hasher,
    len: u64,
    /// Why the source ended before its end.
    failure: Option<Error>,
}

impl Passed {
    fn take(&mut self, piece: std::result::Result<Bytes, String>) -> Option<Bytes> {
        match piece {
            Ok(piece) => {
                self.len = self.len.saturating_add(piece.len() as u64);
                if self.len <= MAX_BLOB_BYTES {
                    self.hasher.update(&piece);
                    return Some(piece);
                }
                self.failure = Some(too_large());
            }
            Err(reason) => self.failure = Some(Error::BlobSource { reason }),
        }
        None
    }
}

pub(super) async fn stream<E: ToString>(
    inner: &Arc<Inner>,
    pieces: impl Stream<Item = std::result::Result<Bytes, E>> + Send,
) -> Result<Blob> {
    let target = Target::new(inner)?;
    let passed = Mutex::new(Passed::default());
    let pieces = pieces.map(|piece| {
        let taken = passed.lock().take(piece.map_err(|error| error.to_string()));
        taken.ok_or_else(|| {
            let detail = "what was to be written could not be read";
            DriverError::new(ErrorKind::Permanent, Operation::Put, target.key.as_str(), detail)
        })
    });
    let condition = if target.create_only { Condition::IfAbsent } else { Condition::Always };
    let outcome = inner.log.timed_driver().put_stream(&target.key, pieces.boxed(), condition).await;
    let passed = passed.into_inner();
    if let Some(failure) = passed.failure {
        return Err(failure);
    }
    outcome?;
    target.blob(inner, passed.len, passed.hasher.finalize())
}

pub(super) async fn file(inner: &Arc<Inner>, path: &Path) -> Result<Blob> {
    let shown = path.display().to_string();
    let opened = path.to_owned();
    let opened = blocking(move || File::open(opened)).await;
    let file = opened.map_err(|error| Error::BlobSource { reason: format!("{shown}: {error}") })?;
    let pieces = stream::try_unfold(file, |mut file| async move {
        let (file, piece) = blocking(move || {
            let mut piece = Vec::with_capacity(FILE_PIECE_BYTES);
            (&mut file).take(FILE_PIECE_BYTES as u64).read_to_end(&mut piece)?;
            Ok((file, piece))
        })
        .await?;
        Ok::<_, std::io::Error>((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
    });
    stream(inner, pieces.map(|piece| piece.map_err(|error| format!("{shown}: {error}")))).await
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(job).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
