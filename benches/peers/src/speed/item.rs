//! What is stored: documents of two sizes, which cost next to nothing to make, so that what is measured is not how they are made.

use std::fmt::Debug;
use std::sync::LazyLock;

use anyhow::{Result, ensure};
use bucketdb::Document;
use serde::{Deserialize, Serialize};

use crate::record::{Record, key};

/// How many documents differ in more than their numbers.
const PATTERNS: usize = 1024;

/// Hexadecimal digits that say which document it is, and how often it was written again.
const MARK_CHARS: usize = 32;

const NOTE_CHARS: usize = 184;

/// A document that every engine holds: key-value stores by its key, as the bytes of its fields one after the other, which
/// costs less than any encoding.
pub(crate) trait Item: Document<Key = String> + Clone + PartialEq + Debug {
    /// Document `number` after it was written `revision` times again.
    fn make(number: u64, revision: u64) -> Self;
    fn text_key(&self) -> &str;
    fn to_bytes(&self) -> Vec<u8>;
    fn from_bytes(key: &str, bytes: &[u8]) -> Result<Self>;
    /// The field that begins with the mark.
    fn marked(&self) -> &str;
    /// A number to which every byte adds: equal sums mean equal answers. Cheap, as it is part of what is measured.
    fn digest(&self) -> u64;

    fn revision(&self) -> Result<u64> {
        Ok(u64::from_str_radix(self.marked().get(16..MARK_CHARS).unwrap_or_default(), 16)?)
    }
}

fn mark(text: &mut String, number: u64, revision: u64) {
    text.replace_range(..MARK_CHARS, &format!("{:016x}{revision:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
}

fn pattern(number: u64) -> usize {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % PATTERNS
}

fn add(sum: u64, text: &str) -> u64 {
    let step = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let sum = words.iter().fold(sum, |sum, word| step(sum, u64::from_le_bytes(*word)));
    step(sum, rest.iter().fold(text.len() as u64, |word, byte| word << 8 | u64::from(*byte)))
}

/// A document of 200 bytes, key included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "notes")]
pub(crate) struct Note {
    #[document(key)]
    key: String,
    text: String,
}

static NOTES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let text = |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.alphanumeric()).take(NOTE_CHARS).collect()
    };
    (0..PATTERNS as u64).map(text).collect()
});

impl Item for Note {
    fn make(number: u64, revision: u64) -> Self {
        let mut text = NOTES[pattern(number)].clone();
        mark(&mut text, number, revision);
        Self { key: key(number), text }
    }

    fn text_key(&self) -> &str {
        &self.key
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.text.as_bytes().to_vec()
    }

    fn from_bytes(key: &str, bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() == NOTE_CHARS, "{key} has {} bytes", bytes.len());
        Ok(Self { key: key.to_owned(), text: std::str::from_utf8(bytes)?.to_owned() })
    }

    fn marked(&self) -> &str {
        &self.text
    }

    fn digest(&self) -> u64 {
        add(add(0, &self.key), &self.text)
    }
}

static RECORDS: LazyLock<Vec<Record>> =
    LazyLock::new(|| (0..PATTERNS as u64).map(|seed| Record::new(seed, 0)).collect());

impl Item for Record {
    fn make(number: u64, revision: u64) -> Self {
        let mut record = Self { key: key(number), ..RECORDS[pattern(number)].clone() };
        mark(&mut record.field0, number, revision);
        record
    }

    fn text_key(&self) -> &str {
        &self.key
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.encode()
    }

    fn from_bytes(key: &str, bytes: &[u8]) -> Result<Self> {
        Self::decode(key, bytes)
    }

    fn marked(&self) -> &str {
        &self.field0
    }

    fn digest(&self) -> u64 {
        self.fields().into_iter().fold(add(0, &self.key), |sum, field| add(sum, field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back<R: Item>() {
        let item = R::make(7, 300);
        assert_eq!(R::from_bytes(item.text_key(), &item.to_bytes()).unwrap(), item);
        assert_eq!(item.revision().unwrap(), 300);
        let others = [R::make(7, 301), R::make(8, 300), R::make(7 + PATTERNS as u64, 300)];
        assert!(others.iter().all(|other| *other != item && other.digest() != item.digest()));
    }

    #[test]
    fn documents_come_back_and_differ() {
        comes_back::<Note>();
        comes_back::<Record>();
        assert_eq!(Note::make(1, 0).to_bytes().len() + key(1).len(), 200);
    }
}
