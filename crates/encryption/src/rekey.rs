use std::ops::ControlFlow;
use std::time::Duration;

use bucketdb_driver::{Condition, Driver, DriverError, ErrorKind, Key, Object, Operation, Result};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::EncryptedDriver;
use crate::format::{HEADER_BYTES, Header};
use crate::stream::failed;

/// How many objects are looked at at once.
const PARALLEL_OBJECTS: usize = 8;

/// How often an object is tried that somebody else replaces meanwhile, or on which the store gives no clear answer.
const ATTEMPTS: u32 = 6;

/// The pause after the first failed attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What a change of keys found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RekeyReport {
    /// How many objects were looked at.
    pub objects: u64,
    /// How many of them were sealed with another key than the current one, and are with it now.
    pub rewritten: u64,
    /// How many were removed by others before they could be rewritten.
    pub removed: u64,
}

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    UpToDate,
    Rewritten,
    Removed,
}

/// A change of keys that is to be made with [`run`](Self::run).
#[derive(Debug)]
#[must_use = "nothing is rewritten before it is run"]
pub struct Rekeying<'a> {
    driver: &'a EncryptedDriver,
    prefix: &'a str,
}

impl EncryptedDriver {
    /// Seals everything below `prefix` that was sealed with an earlier key anew, with the current one.
    pub fn rekey<'a>(&'a self, prefix: &'a str) -> Rekeying<'a> {
        Rekeying { driver: self, prefix }
    }
}

impl Rekeying<'_> {
    /// Looks at the beginning of every object, at one small get each, and replaces those of earlier keys, each only if it is
    /// still the version that was read. So it may run beside readers, writers and whoever removes objects: what is removed
    /// meanwhile stays so, and what is replaced meanwhile is looked at again. It may be broken off and begun anew.
    ///
    /// Objects that others write with an earlier key while it runs may be missed: first give all processes the new key as
    /// the current one.
    ///
    /// `is_meant` tells which objects are looked at: others may be sealed as something else, or not at all.
    ///
    /// `may_return` tells which objects nobody misses or minds, so that they can be replaced without the condition where
    /// the store does not offer it (for long objects, S3 does not): one that is removed at the same moment may come back.
    ///
    /// `progress` is told every now and then what was done so far.
    ///
    /// # Errors
    /// The first failure: what was rewritten stays so. [`ErrorKind::Permanent`] for an object that is not encrypted, or with
    /// an unknown key.
    pub async fn run(
        self,
        is_meant: impl Fn(&Key) -> bool + Send + Sync,
        may_return: impl Fn(&Key) -> bool + Send + Sync,
        mut progress: impl FnMut(RekeyReport) + Send,
    ) -> Result<RekeyReport> {
        let mut report = RekeyReport::default();
        let mut next = None;
        loop {
            let page = self.driver.inner.list(self.prefix, next.as_deref()).await?;
            let keys = page.objects.into_iter().map(|object| object.key).filter(&is_meant);
            let may_return = &may_return;
            let outcomes = keys.map(|key| async move { self.driver.rewrite(&key, may_return(&key)).await });
            let mut outcomes = stream::iter(outcomes).buffer_unordered(PARALLEL_OBJECTS);
            while let Some(outcome) = outcomes.try_next().await? {
                report.objects += 1;
                match outcome {
                    Outcome::UpToDate => {}
                    Outcome::Rewritten => report.rewritten += 1,
                    Outcome::Removed => report.removed += 1,
                }
                progress(report);
            }
            next = page.next;
            if next.is_none() {
                return Ok(report);
            }
        }
    }
}

impl EncryptedDriver {
    /// Rewrites an object unless it is sealed with the current key.
    async fn rewrite(&self, key: &Key, may_return: bool) -> Result<Outcome> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.try_rewrite(key, may_return).await {
                Ok(ControlFlow::Break(outcome)) => return Ok(outcome),
                Ok(ControlFlow::Continue(())) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
            self.env.sleep(pause).await;
            pause *= 2;
        }
        match self.try_rewrite(key, may_return).await? {
            ControlFlow::Break(outcome) => Ok(outcome),
            ControlFlow::Continue(()) => {
                let detail = "others replaced it again and again";
                Err(DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), detail))
            }
        }
    }

    async fn try_rewrite(&self, key: &Key, may_return: bool) -> Result<ControlFlow<Outcome>> {
        let found = match self.inner.get_range(key, 0..HEADER_BYTES as u64).await {
            Err(error) if error.is_not_found() => return Ok(ControlFlow::Break(Outcome::Removed)),
            found => found?,
        };
        let Object { body, etag } = found;
        let header = Header::decode(&body, 0).map_err(|reason| failed(key, reason))?;
        if header.key == self.keys.current().id() {
            return Ok(ControlFlow::Break(Outcome::UpToDate));
        }
        self.keys.get(header.key).map_err(|reason| failed(key, reason))?;
        let outcome = match self.put_anew(key, Condition::IfMatch(etag)).await {
            Err(error) if error.kind() == ErrorKind::Unsupported && may_return => {
                self.put_anew(key, Condition::Always).await
            }
            outcome => outcome,
        };
        match outcome {
            Ok(()) => Ok(ControlFlow::Break(Outcome::Rewritten)),
            // Somebody replaced or removed it: another look tells.
            Err(error) if error.is_precondition_failed() || error.is_not_found() => Ok(ControlFlow::Continue(())),
            Err(error) => Err(error),
        }
    }

    /// Reads an object and seals it anew, a piece at a time where the store takes pieces.
    async fn put_anew(&self, key: &Key, condition: Condition) -> Result<()> {
        self.put_stream(key, self.get_stream(key).await?, condition).await.map(drop)
    }
}
