//! The documents that all engines hold: about 200 bytes each, the same for the same number.

use std::sync::LazyLock;

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

/// How many documents differ in more than their numbers.
const PATTERNS: usize = 8192;

/// Makes documents at next to no cost, so that what is measured is not how they are made.
pub struct Maker(Vec<Person>);

impl Maker {
    pub fn new() -> Self {
        Self(PATTERN.clone())
    }

    /// Document `id` after it was written `revision` times again.
    pub fn person(&mut self, id: u64, revision: u64) -> &Person {
        let mixed = mix(id, revision);
        let person = &mut self.0[mixed as usize % PATTERNS];
        (person.id, person.balance_cents) = (id, balance_cents(mixed));
        person
    }
}

static PATTERN: LazyLock<Vec<Person>> = LazyLock::new(|| (0..PATTERNS as u64).map(Person::pattern).collect());

fn mix(id: u64, revision: u64) -> u64 {
    let mixed = (id ^ revision.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (mixed >> 32)
}

fn balance_cents(mixed: u64) -> i64 {
    (mixed >> 20) as i64 % 10_000_000
}

impl Person {
    /// Document `id` after it was written `revision` times again.
    pub fn new(id: u64, revision: u64) -> Self {
        let mixed = mix(id, revision);
        Self { id, balance_cents: balance_cents(mixed), ..PATTERN[mixed as usize % PATTERNS].clone() }
    }

    fn pattern(number: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(number);
        let name = format!("{} {:08x}", NAMES[random.usize(..NAMES.len())], random.u32(..));
        let note: String = std::iter::repeat_with(|| random.alphanumeric()).take(80).collect();
        Self {
            id: 0,
            email: format!("{:06x}@example.org", random.u32(..1 << 24)),
            name,
            city: CITIES[random.usize(..CITIES.len())].to_owned(),
            age: random.u32(18..99),
            balance_cents: 0,
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

    /// A number to which every field adds: equal sums mean equal answers. Cheap, as it is part of what is measured.
    pub fn digest(&self) -> u64 {
        let numbers = [self.id, self.age.into(), self.balance_cents as u64, u64::from(self.is_active)];
        let texts = [&self.name, &self.email, &self.city, &self.note].into_iter().chain(&self.tags);
        let start = numbers.into_iter().fold(0, add_to_digest);
        texts.fold(start, |sum, text| {
            let (words, rest) = text.as_bytes().as_chunks::<8>();
            let sum = words.iter().fold(sum, |sum, word| add_to_digest(sum, u64::from_le_bytes(*word)));
            let rest = rest.iter().fold(text.len() as u64, |word, byte| word << 8 | u64::from(*byte));
            add_to_digest(sum, rest)
        })
    }
}

fn add_to_digest(sum: u64, number: u64) -> u64 {
    (sum.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
