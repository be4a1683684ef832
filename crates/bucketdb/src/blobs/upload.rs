use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bucketdb_documents::{Blob, MAX_BLOB_BYTES, new_blob};
use bucketdb_driver::{Condition, DriverError, ErrorKind, Key, Operation};
use bucketdb_env::Environment;
use bucketdb_log::{IngestTicket, LogError, ObjectKind, SlotNames, put_new, retry};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;

use crate::database::Inner;
use crate::{Error, Result};

/// How much of a file is read at a time.
const FILE_PIECE_BYTES: usize = 1 << 20;

/// More bytes than that are uploaded in parts, which a store takes side by side.
const PART_BYTES: usize = 8 << 20;

/// An upload of more bytes than that, or of nobody knows how many, may take so long that a sweep comes in between: it is
/// announced in the log, so that the sweep spares it. Two records more.
const LONG_BYTES: u64 = 64 << 20;

/// So many names are drawn for an upload, as long as others have them.
const RESERVATIONS: u32 = 4;

/// An object that is to hold a blob.
struct Target<'a> {
    inner: &'a Arc<Inner>,
    name: String,
    key: Key,
    /// Whether nothing may be there: a machine that was copied while it ran draws the same names as its copy.
    create_only: bool,
    /// For as long as the upload is announced.
    ticket: Option<IngestTicket>,
}

impl<'a> Target<'a> {
    /// Draws a name. That happens before the first byte is sent, so that a sweep that begins later, or that knows of the
    /// announcement, spares what is written (H1).
    async fn new(inner: &'a Arc<Inner>, len: Option<u64>) -> Result<Self> {
        if inner.log.is_read_only() {
            return Err(LogError::ReadOnly.into());
        }
        // What is named by a position that is old may be older than a sweep that is not known here.
        inner.log.refresh(inner.freshness()).await?;
        let ticket = match len {
            Some(..=LONG_BYTES) => None,
            _ => Some(inner.log.begin_ingest(inner.commit_timeout).await?),
        };
        let name = inner.log.new_name(ObjectKind::Blob);
        let key = inner.log.layout().key(&name);
        Ok(Self { inner, name, key, create_only: inner.log.slot_names() == SlotNames::Shared, ticket })
    }

    /// Makes sure that nobody else writes there, where that can be had: a stream that is longer than what goes in one request
    /// can be written without a condition only. So an empty object takes the place first.
    async fn reserve(&mut self) -> Result<()> {
        if !self.create_only {
            return Ok(());
        }
        let (driver, env) = (self.inner.log.timed_driver(), &**self.inner.log.env());
        for _ in 0..RESERVATIONS {
            match retry(env, || driver.put(&self.key, Bytes::new(), Condition::IfAbsent)).await {
                // Of a copy, or an earlier attempt of this one whose answer was lost: an empty object does not tell.
                Err(error) if error.is_precondition_failed() => {
                    self.name = self.inner.log.new_name(ObjectKind::Blob);
                    self.key = self.inner.log.layout().key(&self.name);
                }
                outcome => return Ok(outcome.map(drop)?),
            }
        }
        let detail = "every name that was drawn for it was taken";
        Err(DriverError::new(ErrorKind::Transient, Operation::Put, self.key.as_str(), detail).into())
    }

    async fn finish(mut self, len: u64, hash: blake3::Hash) -> Result<Blob> {
        let blob = new_blob(self.inner.log.database(), &self.name, len, *hash.as_bytes()).ok_or_else(too_large)?;
        if let Some(ticket) = self.ticket.take() {
            self.inner.abandoned.lock().push(ticket);
            if let Err(error) = self.inner.end_abandoned().await {
                tracing::debug!(%error, "that an upload has ended is left to maintenance");
            }
        }
        Ok(blob)
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        self.inner.abandoned.lock().push(ticket);
        let inner = self.inner.clone();
        self.inner.log.env().spawn(Box::pin(async move {
            if let Err(error) = inner.end_abandoned().await {
                tracing::debug!(%error, "that an upload was given up is left to maintenance");
            }
        }));
    }
}

fn too_large() -> Error {
    Error::BlobSource { reason: format!("it has more than {MAX_BLOB_BYTES} bytes") }
}

pub(super) async fn bytes(inner: &Arc<Inner>, content: Bytes) -> Result<Blob> {
    if content.len() > PART_BYTES {
        let parts = (0..content.len()).step_by(PART_BYTES);
        let parts = parts.map(|start| Ok::<_, String>(content.slice(start..content.len().min(start + PART_BYTES))));
        return in_parts(inner, stream::iter(parts.collect::<Vec<_>>()), Some(content.len() as u64)).await;
    }
    let target = Target::new(inner, Some(content.len() as u64)).await?;
    let hash = blake3::hash(&content);
    let driver = inner.log.timed_driver();
    put_new(&**driver, &**inner.log.env(), &target.key, &content, target.create_only).await?;
    target.finish(content.len() as u64, hash).await
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
    let mut pieces = Box::pin(pieces);
    let (mut first, mut first_bytes) = (Vec::new(), 0);
    while first_bytes <= PART_BYTES {
        match pieces.next().await {
            Some(Ok(piece)) => {
                first_bytes += piece.len();
                first.push(piece);
            }
            Some(Err(error)) => return Err(Error::BlobSource { reason: error.to_string() }),
            None => return bytes(inner, first.concat().into()).await,
        }
    }
    in_parts(inner, stream::iter(first).map(Ok).chain(pieces), None).await
}

/// Uploads what a stream gives, whose length may be known.
async fn in_parts<E: ToString>(
    inner: &Arc<Inner>,
    pieces: impl Stream<Item = std::result::Result<Bytes, E>> + Send,
    len: Option<u64>,
) -> Result<Blob> {
    let mut target = Target::new(inner, len).await?;
    target.reserve().await?;
    let passed = Mutex::new(Passed::default());
    let pieces = pieces.map(|piece| {
        let taken = passed.lock().take(piece.map_err(|error| error.to_string()));
        taken.ok_or_else(|| {
            let detail = "what was to be written could not be read";
            DriverError::new(ErrorKind::Permanent, Operation::Put, target.key.as_str(), detail)
        })
    });
    let outcome = inner.log.timed_driver().put_stream(&target.key, pieces.boxed(), Condition::Always).await;
    let passed = passed.into_inner();
    if let Some(error) = passed.failure.or(outcome.err().map(Error::from)) {
        // What holds the place is nobody else's. Otherwise a sweep removes it.
        if target.create_only
            && let Err(error) = inner.log.timed_driver().delete(&target.key).await
        {
            tracing::debug!(%error, "what held the place of an upload that failed is left to a sweep");
        }
        return Err(error);
    }
    target.finish(passed.len, passed.hasher.finalize()).await
}

pub(super) async fn file(inner: &Arc<Inner>, path: &Path) -> Result<Blob> {
    let shown = path.display().to_string();
    let opened = path.to_owned();
    let opened = blocking(move || {
        let file = File::open(opened)?;
        let metadata = file.metadata()?;
        // Of anything else than a file, such as a pipe, that says nothing.
        Ok((file, metadata.is_file().then_some(metadata.len())))
    });
    let (file, len) = opened.await.map_err(|error| Error::BlobSource { reason: format!("{shown}: {error}") })?;
    let pieces = stream::try_unfold(file, |mut file| async move {
        let (file, piece) = blocking(move || {
            let mut piece = Vec::with_capacity(FILE_PIECE_BYTES);
            (&mut file).take(FILE_PIECE_BYTES as u64).read_to_end(&mut piece)?;
            Ok((file, piece))
        })
        .await?;
        Ok::<_, std::io::Error>((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
    });
    let pieces = pieces.map(|piece| piece.map_err(|error| format!("{shown}: {error}")));
    match len {
        Some(len) if len > PART_BYTES as u64 => in_parts(inner, pieces, Some(len)).await,
        _ => stream(inner, pieces).await,
    }
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(job).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
