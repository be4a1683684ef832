use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bucketdb_env::Environment;
use bytes::Bytes;

use crate::{EncryptionKeys, seal};

/// Seals bytes under a name as [`EncryptedDriver`](crate::EncryptedDriver) does objects, for whoever keeps them elsewhere than
/// in a store. Clones share the keys.
#[derive(Clone)]
pub struct ObjectSealer {
    pub(crate) keys: Arc<EncryptionKeys>,
    pub(crate) env: Arc<dyn Environment>,
}

impl ObjectSealer {
    /// The sealed object of this name: [`sealed_bytes`](crate::sealed_bytes) tells how long it is. No two are alike.
    #[must_use]
    pub fn seal(&self, name: &str, body: &[u8]) -> Bytes {
        seal::seal(&self.keys, name, &*self.env, body)
    }

    /// What lies in `range` of an object, from what the sealed one has in [`sealed_range`](crate::sealed_range) of it, as far as
    /// it reaches. `None` if that is not what was sealed under this name, or was sealed with a key that is not known.
    #[must_use]
    pub fn open_range(&self, name: &str, sealed: &[u8], range: Range<u64>) -> Option<Bytes> {
        seal::open_range(&self.keys, name, sealed, range).ok()
    }
}

impl fmt::Debug for ObjectSealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ObjectSealer").field("keys", &self.keys).finish_non_exhaustive()
    }
}
