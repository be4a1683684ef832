use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bucketdb_documents::Blob;
use bucketdb_driver::{ErrorKind, Key};
use bucketdb_log::retry;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};

use crate::database::Inner;
use crate::{Error, Result};

/// How much of a blob is asked for at a time.
const PART_BYTES: u64 = 4 << 20;

/// How many parts are under way at the same time.
const PARTS_AHEAD: usize = 3;

/// Reads one blob, as often as wanted. Cheap to clone.
#[derive(Clone)]
pub struct BlobReader {
    inner: Arc<Inner>,
    blob: Blob,
    key: Key,
}

impl BlobReader {
    pub(super) fn new(inner: Arc<Inner>, blob: Blob, key: Key) -> Self {
        Self { inner, blob, key }
    }

    /// The blob.
    #[must_use]
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// All of it, in memory. Its hash is checked.
    ///
    /// # Errors
    /// [`Error::BlobGone`] or [`Error::BlobDamaged`]; otherwise if the store fails.
    pub async fn bytes(&self) -> Result<Bytes> {
        let mut parts = std::pin::pin!(self.stream());
        let first = parts.try_next().await?.unwrap_or_default();
        if first.len() as u64 == self.blob.len() {
            return Ok(first);
        }
        let mut all = BytesMut::from(first);
        while let Some(part) = parts.try_next().await? {
            all.extend_from_slice(&part);
        }
        Ok(all.freeze())
    }

    /// The bytes of a range; what of it is behind the end is left out. That they are those that were uploaded is not checked,
    /// unless they are all there are: the hash is that of the whole.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub async fn range(&self, range: Range<u64>) -> Result<Bytes> {
        let end = range.end.min(self.blob.len());
        let range = range.start.min(end)..end;
        if range == (0..self.blob.len()) {
            return self.bytes().await;
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.part(range).await
    }

    /// All of it, part by part, in order, a few megabytes at a time. Its hash is checked when all parts have come: in place of
    /// the last part there is an error if it is another one.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn stream(&self) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        let len = self.blob.len();
        let is_ranged = self.inner.log.timed_driver().capabilities().ranged_get;
        let part_bytes = if is_ranged { PART_BYTES } else { u64::MAX };
        // One without any bytes is asked for all the same: it may be gone.
        let starts = stream::iter((0..len.max(1)).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX)));
        let reader = self.clone();
        let parts = starts.map(move |start| {
            let reader = reader.clone();
            async move {
                let end = start.saturating_add(part_bytes).min(len);
                Ok::<_, Error>((reader.part(start..end).await?, end == len))
            }
        });
        let reader = self.clone();
        parts.buffered(PARTS_AHEAD).scan(blake3::Hasher::new(), move |hasher, part| {
            let checked = part.and_then(|(part, is_last)| {
                hasher.update(&part);
                if is_last && *hasher.finalize().as_bytes() != reader.blob.hash() {
                    return Err(reader.damaged("its hash is another one"));
                }
                Ok(part)
            });
            futures::future::ready(Some(checked))
        })
    }

    async fn part(&self, range: Range<u64>) -> Result<Bytes> {
        let (driver, env) = (self.inner.log.timed_driver(), self.inner.log.env());
        let is_whole = range == (0..self.blob.len());
        let read = retry(&**env, || async {
            if is_whole { driver.get(&self.key).await } else { driver.get_range(&self.key, range.clone()).await }
        });
        let body = match read.await {
            Ok(object) => object.body,
            Err(error) if error.is_not_found() => return Err(Error::BlobGone { blob: self.blob }),
            Err(error) if error.kind() == ErrorKind::Damaged => return Err(self.damaged(error.detail())),
            Err(error) => return Err(error.into()),
        };
        if body.len() as u64 != range.end - range.start {
            return Err(self.damaged("it has another length"));
        }
        Ok(body)
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::BlobDamaged { blob: self.blob, reason: reason.to_owned() }
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("BlobReader").field(&self.blob).finish()
    }
}
