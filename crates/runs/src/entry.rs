use bucketdb_log::Seq;
use bytes::Bytes;

/// What a run says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// The key.
    pub key: Bytes,
    /// The position of the log that wrote it.
    pub seq: Seq,
    /// The row, or `None` if the key was deleted.
    pub row: Option<Bytes>,
}
