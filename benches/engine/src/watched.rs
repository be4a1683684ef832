//! A store of the crate `object_store` whose requests are told to somebody, who may also make them wait.

use std::fmt;
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// What stores bill apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Also of an object that is sent in parts: that it begins.
    Put,
    /// A part, or that there are no more. Billed as a put.
    Part,
    Get,
    List,
    Delete,
}

/// Is told of every request.
#[async_trait::async_trait]
pub trait Watch: fmt::Debug + Send + Sync + 'static {
    /// A request is about to be sent: returns when it may arrive.
    async fn begin(&self, kind: Kind);

    /// It was answered: whether there was what it asked for, or it could do what it was to do, and the bytes that it moved.
    fn end(&self, kind: Kind, key: &str, is_found: bool, bytes: u64);
}

/// The store.
#[derive(Clone, Debug)]
pub struct Watched {
    inner: Arc<dyn ObjectStore>,
    watch: Arc<dyn Watch>,
}

impl Watched {
    pub fn new(inner: Arc<dyn ObjectStore>, watch: Arc<dyn Watch>) -> Self {
        Self { inner, watch }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Watched({})", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let bytes = payload.content_length() as u64;
        self.watch.begin(Kind::Put).await;
        let result = self.inner.put_opts(location, payload, options).await;
        self.watch.end(Kind::Put, location.as_ref(), result.is_ok(), bytes);
        result
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.watch.begin(Kind::Put).await;
        let result = self.inner.put_multipart_opts(location, options).await;
        self.watch.end(Kind::Put, location.as_ref(), result.is_ok(), 0);
        Ok(Box::new(WatchedUpload { inner: result?, key: location.to_string(), watch: self.watch.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        self.watch.begin(Kind::Get).await;
        let result = self.inner.get_opts(location, options).await;
        let bytes = match &result {
            Ok(found) if !is_head => found.range.end - found.range.start,
            _ => 0,
        };
        self.watch.end(Kind::Get, location.as_ref(), result.is_ok(), bytes);
        result
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let watch = self.watch.clone();
        let deleted = self.inner.delete_stream(locations);
        deleted
            .inspect(move |deleted| {
                watch.end(Kind::Delete, deleted.as_ref().map_or("", |path| path.as_ref()), deleted.is_ok(), 0);
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        // A page has 1,000 names: one request for each of them, and one for nothing.
        let watch = self.watch.clone();
        let prefix_text = prefix.map(ToString::to_string).unwrap_or_default();
        let listed = self.inner.list(prefix);
        let begin = {
            let (watch, prefix_text) = (watch.clone(), prefix_text.clone());
            futures::stream::once(async move {
                watch.begin(Kind::List).await;
                watch.end(Kind::List, &prefix_text, true, 0);
            })
            .filter_map(|()| async { None })
        };
        let counted = listed.enumerate().map(move |(place, entry)| {
            if place > 0 && place % 1000 == 0 {
                watch.end(Kind::List, &prefix_text, true, 0);
            }
            entry
        });
        begin.chain(counted).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.watch.begin(Kind::List).await;
        let result = self.inner.list_with_delimiter(prefix).await;
        self.watch.end(Kind::List, &prefix.map(ToString::to_string).unwrap_or_default(), result.is_ok(), 0);
        result
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.watch.begin(Kind::Put).await;
        let result = self.inner.copy_opts(from, to, options).await;
        self.watch.end(Kind::Put, to.as_ref(), result.is_ok(), 0);
        result
    }
}

#[derive(Debug)]
struct WatchedUpload {
    inner: Box<dyn MultipartUpload>,
    key: String,
    watch: Arc<dyn Watch>,
}

#[async_trait::async_trait]
impl MultipartUpload for WatchedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let bytes = data.content_length() as u64;
        let part = self.inner.put_part(data);
        let (key, watch) = (self.key.clone(), self.watch.clone());
        Box::pin(async move {
            watch.begin(Kind::Part).await;
            let result = part.await;
            watch.end(Kind::Part, &key, result.is_ok(), bytes);
            result
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.watch.begin(Kind::Part).await;
        let result = self.inner.complete().await;
        self.watch.end(Kind::Part, &self.key, result.is_ok(), 0);
        result
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
