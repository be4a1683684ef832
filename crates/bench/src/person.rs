use bucketdb::Document;
use serde::{Deserialize, Serialize};

/// A document of about 200 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "people")]
pub(crate) struct Person {
    #[document(key)]
    pub(crate) id: u64,
    pub(crate) name: String,
    #[document(index)]
    pub(crate) city: u32,
    pub(crate) balance_cents: i64,
    pub(crate) is_active: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) note: String,
}

impl Person {
    /// The same for the same number and revision.
    pub(crate) fn new(id: u64, revision: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(id ^ revision << 32);
        Self {
            id,
            name: std::iter::repeat_with(|| random.alphabetic()).take(18).collect(),
            city: random.u32(..1000),
            balance_cents: random.i64(0..10_000_000),
            is_active: random.bool(),
            tags: (0..random.usize(..3)).map(|tag| format!("tag {tag}")).collect(),
            note: std::iter::repeat_with(|| random.alphanumeric()).take(90).collect(),
        }
    }
}
