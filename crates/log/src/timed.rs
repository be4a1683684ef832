use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb_driver::{
    Capabilities, Condition, Driver, DriverError, ETag, ErrorKind, Key, Object, Operation, Page, Result,
};
use bucketdb_env::Environment;
use bytes::Bytes;
use futures::future::{self, Either};
use futures::stream::BoxStream;

/// Over a slower line, a full record never arrives in time.
const SLOWEST_UPLOAD_BYTES_PER_S: u64 = 256 << 10;

/// A read that was not answered within its time divided by this is asked for once more.
const ASKED_AGAIN_AFTER: u32 = 2;

/// A driver that answers every request in time: one that takes too long gets a transient error.
///
/// Everything that the log asks of a store goes through here, and what is read and written of runs, so that no store,
/// however dead, can hold up an open database for longer than its deadlines say. A request that was given up may still take
/// effect, as after any transient error.
///
/// A read that is not answered for half of its time is asked for a second time beside the first, and whichever answer comes
/// first counts: a request that got lost, or went out over a connection that is dead, delays a read, and does not fail it
/// (hedged requests: Dean and Barroso, "The Tail at Scale", 2013). It is late, so that a line that is only slow has to carry
/// few things twice.
#[derive(Clone, Debug)]
pub struct TimedDriver {
    inner: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    request_timeout: Duration,
}

impl TimedDriver {
    /// Lets `inner` take `request_timeout` for a request, and for a put a second more for every 256 KiB.
    #[must_use]
    pub fn new(inner: Arc<dyn Driver>, env: Arc<dyn Environment>, request_timeout: Duration) -> Self {
        Self { inner, env, request_timeout }
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        subject: &str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.timed_beyond(Duration::ZERO, operation, subject, call).await
    }

    /// As [`timed`](Self::timed), for a call that may take longer by so much.
    async fn timed_beyond<T>(
        &self,
        extra: Duration,
        operation: Operation,
        subject: &str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let allowed = self.request_timeout.saturating_add(extra);
        match future::select(pin!(call), self.env.sleep(allowed)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(self.no_answer(operation, subject, allowed)),
        }
    }

    /// As [`timed`](Self::timed), of what may be asked twice.
    async fn read<T, C>(&self, operation: Operation, subject: &str, call: impl Fn() -> C + Send + Sync) -> Result<T>
    where
        T: Send,
        C: Future<Output = Result<T>> + Send,
    {
        let patience = self.request_timeout / ASKED_AGAIN_AFTER;
        let mut first = pin!(call());
        if let Either::Left((result, _)) = future::select(first.as_mut(), self.env.sleep(patience)).await {
            return result;
        }
        let either = async {
            match future::select(first, pin!(call())).await {
                Either::Left((Err(error), second)) if error.is_transient() => second.await,
                Either::Right((Err(error), first)) if error.is_transient() => first.await,
                Either::Left((result, _)) | Either::Right((result, _)) => result,
            }
        };
        match future::select(pin!(either), self.env.sleep(self.request_timeout - patience)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(self.no_answer(operation, subject, self.request_timeout)),
        }
    }

    fn no_answer(&self, operation: Operation, subject: &str, allowed: Duration) -> DriverError {
        let detail = format!("no answer from {} within {} s", self.inner.fingerprint(), allowed.as_secs_f64());
        DriverError::new(ErrorKind::Transient, operation, subject, detail)
    }
}

#[async_trait]
impl Driver for TimedDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        self.read(Operation::Get, key.as_str(), || self.inner.get(key)).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        let extra = Duration::from_secs(body.len() as u64 / SLOWEST_UPLOAD_BYTES_PER_S);
        self.timed_beyond(extra, Operation::Put, key.as_str(), self.inner.put(key, body, condition)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.timed(Operation::Delete, key.as_str(), self.inner.delete(key)).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.read(Operation::List, prefix, || self.inner.list(prefix, continuation)).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.read(Operation::List, prefix, || self.inner.list_after(prefix, after)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        self.read(Operation::Get, key.as_str(), || self.inner.get_range(key, range.clone())).await
    }

    // How long a stream takes depends on its size: it is passed on as it is.
    async fn get_stream(&self, key: &Key) -> Result<BoxStream<'_, Result<Bytes>>> {
        self.inner.get_stream(key).await
    }

    async fn put_stream(&self, key: &Key, pieces: BoxStream<'_, Result<Bytes>>, condition: Condition) -> Result<ETag> {
        self.inner.put_stream(key, pieces, condition).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        let subject = keys.first().map(Key::as_str).unwrap_or_default();
        self.timed(Operation::Delete, subject, self.inner.delete_many(keys)).await
    }

    async fn presign_get(&self, key: &Key, expires_in: Duration) -> Result<String> {
        self.inner.presign_get(key, expires_in).await
    }

    async fn server_time(&self) -> Result<Option<SystemTime>> {
        self.timed(Operation::ServerTime, "the store", self.inner.server_time()).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}
