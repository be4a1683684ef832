use std::ops::{Bound, RangeBounds};

use bucketdb_documents::{AsKey, EncodedKey, KeyPart, KeyRange};
use serde_json::Value;

use crate::Result;
use crate::rows::TableRef;

/// A range of primary keys as a query's user gave it: what it means is known once the table is.
#[derive(Clone, Debug)]
pub(crate) enum KeyBounds {
    Parts(Bound<Vec<KeyPart>>, Bound<Vec<KeyPart>>),
    Values(Bound<Value>, Bound<Value>),
}

impl KeyBounds {
    pub(crate) fn of_parts<K, A: AsKey<K>>(range: &impl RangeBounds<A>) -> Self {
        Self::Parts(range.start_bound().map(AsKey::key_parts), range.end_bound().map(AsKey::key_parts))
    }

    pub(crate) fn of_values(range: &impl RangeBounds<Value>) -> Self {
        Self::Values(range.start_bound().cloned(), range.end_bound().cloned())
    }

    /// The range of a table's keys; all of them if there are no bounds.
    pub(crate) fn range(bounds: Option<&Self>, table: &TableRef) -> Result<KeyRange> {
        let (start, end) = match bounds {
            None => (Bound::Unbounded, Bound::Unbounded),
            Some(Self::Parts(start, end)) => {
                (try_map(start, |parts| table.key(parts))?, try_map(end, |parts| table.key(parts))?)
            }
            Some(Self::Values(start, end)) => {
                (try_map(start, |value| table.parse_key(value))?, try_map(end, |value| table.parse_key(value))?)
            }
        };
        Ok(KeyRange { table: table.id, start, end })
    }
}

fn try_map<T>(bound: &Bound<T>, encode: impl FnOnce(&T) -> Result<EncodedKey>) -> Result<Bound<EncodedKey>> {
    Ok(match bound {
        Bound::Included(key) => Bound::Included(encode(key)?),
        Bound::Excluded(key) => Bound::Excluded(encode(key)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}
