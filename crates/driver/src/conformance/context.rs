use std::error::Error;
use std::sync::Arc;

use bucketdb_env::Environment;
use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{BoxFuture, join_all};
use futures::stream::{self, TryStreamExt};
use tokio::sync::Barrier;

use crate::{Condition, Driver, DriverError, ETag, ErrorKind, Key, MAX_KEY_BYTES, Object};

/// How many requests a check has in flight where it only prepares.
const PARALLEL_REQUESTS: usize = 16;

/// No listing of the suite has so many pages, unless its continuation leads in a circle.
const MOST_PAGES: usize = 10_000;

/// What a check found; `Ok` if the driver keeps its promise.
pub(super) type Finding<T = ()> = Result<T, Verdict>;

/// Why a check did not pass.
#[derive(Debug)]
pub(super) enum Verdict {
    Failed(String),
    Skipped(String),
}

impl From<DriverError> for Verdict {
    fn from(error: DriverError) -> Self {
        let mut sentence = format!("an ordinary call failed: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            sentence.push_str(&format!(", because of {cause}"));
            source = cause.source();
        }
        Self::Failed(sentence)
    }
}

/// Fails the check with a sentence unless the promise was kept.
macro_rules! ensure {
    ($kept:expr, $($sentence:tt)+) => {
        if !$kept {
            return Err($crate::conformance::context::Verdict::Failed(format!($($sentence)+)));
        }
    };
}
pub(super) use ensure;

/// What the caller declared that the store does not do.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) key_bytes: usize,
    pub(super) segment_bytes: usize,
    pub(super) ascii_keys_only: bool,
    pub(super) create_only: bool,
    pub(super) if_match: bool,
}

impl Limits {
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.key_bytes < MAX_KEY_BYTES {
            sentences.push(format!("keys have at most {} bytes", self.key_bytes));
        }
        if self.segment_bytes < MAX_KEY_BYTES {
            sentences.push(format!("segments of keys have at most {} bytes", self.segment_bytes));
        }
        if self.ascii_keys_only {
            sentences.push("keys are ASCII only".to_owned());
        }
        if !self.create_only {
            sentences.push("the store has no create-only".to_owned());
        }
        if !self.if_match {
            sentences.push("the store has no if-match".to_owned());
        }
        sentences
    }
}

/// Where and how hard the checks work.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) env: Arc<dyn Environment>,
    /// All keys begin with this and a `/`.
    pub(super) prefix: String,
    pub(super) rounds: usize,
    pub(super) racers: usize,
    pub(super) large_object_bytes: usize,
    pub(super) listed_keys: usize,
    pub(super) limits: Limits,
}

impl Context {
    pub(super) fn key(&self, name: &str) -> Finding<Key> {
        Key::new(format!("{}/{name}", self.prefix)).map_err(|error| Verdict::Failed(error.to_string()))
    }

    pub(super) async fn put(&self, key: &Key, body: impl Into<Bytes>) -> Finding<ETag> {
        Ok(self.driver.put(key, body.into(), Condition::Always).await?)
    }

    /// Puts many small objects, each holding its own key.
    pub(super) async fn put_all(&self, keys: &[Key]) -> Finding {
        stream::iter(keys.iter().map(Ok))
            .try_for_each_concurrent(PARALLEL_REQUESTS, |key| async {
                self.put(key, key.as_str().to_owned()).await.map(drop)
            })
            .await
    }

    /// Reads an object that must be there with this body.
    pub(super) async fn expect(&self, key: &Key, body: &[u8], after: &str) -> Finding<Object> {
        let object = match self.driver.get(key).await {
            Err(error) if error.is_not_found() => {
                return Err(Verdict::Failed(format!("{key} is not found {after}")));
            }
            object => object?,
        };
        let shown = |bytes: &[u8]| format!("{} bytes that begin with {:?}", bytes.len(), excerpt(bytes));
        ensure!(object.body == body, "{key} reads as {} {after}, where {} were put", shown(&object.body), shown(body));
        Ok(object)
    }

    /// Asks for an object that must not be there.
    pub(super) async fn expect_missing(&self, key: &Key, after: &str) -> Finding {
        match self.driver.get(key).await {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(Verdict::Failed(format!(
                "a get of {key}, which does not exist {after}, gave {:?} instead of NotFound",
                error.kind()
            ))),
            Ok(_) => Err(Verdict::Failed(format!("{key} can be read {after}"))),
        }
    }

    /// All keys that begin with a prefix, over all pages. The order is checked on the way.
    pub(super) async fn list(&self, prefix: &str) -> Finding<Vec<Key>> {
        let first = self.driver.list(prefix, None).await?;
        self.gather(prefix, first).await
    }

    /// The keys of a page and of all that follow it.
    pub(super) async fn gather(&self, prefix: &str, mut page: crate::Page) -> Finding<Vec<Key>> {
        let mut keys: Vec<Key> = Vec::new();
        for _ in 0..MOST_PAGES {
            for listed in page.objects {
                let key = listed.key;
                ensure!(key.as_str().starts_with(prefix), "a listing of {prefix:?} gave {key}, which begins otherwise");
                if let Some(last) = keys.last() {
                    ensure!(*last != key, "a listing of {prefix:?} gave {key} twice");
                    ensure!(
                        *last < key,
                        "a listing of {prefix:?} gave {key} after {last}: keys must ascend in byte order"
                    );
                }
                keys.push(key);
            }
            match page.next {
                None => return Ok(keys),
                Some(next) => page = self.driver.list(prefix, Some(&next)).await?,
            }
        }
        Err(Verdict::Failed(format!("a listing of {prefix:?} did not end after {MOST_PAGES} pages")))
    }

    /// Compares a listing with the keys that it must have, both in ascending order.
    pub(super) fn compare(&self, what: &str, listed: &[Key], expected: &[Key]) -> Finding {
        let lacking: Vec<_> = expected.iter().filter(|key| listed.binary_search(key).is_err()).collect();
        if let Some(first) = lacking.first() {
            let count = lacking.len();
            let total = expected.len();
            return Err(Verdict::Failed(format!("{what} lacks {count} of {total} keys, the first is {first}")));
        }
        let surplus = listed.iter().find(|key| expected.binary_search(key).is_err());
        if let Some(key) = surplus {
            return Err(Verdict::Failed(format!("{what} has {key}, which it should not have")));
        }
        ensure!(listed.len() == expected.len(), "{what} has {} keys instead of {}", listed.len(), expected.len());
        Ok(())
    }

    /// Runs tasks beside each other that all set out at one moment, and gathers their answers.
    pub(super) async fn race<T: Send + 'static>(&self, racers: Vec<BoxFuture<'static, T>>) -> Finding<Vec<T>> {
        let start = Arc::new(Barrier::new(racers.len()));
        let answers = racers.into_iter().map(|racer| {
            let (sender, receiver) = oneshot::channel();
            let start = Arc::clone(&start);
            self.env.spawn(Box::pin(async move {
                start.wait().await;
                // The receiver is gone only if the check was given up.
                let _ = sender.send(racer.await);
            }));
            receiver
        });
        let answers: Vec<_> = answers.collect();
        let answers = join_all(answers).await.into_iter().collect::<Result<_, _>>();
        answers.map_err(|_| Verdict::Failed("a call of the driver panicked, or its task was dropped".to_owned()))
    }

    /// Skips the check if the store was declared to lack create-only.
    pub(super) fn needs_create_only(&self) -> Finding {
        if self.limits.create_only { Ok(()) } else { skip("the store has no create-only") }
    }

    /// Skips the check if the store was declared to lack if-match.
    pub(super) fn needs_if_match(&self) -> Finding {
        if self.limits.if_match { Ok(()) } else { skip("the store has no if-match") }
    }
}

pub(super) fn skip<T>(reason: &str) -> Finding<T> {
    Err(Verdict::Skipped(reason.to_owned()))
}

/// Fails unless a call was refused with this kind of error.
pub(super) fn expect_error<T>(result: crate::Result<T>, kind: ErrorKind, what: &str) -> Finding {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(Verdict::Failed(format!("{what} gave {:?} instead of {kind:?}", error.kind()))),
        Ok(_) => Err(Verdict::Failed(format!("{what} succeeded instead of giving {kind:?}"))),
    }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(24)).unwrap_or_default()).into_owned()
}
