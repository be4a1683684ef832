//! The documents that are asked about, the same for the same number.

use std::sync::LazyLock;

use bucketdb::Document;
use serde::{Deserialize, Serialize};

use crate::report::processor_s;

/// A document of about 200 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "sales")]
pub struct Sale {
    #[document(key)]
    pub id: u64,
    pub customer: String,
    /// One of 10.
    pub status: String,
    /// One of 10.
    pub warehouse: u32,
    /// One of 10,000.
    pub article: u32,
    /// Evenly spread below 10 millions.
    pub amount_cents: i64,
    pub weight_kg: f64,
    pub is_paid: bool,
    pub note: String,
}

const STATUSES: [&str; 10] =
    ["open", "paid", "packed", "sent", "delivered", "returned", "refunded", "lost", "disputed", "closed"];

/// Notes differ in so many ways.
static NOTES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(7);
    (0..1024).map(|_| std::iter::repeat_with(|| random.alphanumeric()).take(110).collect()).collect()
});

impl Sale {
    pub fn new(id: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self {
            id,
            customer: format!("customer-{:08x}", random.u32(..)),
            status: STATUSES[random.usize(..10)].to_owned(),
            warehouse: random.u32(..10),
            article: random.u32(..10_000),
            amount_cents: random.i64(0..10_000_000),
            weight_kg: f64::from(random.u32(..100_000)) / 8.0,
            is_paid: random.bool(),
            note: NOTES[random.usize(..NOTES.len())].clone(),
        }
    }

    /// A number to which several fields add: equal sums mean equal answers.
    pub fn digest(&self) -> i64 {
        let texts = self.customer.len() + self.status.len() + self.note.len();
        self.amount_cents + i64::from(self.article) + i64::from(self.is_paid) + texts as i64 + self.weight_kg as i64
    }

    /// What it takes as MessagePack by field name.
    pub fn stored_bytes(&self) -> usize {
        rmp_serde::to_vec_named(self).map_or(0, |bytes| bytes.len())
    }
}

/// How many documents a second are cloned and dropped, by processor time.
pub fn clones_per_s() -> f64 {
    let sales: Vec<Sale> = (0..1000).map(Sale::new).collect();
    let started = processor_s();
    let mut digest = 0_i64;
    for _ in 0..1000 {
        for sale in &sales {
            digest = digest.wrapping_add(std::hint::black_box(sale.clone()).digest());
        }
    }
    std::hint::black_box(digest);
    1e6 / (processor_s() - started)
}
