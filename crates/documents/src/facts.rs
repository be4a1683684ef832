use std::collections::BTreeMap;

use bucketdb_log::Seq;

use crate::{EncodedKey, IndexId, TableId};

/// What is known of the rows on which the conditions of a transaction rest, where that was read from runs.
///
/// It travels with a proposal to whoever validates it, who cannot wait for a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The position at which it was read.
    pub at: Seq,
    /// When each row was last written; `None` if there is no row.
    pub versions: BTreeMap<(TableId, EncodedKey), Option<Seq>>,
    /// The position that the base covers in which holders were looked for.
    pub base: Seq,
    /// The keys of the documents that have these values of a unique index in the base.
    pub holders: BTreeMap<(IndexId, Vec<u8>), Vec<EncodedKey>>,
}
