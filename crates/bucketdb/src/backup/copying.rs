//! Copying objects as they are, from one store to another.

use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{Condition, Driver, DriverError, ErrorKind, Key, Operation, Result, Support};
use bucketdb_env::Environment;
use bucketdb_log::{TimedDriver, retry};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::listing::Hash;

/// An object of more bytes is copied in pieces of so many.
const PIECE_BYTES: u64 = 4 << 20;

/// How many objects are copied in pieces at the same time: of each, a store may gather some pieces before it takes them.
const LONG_TOGETHER: usize = 3;

/// How long a request for a piece may take before it counts as lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What an object is: whatever is copied has to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) size_bytes: u64,
    pub(super) hash: Hash,
}

/// A store, for as long as objects are copied to it or from it.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) env: Arc<dyn Environment>,
    /// Lets few long objects be copied at the same time.
    long: Arc<Semaphore>,
}

/// Takes in what comes by.
#[derive(Default)]
struct Passing {
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl Passing {
    fn take(&mut self, piece: &Bytes) {
        self.hasher.update(piece);
        self.size_bytes += piece.len() as u64;
    }

    fn content(&self) -> Content {
        let mut hash = [0; 16];
        hash.copy_from_slice(self.hasher.finalize().as_bytes().split_at(16).0);
        Content { size_bytes: self.size_bytes, hash }
    }
}

impl Content {
    pub(super) fn of(bytes: &Bytes) -> Self {
        let mut passing = Passing::default();
        passing.take(bytes);
        passing.content()
    }
}

impl Side {
    pub(super) fn new(driver: Arc<dyn Driver>, env: Arc<dyn Environment>) -> Self {
        let driver = Arc::new(TimedDriver::new(driver, env.clone(), REQUEST_TIMEOUT));
        Self { driver, env, long: Arc::new(Semaphore::new(LONG_TOGETHER)) }
    }

    /// How an object is written that is not there yet: by nobody else at the same time, where the store can tell.
    fn create_only(&self) -> Condition {
        match self.driver.capabilities().create_only {
            Support::Absent => Condition::Always,
            Support::Claimed | Support::Unknown => Condition::IfAbsent,
        }
    }

    /// Writes a small object where there is none. What is there otherwise may be of an attempt of our own whose answer was lost:
    /// whoever asks reads it.
    pub(super) async fn create(&self, key: &Key, bytes: &Bytes) -> Result<()> {
        let put = |condition: Condition| {
            let (driver, bytes) = (&self.driver, bytes.clone());
            async move { driver.put(key, bytes, condition).await }
        };
        match retry(&*self.env, || put(self.create_only())).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                retry(&*self.env, || put(Condition::Always)).await.map(|_| ())
            }
            Err(error) if error.is_precondition_failed() => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// The bytes of an object in order, each piece asked for again if that fails in passing.
    fn pieces<'a>(&'a self, key: &'a Key) -> BoxStream<'a, Result<Bytes>> {
        if !self.driver.capabilities().ranged_get {
            let whole = async move { Ok(retry(&*self.env, || self.driver.get(key)).await?.body) };
            return stream::once(whole).boxed();
        }
        let pieces = stream::try_unfold((Some(0), None), move |(offset, etag)| async move {
            let Some(offset) = offset else { return Ok(None) };
            let piece = retry(&*self.env, || self.driver.get_range(key, offset..offset + PIECE_BYTES)).await?;
            if etag.is_some_and(|etag| etag != piece.etag) {
                let detail = "the object was replaced while it was read";
                return Err(DriverError::new(ErrorKind::Transient, Operation::Get, key.as_str(), detail));
            }
            let is_last = (piece.body.len() as u64) < PIECE_BYTES;
            let next = (!is_last).then_some(offset + PIECE_BYTES);
            Ok(Some((piece.body, (next, Some(piece.etag)))))
        });
        pieces.boxed()
    }

    /// Reads an object whole, and tells what it is.
    pub(super) async fn content(&self, key: &Key) -> Result<Content> {
        let read = || async {
            let mut passing = Passing::default();
            let mut pieces = self.pieces(key);
            while let Some(piece) = pieces.try_next().await? {
                passing.take(&piece);
            }
            Ok(passing.content())
        };
        retry(&*self.env, read).await
    }

    /// Copies an object, and reads the copy to see whether it is the same. `expected`, if it is known, is what the object has to
    /// be: nothing is written if it is something else. What is there is replaced only if that is said.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] and [`ErrorKind::Damaged`], of a get if it is the original, of a put if it is the copy.
    pub(super) async fn copy(
        &self,
        from: &Key,
        to: &Self,
        as_key: &Key,
        expected: Option<Content>,
        replaces: bool,
    ) -> Result<Content> {
        let condition = if replaces { Condition::Always } else { to.create_only() };
        let copy = |condition: Condition| async move {
            retry(&*self.env, || self.try_copy(from, to, as_key, expected, &condition)).await
        };
        let original = match copy(condition).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => copy(Condition::Always).await?,
            // An attempt of our own whose answer was lost, or somebody else who copies the same: what it is tells.
            Err(error) if error.is_precondition_failed() => self.content(from).await?,
            outcome => outcome?,
        };
        let copy = to.content(as_key).await?;
        if copy != original || expected.is_some_and(|expected| expected != original) {
            let detail = "what the store gives back is not what was written";
            return Err(DriverError::new(ErrorKind::Damaged, Operation::Put, as_key.as_str(), detail));
        }
        Ok(original)
    }

    async fn try_copy(
        &self,
        from: &Key,
        to: &Self,
        as_key: &Key,
        expected: Option<Content>,
        condition: &Condition,
    ) -> Result<Content> {
        let check = |found: Content| match expected {
            Some(expected) if expected != found => {
                let detail = "it is not what was copied";
                Err(DriverError::new(ErrorKind::Damaged, Operation::Get, from.as_str(), detail))
            }
            _ => Ok(()),
        };
        let mut pieces = self.pieces(from);
        let first = pieces.try_next().await?.unwrap_or_default();
        let is_whole = !self.driver.capabilities().ranged_get || (first.len() as u64) < PIECE_BYTES;
        if is_whole {
            let content = Content::of(&first);
            check(content)?;
            to.driver.put(as_key, first, condition.clone()).await?;
            return Ok(content);
        }
        // Whoever waits here holds one piece. It is never closed.
        let _turn = self.long.acquire().await;
        let passing = Mutex::new(Passing::default());
        let passed = stream::once(async { Ok(first) })
            .chain(pieces)
            .map(|piece| piece.inspect(|piece| passing.lock().take(piece)));
        // What is not what was expected must not come to its end.
        let checked = passed.chain(stream::once(async { check(passing.lock().content()).map(|()| Bytes::new()) }));
        let checked = checked.try_filter(|piece| futures::future::ready(!piece.is_empty()));
        to.driver.put_stream(as_key, checked.boxed(), condition.clone()).await?;
        let content = passing.lock().content();
        Ok(content)
    }
}
