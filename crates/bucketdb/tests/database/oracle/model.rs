//! What writes do to a table, in plain code: which documents there are then, and why they are refused.

use std::collections::BTreeSet;

use bucketdb::Error;
use serde_json::Value;

use super::question::{Term, index_text};
use super::schema::{Documents, Shape};
use super::values::values_at;

/// A change of one document.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Value),
    Insert(Value),
    Replace(Value),
    /// Of the document with the key of this one; nothing if there is none.
    Delete(Value),
    /// Of one that must be there.
    Remove(Value),
    /// The fields of the second in the document with the key of the first; those that are null are removed.
    Patch(Value, Value),
}

impl Write {
    pub(crate) fn document(&self) -> &Value {
        match self {
            Self::Put(document) | Self::Insert(document) | Self::Replace(document) => document,
            Self::Delete(document) | Self::Remove(document) | Self::Patch(document, _) => document,
        }
    }
}

/// Why a write is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    Exists,
    Missing,
    NotUnique,
}

impl Refusal {
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::AlreadyExists { .. } => Some(Self::Exists),
            Error::NotFound { .. } => Some(Self::Missing),
            Error::UniqueViolation { .. } => Some(Self::NotUnique),
            _ => None,
        }
    }
}

/// A table as it has to be.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) shape: Shape,
    pub(crate) documents: Documents,
    /// Those that are unique, too.
    pub(crate) indexes: Vec<Vec<Term>>,
    pub(crate) unique: Vec<Vec<Term>>,
}

impl Model {
    /// What several writes at once leave, and all that could be said against them: if there is nothing, they happen.
    pub(crate) fn after(&self, writes: &[Write]) -> (Documents, BTreeSet<Refusal>) {
        let (mut documents, mut refusals) = (self.documents.clone(), BTreeSet::new());
        let mut written = BTreeSet::new();
        for write in writes {
            let key = self.shape.key_of(write.document());
            let is_there = documents.contains_key(&key);
            match write {
                Write::Insert(_) if is_there => {
                    refusals.insert(Refusal::Exists);
                }
                Write::Replace(_) | Write::Remove(_) | Write::Patch(..) if !is_there => {
                    refusals.insert(Refusal::Missing);
                }
                _ => {}
            }
            match write {
                Write::Put(document) | Write::Insert(document) | Write::Replace(document) => {
                    documents.insert(key.clone(), self.shape.stored(document.clone()));
                    written.insert(key);
                }
                Write::Delete(_) | Write::Remove(_) => {
                    documents.remove(&key);
                    written.remove(&key);
                }
                Write::Patch(_, patch) => {
                    if let Some(document) = documents.get_mut(&key) {
                        for (name, value) in patch.as_object().unwrap() {
                            match value {
                                Value::Null => drop(document.as_object_mut().unwrap().shift_remove(name)),
                                value => document[name] = value.clone(),
                            }
                        }
                        *document = self.shape.stored(document.take());
                        written.insert(key);
                    }
                }
            }
        }
        for key in &written {
            let others = || documents.iter().filter(|(other, _)| *other != key).map(|(_, document)| document);
            if self.unique.iter().any(|index| others().any(|other| self.share(index, &documents[key], other))) {
                refusals.insert(Refusal::NotUnique);
            }
        }
        (documents, refusals)
    }

    /// Whether two documents have the same in an index, and all of it.
    fn share(&self, index: &[Term], left: &Value, right: &Value) -> bool {
        index.iter().all(|term| {
            let values =
                |document| values_at(document, term.spot).into_iter().filter(|value: &&Value| !value.is_null());
            values(left).any(|left| values(right).any(|right| self.shape.order(term.spot, left, right).is_eq()))
        })
    }

    /// Whether there are two documents that have the same in an index.
    pub(crate) fn has_duplicates(&self, index: &[Term]) -> bool {
        let all: Vec<&Value> = self.documents.values().collect();
        (0..all.len()).any(|at| all[at + 1..].iter().any(|other| self.share(index, all[at], other)))
    }

    pub(crate) fn has_index(&self, index: &[Term]) -> bool {
        self.indexes.iter().any(|known| index_text(known) == index_text(index))
    }
}
