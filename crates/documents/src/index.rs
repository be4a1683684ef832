use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::str::FromStr;

use bucketdb_query::{Direction, Order, Path, TextTypes};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::index_value::{LARGE_LIST, MAX_VALUE_BYTES, first_value, put_value, read_value};
use crate::{EncodedKey, InvalidSchema, Layouts, row};

/// An index, for ever: its number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IndexId(pub u32);

/// What an index is to hold, as a schema declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexDefinition {
    /// By what it orders documents, in the text form of [`Order`]: `role`, `address.city, age desc`, `tags[*]`. Also its
    /// name.
    pub fields: String,
    /// Whether no two documents may have the same values, unless one of them is missing or null.
    pub is_unique: bool,
}

/// Of a list with more elements than that, an index over its elements does not hold each.
const MAX_ELEMENTS: usize = 1000;

/// Nor of one whose entries would take more bytes than that, all values of the index included.
const MAX_ELEMENT_BYTES: usize = 64 << 10;

/// The largest number of fields.
const MAX_FIELDS: usize = 16;

impl IndexDefinition {
    /// Its fields, if it can be.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn order(&self, table: &str) -> Result<Order, InvalidSchema> {
        let invalid = |reason: String| InvalidSchema { table: table.to_owned(), reason };
        let order = Order::from_str(&self.fields)
            .map_err(|error| invalid(format!("the index {:?} does not read: {error}", self.fields)))?;
        if order.is_empty() || order.terms().len() > MAX_FIELDS {
            return Err(invalid(format!("the index {:?} has not 1 to {MAX_FIELDS} fields", self.fields)));
        }
        let twice = |(at, path): (usize, &Path)| order.terms().iter().take(at).any(|term| term.path == *path);
        if let Some((_, path)) = order.terms().iter().map(|term| &term.path).enumerate().find(|at| twice(*at)) {
            return Err(invalid(format!("the index {:?} has {path} twice", self.fields)));
        }
        if order.terms().iter().filter(|term| term.path.is_multiple()).count() > 1 {
            return Err(invalid(format!("the index {:?} is over the elements of more than one list", self.fields)));
        }
        Ok(order)
    }
}

/// An index of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its number.
    pub id: IndexId,
    /// What it orders documents by.
    pub order: Order,
    /// Whether no two documents may have the same values.
    pub is_unique: bool,
    /// What the texts of its fields stand for. It never changes.
    pub types: TextTypes,
}

/// What one document has in an index: the values by which it is ordered, as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexValues {
    /// The values, one after the other.
    pub bytes: Vec<u8>,
    /// Whether one of them is missing or null.
    pub has_null: bool,
    /// Whether one of them was cut because it is too long, or is a list of too many elements.
    pub is_cut: bool,
}

impl Index {
    /// Whether it is over the elements of a list, so that a document may be there more than once.
    #[must_use]
    pub fn is_multiple(&self) -> bool {
        self.order.terms().iter().any(|term| term.path.is_multiple())
    }

    /// What a document has in this index: once, or once for each different element if the index is over those of a list.
    /// Every document is there: without the value, as missing, and with a list of more than a thousand elements once in
    /// front of all others, as one that has to be looked at for whatever is asked; so is one whose elements, with the other values
    /// of the index, take more than 64 KiB.
    #[must_use]
    pub fn values(&self, document: &Value) -> BTreeSet<IndexValues> {
        let start = IndexValues { bytes: Vec::with_capacity(32), has_null: false, is_cut: false };
        let mut all = vec![start];
        for term in self.order.terms() {
            let is_descending = term.direction == Direction::Descending;
            let found: Vec<&Value> = term.path.get(document).take(MAX_ELEMENTS + 1).collect();
            if found.len() > MAX_ELEMENTS {
                return [IndexValues { bytes: vec![LARGE_LIST], has_null: false, is_cut: true }].into();
            }
            let comparable: Vec<Value>;
            let found: Vec<&Value> = match self.types.of_path(&term.path) {
                None => found,
                Some(text_type) => {
                    comparable = found.into_iter().map(|value| text_type.comparable(value.clone())).collect();
                    comparable.iter().collect()
                }
            };
            let found: Vec<Option<&Value>> =
                if found.is_empty() { vec![None] } else { found.into_iter().map(Some).collect() };
            let with = |values: &IndexValues, value: Option<&Value>| {
                let mut values = values.clone();
                values.is_cut |= put_value(&mut values.bytes, value, is_descending);
                values.has_null |= value.is_none_or(Value::is_null);
                values
            };
            all = all.iter().flat_map(|values| found.iter().map(move |value| with(values, *value))).collect();
            if all.len() > 1 && all.iter().map(|values| values.bytes.len()).sum::<usize>() > MAX_ELEMENT_BYTES {
                return [IndexValues { bytes: vec![LARGE_LIST], has_null: false, is_cut: true }].into();
            }
        }
        all.into_iter().collect()
    }

    /// The values that an entry holds, one for each field, as [`bucketdb_query::canonical`] gives them; `None` in the list: it
    /// is missing. Nothing if one of them may have been cut, or is nested too deep, so that only the row has it.
    #[must_use]
    pub fn read_values(&self, values: &[u8]) -> Option<Vec<Option<Value>>> {
        let mut rest = values;
        let terms = self.order.terms().iter();
        terms
            .map(|term| {
                let (value, len) = read_value(rest, term.direction == Direction::Descending)?;
                rest = rest.get(len..)?;
                Some(value)
            })
            .collect()
    }

    /// What the document in a row has in this index.
    #[must_use]
    pub fn values_of_row(&self, row: &Bytes, layouts: &Layouts) -> BTreeSet<IndexValues> {
        self.values(&indexed_document(row, layouts, [self]))
    }

    /// Whether values may stand in a unique index more than once: one of them is missing or null, or not held whole.
    #[must_use]
    pub fn is_exempt(&self, values: &[u8]) -> bool {
        if values == [LARGE_LIST] {
            return true;
        }
        let mut rest = values;
        for term in self.order.terms() {
            let is_descending = term.direction == Direction::Descending;
            let (is_null, len) = first_value(rest, is_descending);
            if is_null || len >= MAX_VALUE_BYTES {
                return true;
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        false
    }

    /// Whether the document in a row has these values.
    #[must_use]
    pub fn has_values(&self, row: &Bytes, layouts: &Layouts, wanted: &[u8]) -> bool {
        self.values_of_row(row, layouts).iter().any(|values| values.bytes == wanted)
    }
}

/// What of the document in a row it takes for the [`Index::values`] of these indexes. One that does not read stands where one
/// without any field does.
#[must_use]
pub fn indexed_document<'i>(row: &Bytes, layouts: &Layouts, indexes: impl IntoIterator<Item = &'i Index>) -> Value {
    let terms = indexes.into_iter().flat_map(|index| index.order.terms());
    let names = terms.filter_map(|term| term.path.first_field());
    row::look(row, layouts, |document| document.to_object(names)).unwrap_or(Value::Null)
}

/// One document in one place of an index: where it is ordered, then its key. Entries compare by that, and by nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The values, then the key: entries compare by them.
    pub bytes: Bytes,
    /// How many of those bytes are values.
    pub values_len: usize,
    /// When the document ends, in milliseconds since 1970, if it does.
    pub ends_ms: Option<u64>,
}

impl Ord for IndexEntry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl PartialOrd for IndexEntry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl IndexEntry {
    /// Of a document with that key.
    #[must_use]
    pub fn new(values: &[u8], key: &EncodedKey) -> Self {
        Self { bytes: [values, key.as_bytes()].concat().into(), values_len: values.len(), ends_ms: None }
    }

    /// Of a document that ends then.
    #[must_use]
    pub fn ending(self, ends_ms: Option<u64>) -> Self {
        Self { ends_ms, ..self }
    }

    /// Whether the document has ended at a time, in milliseconds since 1970.
    #[must_use]
    pub fn has_ended(&self, now_ms: u64) -> bool {
        self.ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms)
    }

    /// The document's key.
    #[must_use]
    pub fn key(&self) -> EncodedKey {
        EncodedKey::from_checked(self.bytes.slice(self.values_len.min(self.bytes.len())..))
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[u8] {
        self.bytes.get(..self.values_len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index(fields: &str) -> Index {
        let order = IndexDefinition { fields: fields.to_owned(), is_unique: false }.order("t").unwrap();
        Index { id: IndexId(1), order, is_unique: false, types: TextTypes::default() }
    }

    fn refused(fields: &str) -> String {
        IndexDefinition { fields: fields.to_owned(), is_unique: false }.order("t").unwrap_err().to_string()
    }

    #[test]
    fn a_document_is_there_once_for_each_different_element() {
        let tags = index("tags[*], age desc");
        assert_eq!(tags.values(&json!({"tags": ["b", "a", "b"], "age": 3})).len(), 2);
        let none = tags.values(&json!({"tags": [], "age": 3}));
        assert_eq!(none.len(), 1);
        assert!(none.iter().all(|values| values.has_null));
        assert_eq!(index("age").values(&json!({"age": 3})), index("age").values(&json!({"age": 3.0})));
    }

    #[test]
    fn what_cannot_be_an_index_is_refused() {
        assert!(refused("a, b, a desc").contains("has a twice"), "{}", refused("a, b, a desc"));
        assert!(refused("a[*], b[*]").contains("more than one list"));
        assert!(refused("a b").contains("does not read"));
        assert!(refused("").contains("does not read") || refused("").contains("1 to 16"));
    }

    #[test]
    fn an_entry_has_its_document_s_key() {
        let key = EncodedKey::new(&[crate::KeyPart::Integer(7)]).unwrap();
        let entry = IndexEntry::new(b"values", &key);
        assert_eq!((entry.key(), entry.values()), (key, b"values".as_slice()));
    }
}
