use std::ops::Range;

use bucketdb_driver::{DriverError, ETag, ErrorKind, Key, Object, Operation, Result};
use bytes::{Bytes, BytesMut};
use futures::stream::TryStreamExt;
use http::StatusCode;
use object_store::{GetOptions, GetRange};

use crate::connector::{Observation, observe};
use crate::error::{Call, Conditional, status};
use crate::store::Store;

impl Store {
    pub(crate) async fn get(&self, key: &Key) -> Result<Object> {
        let (result, seen) = observe(self.fetch(key, None)).await;
        result.map_err(|failed| self.fetch_error(key, failed, seen))
    }

    pub(crate) async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        if range.is_empty() {
            return Ok(self.get_nothing(key).await?.0);
        }
        let wanted = match i64::try_from(range.end) {
            Ok(_) => GetRange::Bounded(range.clone()),
            // Servers read the end as a signed number.
            Err(_) => GetRange::Offset(range.start),
        };
        let (result, seen) = observe(self.fetch(key, Some(wanted))).await;
        match (result, status(&seen)) {
            (Ok(object), _) => Ok(object),
            // The range begins behind the end, or the object is empty.
            (Err(_), Some(StatusCode::RANGE_NOT_SATISFIABLE)) => Ok(self.get_nothing(key).await?.0),
            // It covers nothing and the server sent just that (Azurite); or what it sent was cut.
            (Err(failed), Some(StatusCode::PARTIAL_CONTENT)) => match self.get_nothing(key).await? {
                (nothing, size_bytes) if range.start >= size_bytes => Ok(nothing),
                _ => Err(self.fetch_error(key, failed, seen)),
            },
            // The server does not take ranges.
            (Err(_), Some(StatusCode::OK)) => {
                let Object { body, etag } = self.get(key).await?;
                let length = body.len() as u64;
                let end = range.end.min(length);
                let start = range.start.min(end);
                // Both are at most the length of a buffer in memory.
                Ok(Object { body: body.slice(start as usize..end as usize), etag })
            }
            (Err(failed), _) => Err(self.fetch_error(key, failed, seen)),
        }
    }

    /// No bytes of an object, but its ETag, and its size in bytes.
    async fn get_nothing(&self, key: &Key) -> Result<(Object, u64)> {
        let (result, seen) = observe(async {
            let options = GetOptions { head: true, ..GetOptions::default() };
            Ok(self.clients.patient.get_opts(&self.path(key)?, options).await?.meta)
        })
        .await;
        let meta = result.map_err(|error| self.failed(Operation::Get, key, Conditional::No, &error, seen))?;
        let nothing = Fetched { body: Bytes::new(), length: 0, etag: meta.e_tag, version: meta.version };
        match self.whole(nothing) {
            Ok(object) => Ok((object, meta.size)),
            Err(failed) => Err(self.fetch_error(key, failed, Observation::default())),
        }
    }

    /// The ETag of an object, without reading it.
    pub(crate) async fn etag_of(&self, key: &Key) -> Result<ETag> {
        Ok(self.get_nothing(key).await?.0.etag)
    }

    async fn fetch(&self, key: &Key, range: Option<GetRange>) -> Result<Object, FetchError> {
        let options = GetOptions { range, ..GetOptions::default() };
        let found = self.clients.patient.get_opts(&self.path(key)?, options).await?;
        let length = found.range.end.saturating_sub(found.range.start);
        let (etag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
        // Gathered here and not by the library, which would set aside as much memory as the answer's headers say.
        let mut body = BytesMut::new();
        let mut pieces = found.into_stream();
        let first = pieces.try_next().await?.unwrap_or_default();
        let Some(second) = pieces.try_next().await? else {
            return self.whole(Fetched { body: first, length, etag, version });
        };
        body.extend_from_slice(&first);
        body.extend_from_slice(&second);
        while let Some(piece) = pieces.try_next().await? {
            body.extend_from_slice(&piece);
        }
        self.whole(Fetched { body: body.freeze(), length, etag, version })
    }

    fn whole(&self, fetched: Fetched) -> Result<Object, FetchError> {
        let Fetched { body, length, etag, version } = fetched;
        if body.len() as u64 != length {
            return Err(FetchError::Short { expected: length, got: body.len() as u64 });
        }
        let etag = self.etag(etag, version).ok_or(FetchError::NoETag)?;
        Ok(Object { body, etag })
    }

    fn fetch_error(&self, key: &Key, failed: FetchError, seen: Observation) -> DriverError {
        let call = Call { operation: Operation::Get, subject: key.as_str(), conditional: Conditional::No };
        match failed {
            FetchError::Client(error) => self.place.error(call, &error, seen),
            FetchError::Short { expected, got } => {
                call.error(ErrorKind::Transient, format!("{got} bytes arrived of {expected}"))
            }
            FetchError::NoETag => call.error(ErrorKind::Permanent, self.place.at("the store sends no ETag")),
        }
    }
}

/// What a read brought.
struct Fetched {
    body: Bytes,
    length: u64,
    etag: Option<String>,
    version: Option<String>,
}

enum FetchError {
    Client(object_store::Error),
    Short { expected: u64, got: u64 },
    NoETag,
}

impl From<object_store::Error> for FetchError {
    fn from(error: object_store::Error) -> Self {
        Self::Client(error)
    }
}
