//! JSON merge patches (RFC 7396, before it RFC 7386).

use bucketdb_documents::{Change, Condition, EncodedKey};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::Result;
use crate::rows::{Stored, TableRef};

/// Changes what a patch has: objects field by field, anything else as a whole; `null` removes a field.
pub(crate) fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        document.clone_from(patch);
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(fields) = document else { return };
    for (name, change) in patch {
        if change.is_null() {
            // Not by swapping: the other fields stay in their order.
            fields.shift_remove(name);
        } else {
            merge(fields.entry(name.as_str()).or_insert(Value::Null), change);
        }
    }
}

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
        if !patch.is_object() {
            return Err(self.invalid_document(key, "a patch is a JSON object"));
        }
        let mut document: Value = self.decode(key, row)?;
        merge(&mut document, patch);
        let mut change = self.put_value(&document, condition)?;
        self.made_of(&mut change, row)?;
        self.check_same_key(key, &change.key)?;
        let patched = match &change.kind {
            bucketdb_documents::ChangeKind::Put(row) => self.decode(key, row)?,
            bucketdb_documents::ChangeKind::Delete => return Err(self.not_found(key)),
        };
        Ok((patched, change))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn merged(document: Value, patch: &Value) -> Value {
        let mut document = document;
        merge(&mut document, patch);
        document
    }

    #[test]
    fn the_examples_of_the_rfc() {
        for (document, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merged(document.clone(), &patch), result, "{document} with {patch}");
        }
    }

    #[test]
    fn what_is_left_stays_in_its_order() {
        let document = merged(json!({"a": 1, "b": 2, "c": 3, "d": 4}), &json!({"b": null, "d": 5, "e": 6}));
        assert_eq!(document.to_string(), r#"{"a":1,"c":3,"d":5,"e":6}"#);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), Just(json!([1]))];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect()))
        })
    }

    /// The difference of two documents as a patch, where they have no nulls.
    fn difference(from: &Value, to: &Value) -> Value {
        let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
        let removed = from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name.clone(), Value::Null));
        let changed = to.iter().filter_map(|(name, to)| match from.get(name) {
            Some(from) if from == to => None,
            Some(from) => Some((name.clone(), difference(from, to))),
            None => Some((name.clone(), to.clone())),
        });
        Value::Object(removed.chain(changed).collect())
    }

    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(n, v)| (n, without_nulls(v))).collect()
            }
            other => other,
        }
    }

    proptest! {
        #[test]
        fn a_patch_twice_is_a_patch_once_and_the_difference_leads_there(from in any_value(), to in any_value()) {
            let once = merged(from.clone(), &to);
            prop_assert_eq!(merged(once.clone(), &to), once);
            let (from, to) = (without_nulls(from), without_nulls(to));
            prop_assert_eq!(merged(from.clone(), &difference(&from, &to)), to);
        }
    }
}
