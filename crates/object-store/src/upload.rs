use bucketdb_driver::{Condition, DriverError, ETag, ErrorKind, Key, Operation, Result};
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, FuturesUnordered, StreamExt, TryStreamExt};
use http::StatusCode;
use object_store::{MultipartUpload, PutMultipartOptions};

use crate::connector::observe;
use crate::error::{Conditional, status};
use crate::store::Store;

/// The size of every part but the last, in bytes: at least 5 MiB on S3, all equal on Cloudflare R2.
const PART_BYTES: usize = 8 << 20;

/// How many parts an upload may have, on S3: so an object has at most 78 GiB.
const MAX_PARTS: usize = 10_000;

/// How many parts are under way at once. With the one that is being gathered, an upload holds three in memory.
const PARALLEL_PARTS: usize = 2;

/// The longest body that is put under a condition from a stream, in bytes.
const MAX_CONDITIONAL_BYTES: usize = 64 << 20;

impl Store {
    /// Small bodies go in one request, long ones in parts.
    ///
    /// A condition goes in one request too, so the body is gathered in memory: on the completion of an upload in parts
    /// some stores (Ceph) ignore a condition without a word.
    pub(crate) async fn put_stream(
        &self,
        key: &Key,
        mut pieces: BoxStream<'_, Result<Bytes>>,
        condition: Condition,
    ) -> Result<ETag> {
        let conditional = self.admit(key, &condition)?;
        let limit = if conditional == Conditional::No { PART_BYTES } else { MAX_CONDITIONAL_BYTES };
        let mut body = BytesMut::new();
        while body.len() <= limit {
            match pieces.try_next().await? {
                Some(piece) => body.extend_from_slice(&piece),
                None => return self.put(key, body.freeze(), condition).await,
            }
        }
        if conditional != Conditional::No {
            let detail = "a put with a condition goes in one request, and this one is longer than 64 MiB";
            return Err(DriverError::new(ErrorKind::Unsupported, Operation::Put, key.as_str(), detail));
        }
        let (begun, seen) = observe(async {
            self.clients.patient.put_multipart_opts(&self.path(key)?, PutMultipartOptions::default()).await
        })
        .await;
        let mut upload = begun.map_err(|error| self.failed(Operation::Put, key, Conditional::No, &error, seen))?;
        match self.upload_parts(key, &mut *upload, body, pieces).await {
            Ok(()) => self.complete(key, &mut *upload).await,
            Err(error) => {
                // The parts would be billed until someone removes them. Nothing more can be done if this fails too.
                if let Err(abort) = upload.abort().await {
                    tracing::warn!(%key, error = %abort, "the parts of a failed upload could not be removed");
                }
                Err(error)
            }
        }
    }

    async fn upload_parts(
        &self,
        key: &Key,
        upload: &mut dyn MultipartUpload,
        mut body: BytesMut,
        mut pieces: BoxStream<'_, Result<Bytes>>,
    ) -> Result<()> {
        let mut under_way = FuturesUnordered::new();
        let mut parts = 0;
        let mut has_more = true;
        while has_more || !body.is_empty() {
            while has_more && body.len() < PART_BYTES {
                match pieces.try_next().await? {
                    Some(piece) => body.extend_from_slice(&piece),
                    None => has_more = false,
                }
            }
            if body.is_empty() {
                break;
            }
            parts += 1;
            if parts > MAX_PARTS {
                let detail = "it is longer than 78 GiB, the most that goes into 10,000 parts";
                return Err(DriverError::new(ErrorKind::Unsupported, Operation::Put, key.as_str(), detail));
            }
            let part = body.split_to(body.len().min(PART_BYTES)).freeze();
            under_way.push(observe(upload.put_part(part.into())));
            if under_way.len() >= PARALLEL_PARTS {
                self.settle_part(key, under_way.next().await)?;
            }
        }
        while !under_way.is_empty() {
            self.settle_part(key, under_way.next().await)?;
        }
        Ok(())
    }

    fn settle_part(&self, key: &Key, part: Option<Observed<()>>) -> Result<()> {
        match part {
            Some((Err(error), seen)) => Err(self.failed(Operation::Put, key, Conditional::No, &error, seen)),
            Some((Ok(()), _)) | None => Ok(()),
        }
    }

    async fn complete(&self, key: &Key, upload: &mut dyn MultipartUpload) -> Result<ETag> {
        let unclear = |detail: String| DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), detail);
        let (completed, seen) = observe(upload.complete()).await;
        match completed {
            // Ceph completes without saying the ETag. What is there now is this object, unless another put to the same
            // key has been faster than this request.
            Ok(written) if written.e_tag.as_deref().is_none_or(str::is_empty) => self.etag_of(key).await,
            Ok(written) => self
                .etag(written.e_tag, written.version)
                .ok_or_else(|| unclear(self.place.at("the store wrote the object but did not tell its ETag"))),
            // The upload is gone: a first attempt whose answer was lost may have completed it.
            Err(_) if status(&seen) == Some(StatusCode::NOT_FOUND) => {
                Err(unclear(self.place.at("the store no longer knows the upload, which may have been completed")))
            }
            Err(error) => Err(self.failed(Operation::Put, key, Conditional::No, &error, seen)),
        }
    }
}

type Observed<T> = (object_store::Result<T>, crate::connector::Observation);
