use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Range, Sub};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bucketdb_env::Environment;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;

use crate::{Capabilities, Condition, Driver, DriverError, ETag, Key, Object, Operation, Page, Result};

/// Latencies are kept in buckets whose bounds grow by a quarter octave: at most 19 % off.
const BUCKETS_PER_OCTAVE: f64 = 4.0;

/// A driver that counts the requests and bytes of another, and measures how long they take.
///
/// A request is one call that the store bills: a retry inside the wrapped driver is not seen, and a stream counts once.
/// Requests that fail count as well, as stores bill them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bucketdb_driver::{Condition, Driver, Key, MemoryDriver, MeteredDriver, Operation};
/// use bucketdb_env::TokioEnvironment;
///
/// let store = MeteredDriver::new(MemoryDriver::new(), TokioEnvironment::new());
/// store.put(&Key::new("a")?, "hello".into(), Condition::Always).await?;
/// let usage = store.usage();
/// assert_eq!(usage.requests(Operation::Put), 1);
/// assert_eq!(usage.of(Operation::Put).bytes, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MeteredDriver {
    inner: Arc<dyn Driver>,
    env: Arc<dyn Environment>,
    usage: Arc<Mutex<Usage>>,
}

impl MeteredDriver {
    /// Counts what goes to `inner`. Clones count into the same meter.
    pub fn new(inner: impl Driver, env: impl Environment) -> Self {
        Self::shared(Arc::new(inner), Arc::new(env))
    }

    /// As [`new`](Self::new), for a driver that is shared already.
    #[must_use]
    pub fn shared(inner: Arc<dyn Driver>, env: Arc<dyn Environment>) -> Self {
        Self { inner, env, usage: Arc::default() }
    }

    /// What was used so far. The use of a stretch of time is the difference of two readings.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage.lock().clone()
    }

    async fn measure<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>>,
        bytes: impl FnOnce(&T) -> u64,
    ) -> Result<T> {
        let started = self.env.monotonic();
        let result = call.await;
        let took = self.env.monotonic().saturating_sub(started);
        self.count(operation, 1, |usage| match &result {
            Ok(value) => {
                usage.bytes += bytes(value);
                usage.latency.add(took);
            }
            Err(error) => usage.count_error(error, took),
        });
        result
    }

    fn count(&self, operation: Operation, requests: u64, more: impl FnOnce(&mut OperationUsage)) {
        let mut usage = self.usage.lock();
        let usage = usage.by_operation.entry(operation).or_default();
        usage.requests += requests;
        more(usage);
    }
}

impl fmt::Debug for MeteredDriver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MeteredDriver").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for MeteredDriver {
    async fn get(&self, key: &Key) -> Result<Object> {
        self.measure(Operation::Get, self.inner.get(key), |object| object.body.len() as u64).await
    }

    async fn put(&self, key: &Key, body: Bytes, condition: Condition) -> Result<ETag> {
        let length = body.len() as u64;
        self.measure(Operation::Put, self.inner.put(key, body, condition), |_| length).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.measure(Operation::Delete, self.inner.delete(key), |()| 0).await
    }

    async fn list(&self, prefix: &str, continuation: Option<&str>) -> Result<Page> {
        self.measure(Operation::List, self.inner.list(prefix, continuation), |_| 0).await
    }

    async fn list_after(&self, prefix: &str, after: &Key) -> Result<Page> {
        self.measure(Operation::List, self.inner.list_after(prefix, after), |_| 0).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Object> {
        self.measure(Operation::Get, self.inner.get_range(key, range), |object| object.body.len() as u64).await
    }

    async fn get_stream(&self, key: &Key) -> Result<BoxStream<'_, Result<Bytes>>> {
        let pieces = self.measure(Operation::Get, self.inner.get_stream(key), |_| 0).await?;
        let counted = pieces.inspect(|piece| {
            if let Ok(bytes) = piece {
                self.count(Operation::Get, 0, |usage| usage.bytes += bytes.len() as u64);
            }
        });
        Ok(counted.boxed())
    }

    async fn put_stream(&self, key: &Key, pieces: BoxStream<'_, Result<Bytes>>, condition: Condition) -> Result<ETag> {
        let counted = pieces.inspect(|piece| {
            if let Ok(bytes) = piece {
                self.count(Operation::Put, 0, |usage| usage.bytes += bytes.len() as u64);
            }
        });
        self.measure(Operation::Put, self.inner.put_stream(key, counted.boxed(), condition), |_| 0).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<()> {
        self.measure(Operation::Delete, self.inner.delete_many(keys), |()| 0).await
    }

    async fn presign_get(&self, key: &Key, expires_in: Duration) -> Result<String> {
        // Signing happens on this machine: no request.
        self.inner.presign_get(key, expires_in).await
    }

    async fn server_time(&self) -> Result<Option<SystemTime>> {
        self.measure(Operation::ServerTime, self.inner.server_time(), |_| 0).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}

/// Requests, bytes and latencies by operation, since a [`MeteredDriver`] was made or between two readings of it.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    by_operation: BTreeMap<Operation, OperationUsage>,
}

impl Usage {
    /// What one operation used.
    #[must_use]
    pub fn of(&self, operation: Operation) -> OperationUsage {
        self.by_operation.get(&operation).cloned().unwrap_or_default()
    }

    /// How many requests of one operation were sent.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> u64 {
        self.by_operation.get(&operation).map_or(0, |usage| usage.requests)
    }

    /// How many requests were sent in all.
    #[must_use]
    pub fn total_requests(&self) -> u64 {
        self.by_operation.values().map(|usage| usage.requests).sum()
    }

    /// How many bytes of objects were read and written in all.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.by_operation.values().map(|usage| usage.bytes).sum()
    }

    /// The operations that were used, with what they used.
    pub fn iter(&self) -> impl Iterator<Item = (Operation, &OperationUsage)> {
        self.by_operation.iter().map(|(operation, usage)| (*operation, usage))
    }
}

impl Sub for Usage {
    type Output = Self;

    /// What was used since the earlier reading `before`.
    fn sub(mut self, before: Self) -> Self {
        for (operation, earlier) in before.by_operation {
            let usage = self.by_operation.entry(operation).or_default();
            usage.requests = usage.requests.saturating_sub(earlier.requests);
            usage.errors = usage.errors.saturating_sub(earlier.errors);
            usage.bytes = usage.bytes.saturating_sub(earlier.bytes);
            usage.latency.subtract(&earlier.latency);
        }
        self
    }
}

/// What one operation used.
#[derive(Clone, Debug, Default)]
pub struct OperationUsage {
    /// Requests sent, failed ones included.
    pub requests: u64,
    /// Requests that failed, other than by "not found" and "condition does not hold", which are answers.
    pub errors: u64,
    /// Bytes of objects moved: read for a get, written for a put.
    pub bytes: u64,
    /// How long the requests took that were answered.
    pub latency: Latency,
}

impl OperationUsage {
    fn count_error(&mut self, error: &DriverError, took: Duration) {
        if error.is_not_found() || error.is_precondition_failed() {
            self.latency.add(took);
        } else {
            self.errors += 1;
        }
    }
}

/// How long requests took: a histogram with buckets a quarter octave wide.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    counts: BTreeMap<u16, u64>,
}

impl Latency {
    /// Adds one measurement.
    pub fn add(&mut self, took: Duration) {
        let microseconds = took.as_micros().max(1) as f64;
        let bucket = (microseconds.log2() * BUCKETS_PER_OCTAVE).floor() as u16;
        *self.counts.entry(bucket).or_default() += 1;
    }

    /// The latency that the share `quantile` (between 0 and 1) of all requests did not exceed, at most 19 % too high;
    /// `None` if nothing was measured.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let total: u64 = self.counts.values().sum();
        let wanted = (total as f64 * quantile.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if seen >= wanted {
                let upper_us = ((f64::from(*bucket) + 1.0) / BUCKETS_PER_OCTAVE).exp2();
                return Some(Duration::from_secs_f64(upper_us / 1e6));
            }
        }
        None
    }

    fn subtract(&mut self, earlier: &Self) {
        for (bucket, count) in &earlier.counts {
            if let Some(mine) = self.counts.get_mut(bucket) {
                *mine = mine.saturating_sub(*count);
            }
        }
        self.counts.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_a_quarter_octave_too_high() {
        let mut latency = Latency::default();
        for milliseconds in 1..=100 {
            latency.add(Duration::from_millis(milliseconds));
        }
        for (quantile, exact_ms) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found_ms = latency.quantile(quantile).unwrap().as_secs_f64() * 1e3;
            assert!((exact_ms..exact_ms * 1.2).contains(&found_ms), "{quantile}: {found_ms} for {exact_ms}");
        }
        assert_eq!(Latency::default().quantile(0.5), None);
    }
}
