use std::collections::BTreeMap;

use bucketdb_log::Seq;
use bucketdb_log::codec::{self, Malformed, Reader};
use bytes::Bytes;

use crate::Refusal;

/// So many snapshots a database has at most: each checkpoint names what all of them need.
pub const MAX_SNAPSHOTS: usize = 1_000;

/// The longest name of a snapshot in bytes.
pub const MAX_SNAPSHOT_NAME_BYTES: usize = 255;

/// In the place of a table, before what is changed.
const NO_TABLE: u8 = 0;
const CREATE: u8 = 4;
const DROP: u8 = 5;

/// The positions of the log that have a name: they can be read until the name is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedSnapshots(BTreeMap<String, NamedPosition>);

/// A position of the log that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedPosition {
    /// That of the record which gave it the name.
    pub seq: Seq,
    /// The time in that record, in milliseconds since 1970.
    pub time_ms: u64,
}

impl NamedSnapshots {
    /// The one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<NamedPosition> {
        self.0.get(name).copied()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, NamedPosition)> {
        self.0.iter().map(|(name, position)| (name.as_str(), *position))
    }

    /// The positions of all of them.
    pub fn positions(&self) -> impl Iterator<Item = Seq> {
        self.0.values().map(|position| position.seq)
    }

    /// The payload of the record that gives its own position a name.
    pub(super) fn create(&self, name: &str) -> Result<Bytes, Refusal> {
        let is_valid = !name.is_empty() && name.len() <= MAX_SNAPSHOT_NAME_BYTES && !name.contains(char::is_control);
        let invalid = |reason: String| Refusal::InvalidSnapshot { name: name.to_owned(), reason };
        if !is_valid {
            let reason = format!("a name has 1 to {MAX_SNAPSHOT_NAME_BYTES} bytes, none of them a control character");
            return Err(invalid(reason));
        }
        if self.0.contains_key(name) {
            return Err(Refusal::SnapshotExists { name: name.to_owned() });
        }
        if self.0.len() >= MAX_SNAPSHOTS {
            return Err(invalid(format!("there are {MAX_SNAPSHOTS} snapshots already: drop some")));
        }
        Ok(payload(CREATE, name))
    }

    /// The payload of the record that takes a name away.
    pub(super) fn drop(&self, name: &str) -> Result<Bytes, Refusal> {
        match self.0.contains_key(name) {
            true => Ok(payload(DROP, name)),
            false => Err(Refusal::UnknownSnapshot { name: name.to_owned() }),
        }
    }

    /// Takes in what the record at a position says, if it is about snapshots. Tells whether it is.
    pub(super) fn apply(&mut self, payload: &Bytes, at: NamedPosition) -> Result<bool, Malformed> {
        let name = |rest: &[u8]| match std::str::from_utf8(rest) {
            Ok(name) => Ok(name.to_owned()),
            Err(_) => Err(Malformed("the name of a snapshot is no text")),
        };
        match **payload {
            [NO_TABLE, CREATE, ref rest @ ..] => _ = self.0.insert(name(rest)?, at),
            [NO_TABLE, DROP, ref rest @ ..] => _ = self.0.remove(&name(rest)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Appends how many there are, then each as its name, its position and its time.
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        codec::put_varint(buffer, self.0.len() as u64);
        for (name, NamedPosition { seq, time_ms }) in &self.0 {
            codec::put_bytes(buffer, name.as_bytes());
            codec::put_varint(buffer, seq.0);
            codec::put_varint(buffer, *time_ms);
        }
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut snapshots = BTreeMap::new();
        for _ in 0..reader.length()? {
            snapshots.insert(reader.text()?, NamedPosition { seq: Seq(reader.varint()?), time_ms: reader.varint()? });
        }
        Ok(Self(snapshots))
    }
}

fn payload(kind: u8, name: &str) -> Bytes {
    [&[NO_TABLE, kind], name.as_bytes()].concat().into()
}
