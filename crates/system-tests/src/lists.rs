use bucketdb::Document;
use serde::{Deserialize, Serialize};

/// So many lists are in use at a time: few enough for transactions to meet.
pub const LISTS: u64 = 6;

/// With so many values a list is full, and a new generation of lists is begun: lists that only grow would soon take all
/// the time.
pub const FULL_LIST: usize = 48;

/// A list that is appended to and read. One that is not stored is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Document)]
#[document(table = "lists", version = 1)]
pub struct List {
    /// The key: the generation times [`LISTS`], and which list of the generation it is.
    #[document(key)]
    pub id: u64,
    /// What was appended, oldest first.
    pub values: Vec<u64>,
}

impl List {
    /// A list that nobody appended to.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self { id, values: Vec::new() }
    }

    /// The generation after this list's.
    #[must_use]
    pub fn next_generation(&self) -> u64 {
        self.id / LISTS + 1
    }
}
