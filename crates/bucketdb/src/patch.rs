//! JSON merge patches (RFC 7396, before it RFC 7386).

use std::borrow::Cow;

use bucketdb_documents::{Change, ChangeKind, Condition, EncodedKey, row};
use bytes::Bytes;
use serde_json::Value;

use crate::Result;
use crate::rows::{Stored, TableRef};

impl TableRef {
    /// The document that a patch makes of a stored one, and the change that writes it.
    ///
    /// # Errors
    /// [`Error::InvalidDocument`](crate::Error::InvalidDocument) if the patch is no object, or if the result has not the
    /// shape of `T`; [`Error::InvalidKey`](crate::Error::InvalidKey) if it has another key.
    pub(crate) fn patch<T: Stored>(
        &self,
        key: &EncodedKey,
        row: &Bytes,
        patch: &Value,
        condition: Condition,
    ) -> Result<(T, Change)> {
        let Value::Object(patch) = patch else {
            return Err(self.invalid_document(key, "a patch is a JSON object"));
        };
        let invalid = |error| self.invalid_document(key, error);
        let current = self.current(key, row)?;
        let patched = row::patched(&current, patch, &self.layouts);
        let patched = patched.map_err(|error| self.unreadable(key, &current, error))?;
        let names = || self.schema.key().iter().map(|field| field.name.as_str());
        // What neither the patch nor a step touched is as it was, whether or not JSON shows it as a key.
        if matches!(current, Cow::Owned(_)) || names().any(|name| patch.contains_key(name)) {
            let part = row::look(&patched, &self.layouts, |document| document.to_object(names())).map_err(invalid)?;
            self.check_same_key(key, &self.key_of(&part)?)?;
        }
        let mut change = Change { table: self.id, key: key.clone(), condition, kind: ChangeKind::Put(patched) };
        self.made_of(&mut change, row)?;
        let patched = match &change.kind {
            ChangeKind::Put(row) => self.decode(key, row)?,
            ChangeKind::Delete => return Err(self.not_found(key)),
        };
        Ok((patched, change))
    }
}
