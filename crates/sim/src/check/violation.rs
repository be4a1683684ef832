use std::fmt;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub rule: &'static str,
    /// What was seen instead.
    pub detail: String,
    /// The numbers of the operations that it is about, in the history.
    pub operations: Vec<u64>,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, detail: String, operations: Vec<u64>) -> Self {
        Self { rule, detail, operations }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule, self.detail)
    }
}
