//! The record of YCSB: ten fields of 100 bytes under a key.

use anyhow::{Result, ensure};
use bucketdb::Document;
use serde::{Deserialize, Serialize};

pub const FIELDS: usize = 10;
pub const FIELD_BYTES: usize = 100;

/// How many digits of a field's beginning say which revision it is.
const REVISION_DIGITS: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Document)]
#[document(table = "usertable")]
pub struct Record {
    #[document(key)]
    pub key: String,
    pub field0: String,
    pub field1: String,
    pub field2: String,
    pub field3: String,
    pub field4: String,
    pub field5: String,
    pub field6: String,
    pub field7: String,
    pub field8: String,
    pub field9: String,
}

/// Keys in the order of their numbers.
pub fn key(number: u64) -> String {
    format!("user{number:012}")
}

impl Record {
    /// Record `number` after it was written `revision` times again. It does not compress.
    pub fn new(number: u64, revision: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(number ^ revision.rotate_left(40));
        let mut field = || -> String {
            let mut text = format!("{revision:0REVISION_DIGITS$}");
            text.extend(std::iter::repeat_with(|| random.alphanumeric()).take(FIELD_BYTES - REVISION_DIGITS));
            text
        };
        Self {
            key: key(number),
            field0: field(),
            field1: field(),
            field2: field(),
            field3: field(),
            field4: field(),
            field5: field(),
            field6: field(),
            field7: field(),
            field8: field(),
            field9: field(),
        }
    }

    pub(crate) fn fields(&self) -> [&String; FIELDS] {
        let Self { field0, field1, field2, field3, field4, field5, field6, field7, field8, field9, .. } = self;
        [field0, field1, field2, field3, field4, field5, field6, field7, field8, field9]
    }

    /// How often it was written again.
    pub fn revision(&self) -> Result<u64> {
        Ok(self.field0[..REVISION_DIGITS].parse()?)
    }

    /// What key-value stores hold of it: the fields one after the other, which costs less than any encoding.
    pub fn encode(&self) -> Vec<u8> {
        self.fields().into_iter().flat_map(|field| field.bytes()).collect()
    }

    pub fn decode(key: &str, bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() == FIELDS * FIELD_BYTES, "{key} has {} bytes", bytes.len());
        let mut fields = bytes.chunks(FIELD_BYTES);
        let mut field = || -> Result<String> { Ok(std::str::from_utf8(fields.next().unwrap_or_default())?.to_owned()) };
        Ok(Self {
            key: key.to_owned(),
            field0: field()?,
            field1: field()?,
            field2: field()?,
            field3: field()?,
            field4: field()?,
            field5: field()?,
            field6: field()?,
            field7: field()?,
            field8: field()?,
            field9: field()?,
        })
    }
}
