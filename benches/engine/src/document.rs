//! The documents that all engines hold: about 200 bytes each, the same for the same number.

use bucketdb::Document;
use serde::{Deserialize, Serialize};

/// A document as an application would have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "people")]
pub struct Person {
    #[document(key)]
    pub id: u64,
    pub name: String,
    pub email: String,
    pub city: String,
    pub age: u32,
    pub balance_cents: i64,
    pub is_active: bool,
    pub tags: Vec<String>,
    pub note: String,
}

const NAMES: [&str; 8] = ["Alice", "Bertrand", "Chiara", "Dmitri", "Eleonora", "Farid", "Giulia", "Hiroshi"];
const CITIES: [&str; 6] = ["Bern", "Lausanne", "Zurich", "Basel", "Lugano", "St. Gallen"];
const TAGS: [&str; 5] = ["new", "paying", "beta", "support", "abroad"];

impl Person {
    /// Document `id` after it was written `revision` times again.
    pub fn new(id: u64, revision: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ revision);
        let name = format!("{} {:08x}", NAMES[random.usize(..NAMES.len())], random.u32(..));
        let note: String = std::iter::repeat_with(|| random.alphanumeric()).take(24).collect();
        Self {
            id,
            email: format!("{:06x}@example.org", random.u32(..1 << 24)),
            name,
            city: CITIES[random.usize(..CITIES.len())].to_owned(),
            age: random.u32(18..99),
            balance_cents: random.i64(-100_000..1_000_000),
            is_active: random.bool(),
            tags: (0..random.usize(..3)).map(|_| TAGS[random.usize(..TAGS.len())].to_owned()).collect(),
            note,
        }
    }

    /// What key-value stores hold of it: MessagePack by field name, as BucketDB's rows.
    pub fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("a document serialises")
    }

    pub fn decode(bytes: &[u8]) -> Self {
        rmp_serde::from_slice(bytes).expect("what was written is a document")
    }

    /// A number to which every field that a test looks at adds: equal sums mean equal answers.
    pub fn digest(&self) -> u64 {
        self.id
            .wrapping_mul(31)
            .wrapping_add(self.age.into())
            .wrapping_mul(31)
            .wrapping_add(self.balance_cents as u64)
            .wrapping_mul(31)
            .wrapping_add(self.note.bytes().fold(0, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte)))
    }
}
