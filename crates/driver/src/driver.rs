use std::fmt::{self, Debug};
use std::ops::Range;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::{DriverError, ErrorKind, Key, Operation, Result};

/// How much of an object [`Driver::get_stream`] asks for at a time, in bytes.
const STREAM_CHUNK_BYTES: u64 = 8 << 20;

/// How many deletes the default [`Driver::delete_many`] has in flight.
const PARALLEL_DELETES: usize = 16;

/// What a store must offer to hold a database: four methods on keys and bytes.
///
/// # The contract
/// - **Whole or nothing.** A reader sees an object as one put wrote it, never a mixture and never a part.
/// - **Durable when acknowledged.** Once [`put`](Self::put) or [`delete`](Self::delete) has answered `Ok`, the change
///   survives the loss of power or of the process.
/// - **Fresh.** A get or list that starts after a put or delete was acknowledged, to anyone, sees it.
/// - **Conditions are atomic.** Of any number of puts with [`Condition::IfAbsent`] to one key, in any number of
///   processes, exactly one succeeds; of those with [`Condition::IfMatch`] of one ETag, at most one. A driver that
///   cannot honour a condition answers [`ErrorKind::Unsupported`]; it never ignores it.
/// - **ETags** change whenever the bytes do. The same bytes may have the same ETag again.
/// - **Outcome.** Only [`ErrorKind::Transient`] leaves open whether a put or delete took effect. A driver must not
///   repeat a conditional put by itself once its outcome is unknown: the repetition would lose to the first attempt
///   and report a conflict that never was.
/// - **Listing** is complete and in ascending byte order of the keys, over all pages.
/// - **Deleting** what does not exist succeeds.
///
/// [`conformance`](crate::conformance) checks all of it that can be checked from outside.
///
/// Methods may be called from many tasks at once, and their futures may be dropped at any point: an operation so
/// abandoned takes effect wholly or not at all, possibly later.
#[async_trait]
pub trait Driver: Debug + Send + Sync + 'static {
    /// Reads a whole object.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none.
    async fn get(&self, key: &Key) -> Result<Object>;

    /// Writes a whole object if `condition` holds, and tells its new ETag.
    ///
    /// # Errors
    /// [`ErrorKind::PreconditionFailed`] if the condition does not hold (for [`Condition::IfMatch`], also if there is
    /// no object); [`ErrorKind::Unsupported`] if the store knows no such condition.
    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag>;

    /// Removes an object. Succeeds if there is none.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// One page of the keys that begin with `prefix`, which is any text, in ascending byte order.
    ///
    /// `continuation` is `None` for the first page and then [`Page::next`] of the page before. Objects whose names are
    /// not valid [`Key`]s are not BucketDB's and are passed over.
    ///
    /// A listing holds everything that was there before it began. Of what is written or deleted while it runs, it may
    /// hold any part, whatever the order of the writes.
    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page>;

    /// One page of the keys that begin with `prefix` and are greater than `after`. What follows it is read with
    /// [`list`](Self::list) and the page's continuation.
    ///
    /// By default all pages up to there are read and dropped.
    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        let mut page = self.list(prefix, None).await?;
        loop {
            page.objects.retain(|object| object.key > *after);
            match page.next {
                Some(next) if page.objects.is_empty() => page = self.list(prefix, Some(&next)).await?,
                _ => return Ok(page),
            }
        }
    }

    /// Reads the bytes of an object that lie in `range`; what of it is behind the object's end is left out.
    ///
    /// By default the whole object is read.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such object.
    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        let Object { body, etag } = self.get(key).await?;
        let length = body.len() as u64;
        // Both fit a usize: they are at most the length of a buffer in memory.
        let end = range.end.min(length) as usize;
        let start = range.start.min(end as u64) as usize;
        Ok(Object { body: body.slice(start..end), etag })
    }

    /// Reads an object piece by piece, in order.
    ///
    /// By default in ranges of 8 MiB where [`Capabilities::ranged_get`] says that a range costs only its own bytes,
    /// otherwise whole. An object that is replaced between two pieces gives a transient error, never a mixture.
    async fn get_stream(&self, key: &Key) -> Result<BoxStream<'_, Result<Bytes>>> {
        if !self.capabilities().ranged_get {
            let object = self.get(key).await?;
            return Ok(stream::once(async { Ok(object.body) }).boxed());
        }
        let first = self.get_range(key, 0..STREAM_CHUNK_BYTES).await?;
        let etag = first.etag.clone();
        let key = key.clone();
        let rest = stream::try_unfold(first.body.len() as u64, move |offset| {
            let (key, etag) = (key.clone(), etag.clone());
            async move {
                if offset == 0 || offset % STREAM_CHUNK_BYTES != 0 {
                    return Ok(None);
                }
                let piece = self.get_range(&key, offset..offset + STREAM_CHUNK_BYTES).await?;
                if piece.etag != etag {
                    let detail = "the object was replaced while it was read";
                    return Err(DriverError::new(ErrorKind::Transient, Operation::Get, key.as_str(), detail));
                }
                let length = piece.body.len() as u64;
                Ok((length > 0).then_some((piece.body, offset + length)))
            }
        });
        Ok(stream::once(async { Ok(first.body) }).chain(rest).boxed())
    }

    /// Writes an object from pieces. Nothing is visible before the last piece has arrived.
    ///
    /// By default the pieces are gathered in memory. A driver that can should write them as they come.
    async fn put_stream(&self, key: &Key, pieces: BoxStream<'_, Result<Bytes>>, condition: Condition) -> Result<ETag> {
        let pieces: Vec<Bytes> = pieces.try_collect().await?;
        self.put(key, pieces.concat().into(), condition).await
    }

    /// Removes many objects, at as few requests as the store allows. Those that do not exist are no error.
    ///
    /// # Errors
    /// The first failure. Any number of the others may have been removed.
    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        stream::iter(keys.iter().map(Ok)).try_for_each_concurrent(PARALLEL_DELETES, |key| self.delete(key)).await
    }

    /// A URL with which anyone can read the object for `expires_in`, without credentials.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] by default.
    async fn presign_get(&self, key: &Key, expires_in: Duration) -> Result<String> {
        let _ = expires_in;
        let detail = "this store has no pre-signed URLs";
        Err(DriverError::new(ErrorKind::Unsupported, Operation::Presign, key.as_str(), detail))
    }

    /// The store's own clock, if it tells it; `None` by default.
    async fn server_time(&self) -> Result<Option<SystemTime>> {
        Ok(None)
    }

    /// What the driver claims to offer. A claim is checked before anything rests on it.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Tells this place from every other: kind, endpoint and bucket or folder, without any secret. Two drivers with
    /// one fingerprint read and write the same objects.
    ///
    /// By default the name of the driver's type. A driver that can point at different places should say which: a
    /// database checks a store that it has not seen before.
    fn fingerprint(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}

/// When a put may write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Always, replacing what is there.
    Always,
    /// Only if there is no object with that key: `If-None-Match: *`.
    IfAbsent,
    /// Only if the object there has this ETag: `If-Match`.
    IfMatch(ETag),
}

/// What a store says of an object's content: it changes whenever the content does. Opaque; quoted or not as the store
/// has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag(pub String);

impl Debug for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ETag({})", self.0)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The bytes of an object, whole or a range of them, and its ETag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The bytes.
    pub body: Bytes,
    /// The ETag of the whole object at the moment it was read.
    pub etag: ETag,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects of this page, in ascending byte order of their keys. May be empty even if more follow.
    pub objects: Vec<Listed>,
    /// What to pass to [`Driver::list`] for the next page; `None` if this was the last.
    pub next: Option<String>,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its size in bytes, if the store tells it in a listing.
    pub size_bytes: Option<u64>,
}

/// What a driver claims of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Support {
    /// The store's documentation promises it.
    Claimed,
    /// It depends on the server behind the address.
    #[default]
    Unknown,
    /// The store does not have it.
    Absent,
}

/// What a driver claims to offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// [`Condition::IfAbsent`].
    pub create_only: Support,
    /// [`Condition::IfMatch`].
    pub if_match: Support,
    /// Whether [`Driver::get_range`] moves only the bytes that were asked for.
    pub ranged_get: bool,
    /// Whether [`Driver::presign_get`] gives URLs.
    pub presigned_get: bool,
    /// Whether [`Driver::server_time`] tells the time.
    pub server_time: bool,
}

impl Capabilities {
    /// Everything absent or unknown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
