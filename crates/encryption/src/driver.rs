use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb_driver::{
    Capabilities, Condition, Driver, DriverError, ETag, ErrorKind, Key, Object, Operation, Page, Result,
};
use bucketdb_env::Environment;
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, TryStreamExt};

use crate::seal::{self, Opener};
use crate::stream::{self, failed};
use crate::{EncryptionKeys, ObjectSealer, opened_bytes, sealed_range};

/// A driver that seals what another one keeps; see the [crate](crate) for how.
///
/// One request stays one request, but that a range behind the end of an object, where nothing is, costs a get of the whole
/// object: an answer without bytes proves nothing. What cannot be opened gives an error that names the object:
/// of [`ErrorKind::Damaged`], or of [`ErrorKind::Permanent`] if it is not encrypted or needs another key.
#[derive(Clone)]
pub struct EncryptedDriver {
    pub(crate) inner: Arc<dyn Driver>,
    pub(crate) keys: Arc<EncryptionKeys>,
    pub(crate) env: Arc<dyn Environment>,
    prefix: String,
    /// Tells by their names behind the prefix which objects are as they are.
    is_plain: fn(&str) -> bool,
}

impl EncryptedDriver {
    /// Seals with the current one of the keys what `inner` keeps. Salts are drawn from the chance of `env`.
    #[must_use]
    pub fn new(inner: Arc<dyn Driver>, keys: EncryptionKeys, env: Arc<dyn Environment>) -> Self {
        Self { inner, keys: Arc::new(keys), env, prefix: String::new(), is_plain: |_| false }
    }

    /// Binds objects to their names behind `prefix`, so that everything below it may be copied to below another one. By
    /// default, objects are bound to their whole names.
    #[must_use]
    pub fn relative_to(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Passes on as they are the small objects of which this says so, by their names behind the prefix: they hold nothing that names
    /// do not tell. Only [`get`](Driver::get) and [`put`](Driver::put) know of them.
    #[must_use]
    pub fn leaving_plain(mut self, is_plain: fn(&str) -> bool) -> Self {
        self.is_plain = is_plain;
        self
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &EncryptionKeys {
        &self.keys
    }

    /// What seals with the same keys what is kept elsewhere.
    #[must_use]
    pub fn sealer(&self) -> ObjectSealer {
        ObjectSealer { keys: Arc::clone(&self.keys), env: Arc::clone(&self.env) }
    }

    /// The driver that keeps the sealed objects.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn Driver> {
        &self.inner
    }

    /// The name that an object is bound to.
    pub(crate) fn name<'a>(&self, key: &'a Key) -> &'a str {
        key.as_str().strip_prefix(&self.prefix).unwrap_or(key.as_str())
    }

    fn opened(&self, page: Page) -> Page {
        let objects = page.objects.into_iter().map(|mut listed| {
            listed.size_bytes = listed.size_bytes.and_then(opened_bytes);
            listed
        });
        Page { objects: objects.collect(), next: page.next }
    }

    /// Checks that an object ends before `offset`.
    async fn ends_before(&self, key: &Key, offset: u64) -> Result<()> {
        let pieces = self.get_stream(key).await?;
        let bytes = pieces.try_fold(0, async |bytes, piece| Ok(bytes + piece.len() as u64)).await?;
        if bytes > offset {
            let detail = "the object was replaced while it was read";
            return Err(DriverError::new(ErrorKind::Transient, Operation::Get, key.as_str(), detail));
        }
        Ok(())
    }
}

impl fmt::Debug for EncryptedDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EncryptedDriver").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for EncryptedDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        if (self.is_plain)(self.name(key)) {
            return self.inner.get(key).await;
        }
        let Object { body, etag } = self.inner.get(key).await?;
        let mut opener = Opener::new(&self.keys, self.name(key), 0);
        let mut opened = BytesMut::new();
        let outcome = opener.open_all(&body, &mut opened).and_then(|()| opener.ended());
        outcome.map_err(|reason| failed(key, reason))?;
        Ok(Object { body: opened.freeze(), etag })
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        if (self.is_plain)(self.name(key)) {
            return self.inner.put(key, body, condition).await;
        }
        let sealed = seal::seal(&self.keys, self.name(key), &*self.env, &body);
        drop(body);
        self.inner.put(key, sealed, condition).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        Ok(self.opened(self.inner.list(prefix, continuation).await?))
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        Ok(self.opened(self.inner.list_after(prefix, after).await?))
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        if range.is_empty() {
            return self.inner.get_range(key, 0..0).await;
        }
        let Object { body, etag } = self.inner.get_range(key, sealed_range(&range)).await?;
        if body.is_empty() {
            self.ends_before(key, range.start).await?;
            return Ok(Object { body, etag });
        }
        let opened = seal::open_range(&self.keys, self.name(key), &body, range);
        Ok(Object { body: opened.map_err(|reason| failed(key, reason))?, etag })
    }

    async fn get_stream(&self, key: &Key) -> Result<BoxStream<'_, Result<Bytes>>> {
        let pieces = self.inner.get_stream(key).await?;
        Ok(stream::opening(&self.keys, key, self.name(key), pieces))
    }

    async fn put_stream(&self, key: &Key, pieces: BoxStream<'_, Result<Bytes>>, condition: Condition) -> Result<ETag> {
        let (keys, env) = (Arc::clone(&self.keys), Arc::clone(&self.env));
        let sealed = stream::sealing(keys, env, self.name(key).to_owned(), pieces);
        self.inner.put_stream(key, sealed, condition).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        self.inner.delete_many(keys).await
    }

    async fn presign_get(&self, key: &Key, _expires_in: Duration) -> Result<String> {
        let detail = "the object is encrypted, and whoever has the URL has no key";
        Err(DriverError::new(ErrorKind::Unsupported, Operation::Presign, key.as_str(), detail))
    }

    async fn server_time(&self) -> Result<Option<SystemTime>> {
        self.inner.server_time().await
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.presigned_get = false;
        capabilities
    }

    /// That of the driver within: the objects are the same.
    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}
