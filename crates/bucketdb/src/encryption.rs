//! What is particular about an encrypted database: everything else sees a store.

use std::ops::Range;
use std::sync::Arc;

use bucketdb_driver::{Driver, Key};
use bucketdb_encryption::{
    EncryptedDriver, EncryptionKeys, ObjectSealer, RekeyReport, is_sealed, sealed_bytes, sealed_range,
};
use bucketdb_env::Environment;
use bucketdb_log::{BranchOrigin, Layout, LogError};
use bucketdb_runs::FileSealer;
use bytes::Bytes;

use crate::{Database, Error, Result};

/// The store of a database, sealed. Names count from the prefix on, as those in checksums do, so that a database can be
/// copied elsewhere as a whole.
pub(crate) fn seal(
    driver: Arc<dyn Driver>,
    keys: EncryptionKeys,
    env: Arc<dyn Environment>,
    layout: &Layout,
) -> EncryptedDriver {
    EncryptedDriver::new(driver, keys, env).relative_to(layout.prefix()).leaving_plain(BranchOrigin::is_name)
}

/// Seals the files of a cache with the keys of the database.
#[derive(Debug)]
pub(crate) struct CacheSealer(pub(crate) ObjectSealer);

/// What a file of the cache is bound to, so that it is taken for no object, and no object for it.
fn in_cache(name: &str) -> String {
    format!("cache_dir/{name}")
}

impl FileSealer for CacheSealer {
    fn seal(&self, name: &str, bytes: &[u8]) -> Bytes {
        self.0.seal(&in_cache(name), bytes)
    }

    fn sealed_bytes(&self, bytes: u64) -> u64 {
        sealed_bytes(bytes)
    }

    fn sealed_range(&self, range: &Range<u64>) -> Range<u64> {
        sealed_range(range)
    }

    fn open(&self, name: &str, sealed: &[u8], range: Range<u64>) -> Option<Bytes> {
        self.0.open_range(&in_cache(name), sealed, range)
    }
}

/// Why a database cannot be opened without a key: if it is encrypted, everything in it seems to be damaged.
pub(crate) async fn explain(error: LogError, driver: &dyn Driver, layout: &Layout) -> Error {
    if !matches!(error, LogError::Driver(_) | LogError::NoDatabase { .. })
        && let Some(object) = encrypted_object(driver, layout).await
    {
        return Error::Encrypted { object };
    }
    error.into()
}

/// The first object of a database, if it is encrypted.
async fn encrypted_object(driver: &dyn Driver, layout: &Layout) -> Option<String> {
    let page = driver.list(&layout.log_prefix(), None).await.ok()?;
    let key = page.objects.into_iter().next()?.key;
    let beginning = driver.get_range(&key, 0..8).await.ok()?.body;
    is_sealed(&beginning).then(|| key.as_str().to_owned())
}

impl Database {
    /// Encrypts everything that was encrypted with an earlier key anew, with the current one, while others read and write.
    /// `progress` is told now and then what was done so far.
    ///
    /// To change the key of a database: open it everywhere with the present key as the current one and the new key as an
    /// earlier one; then everywhere with the new key as the current one and the old key as an earlier one; then call this,
    /// once, anywhere; then open it everywhere with the new key alone. Whoever copied objects before that, and has the old
    /// key, can still read the copies.
    ///
    /// A branch is rekeyed by itself, as any database; what it shares is its parent's to rewrite.
    ///
    /// It costs a small get for every object, and a get and a put for each that is rewritten, which happens only if the object
    /// is still the one that was read: what others remove stays removed. Long objects, which S3 does not replace under a
    /// condition, are runs, manifests and blobs: one that is removed at the same moment may come back, and
    /// [`sweep`](Self::sweep) removes it. It may be broken off and called again.
    ///
    /// # Errors
    /// [`Error::NotEncrypted`] if the database was opened without keys; the store's error otherwise. What was rewritten
    /// stays so.
    pub async fn rekey(&self, progress: impl FnMut(RekeyReport) + Send) -> Result<RekeyReport> {
        let Some(driver) = &self.inner.encryption else { return Err(Error::NotEncrypted) };
        if self.inner.log.is_read_only() {
            return Err(LogError::ReadOnly.into());
        }
        let prefix = self.inner.log.layout().prefix();
        // What is written once under a name that nobody uses again, a sweep removes if nothing refers to it.
        let may_return = |key: &Key| {
            let name = key.as_str().strip_prefix(prefix).unwrap_or_default();
            Layout::parse_object(name).is_some()
        };
        let layout = self.inner.log.layout();
        Ok(driver.rekey(prefix).run(|key| layout.owns(key), may_return, progress).await.map_err(LogError::from)?)
    }
}
