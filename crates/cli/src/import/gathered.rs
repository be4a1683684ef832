use std::collections::HashMap;

use super::target::Pending;

/// Documents that wait to be written together, each key once: of several with one key, the last counts.
#[derive(Default)]
pub(super) struct Gathered {
    documents: Vec<Pending>,
    size_bytes: usize,
    /// Where the document with a key is.
    places: HashMap<String, usize>,
}

impl Gathered {
    /// Takes a document in the place of one with its key; gives it back if there is none.
    pub(super) fn replace(&mut self, pending: Pending) -> Option<Pending> {
        let place = self.places.get(&pending.key_text);
        let Some(earlier) = place.and_then(|place| self.documents.get_mut(*place)) else { return Some(pending) };
        self.size_bytes = self.size_bytes - earlier.size_bytes + pending.size_bytes;
        *earlier = Pending { is_duplicate: earlier.is_duplicate, ..pending };
        None
    }

    /// Takes a document whose key is not there.
    pub(super) fn push(&mut self, pending: Pending) {
        self.places.insert(pending.key_text.clone(), self.documents.len());
        self.size_bytes += pending.size_bytes;
        self.documents.push(pending);
    }

    /// Gives them all, in the order in which their keys came first.
    pub(super) fn take(&mut self) -> Vec<Pending> {
        std::mem::take(self).documents
    }

    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_one_key_the_last_counts_in_the_place_of_the_first() {
        let pending = |key: &str, size_bytes, is_duplicate| {
            let (key, key_text, document) = (json!(key), key.to_owned(), json!({ "size": size_bytes }));
            Pending { line: 1, key, key_text, document, size_bytes, is_duplicate, place: 1 }
        };
        let mut gathered = Gathered::default();
        for (key, size_bytes) in [("a", 5), ("b", 7), ("a", 9)] {
            if let Some(new) = gathered.replace(pending(key, size_bytes, key == "a" && size_bytes == 9)) {
                gathered.push(new);
            }
        }
        assert_eq!((gathered.len(), gathered.size_bytes()), (2, 16));
        let documents = gathered.take();
        let found: Vec<_> = documents.iter().map(|document| (document.size_bytes, document.is_duplicate)).collect();
        assert_eq!(found, [(9, false), (7, false)]);
        assert_eq!((gathered.len(), gathered.size_bytes()), (0, 0));
        assert!(gathered.replace(pending("a", 1, false)).is_some());
    }
}
