use std::collections::BTreeMap;

use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_log::{MAX_BRANCH_NAME_BYTES, Seq, is_branch_name};
use bytes::Bytes;

use super::NamedPosition;
use crate::Refusal;

/// So many branches a database has at most: each checkpoint names what all of them need.
pub const MAX_BRANCHES: usize = 1_000;

/// In the place of a table, before what is changed.
const NO_TABLE: u8 = 0;
const CREATE: u8 = 6;
const DROP: u8 = 7;

/// The branches of a database: what each shares with it is kept until it is said to be gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BranchPins(BTreeMap<String, BranchPin>);

/// What a branch needs of the database that it is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchPin {
    /// Tells it apart from others that had the same name.
    pub id: [u8; 16],
    /// The last position that it has in common with the database.
    pub fork: Seq,
    /// What the checkpoint covers that it begins with.
    pub base: Seq,
    /// The position of the record that brought it: no checkpoint that covers less may follow, since it would not know of it.
    pub since: Seq,
    /// The time in that record, in milliseconds since 1970.
    pub time_ms: u64,
}

impl BranchPins {
    /// The one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<BranchPin> {
        self.0.get(name).copied()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, BranchPin)> {
        self.0.iter().map(|(name, pin)| (name.as_str(), *pin))
    }

    /// The payload of the record that brings one: at a position, with the checkpoint that covers another one, or right before the
    /// record itself, with the last checkpoint.
    pub(super) fn create(&self, name: &str, id: [u8; 16], at: Option<(Seq, Seq)>) -> Result<Bytes, Refusal> {
        let invalid = |reason: String| Refusal::InvalidBranch { name: name.to_owned(), reason };
        if !is_branch_name(name) {
            return Err(invalid(format!(
                "a name has 1 to {MAX_BRANCH_NAME_BYTES} letters, digits, '-', '_' and '.', and begins with a letter or a digit"
            )));
        }
        if self.0.contains_key(name) {
            return Err(Refusal::BranchExists { name: name.to_owned() });
        }
        if self.0.len() >= MAX_BRANCHES {
            return Err(invalid(format!("there are {MAX_BRANCHES} branches already: drop some")));
        }
        let (fork, base) = at.unwrap_or_default();
        let mut payload = vec![NO_TABLE, CREATE];
        payload.extend_from_slice(&id);
        codec::put_varint(&mut payload, fork.0);
        codec::put_varint(&mut payload, base.0);
        payload.extend_from_slice(name.as_bytes());
        Ok(payload.into())
    }

    /// The payload of the record that says that one is gone.
    pub(super) fn drop(&self, name: &str, id: [u8; 16]) -> Result<Bytes, Refusal> {
        if self.0.get(name).is_none_or(|pin| pin.id != id) {
            return Err(Refusal::UnknownBranch { name: name.to_owned() });
        }
        Ok([&[NO_TABLE, DROP], name.as_bytes()].concat().into())
    }

    /// Takes in what the record at a position says, if it is about branches. Tells whether it is.
    pub(super) fn apply(&mut self, payload: &Bytes, at: NamedPosition, covers: Seq) -> Result<bool, Malformed> {
        let mut reader = Reader::new(payload.clone());
        let kind = match **payload {
            [NO_TABLE, kind @ (CREATE | DROP), ..] => kind,
            _ => return Ok(false),
        };
        reader.take(2)?;
        if kind == CREATE {
            let (id, fork, base) = (reader.array()?, Seq(reader.varint()?), Seq(reader.varint()?));
            let (fork, base) = if fork < Seq::FIRST { (Seq(at.seq.0 - 1), covers) } else { (fork, base) };
            let pin = BranchPin { id, fork, base, since: at.seq, time_ms: at.time_ms };
            self.0.insert(rest(&mut reader)?, pin);
        } else {
            self.0.remove(&rest(&mut reader)?);
        }
        Ok(true)
    }

    /// Appends how many there are, then each.
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        codec::put_varint(buffer, self.0.len() as u64);
        for (name, BranchPin { id, fork, base, since, time_ms }) in &self.0 {
            codec::put_bytes(buffer, name.as_bytes());
            buffer.extend_from_slice(id);
            for number in [fork.0, base.0, since.0, *time_ms] {
                codec::put_varint(buffer, number);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut branches = BTreeMap::new();
        for _ in 0..reader.length()? {
            let (name, id) = (reader.text()?, reader.array()?);
            let (fork, base, since) = (Seq(reader.varint()?), Seq(reader.varint()?), Seq(reader.varint()?));
            branches.insert(checked(name)?, BranchPin { id, fork, base, since, time_ms: reader.varint()? });
        }
        Ok(Self(branches))
    }
}

fn rest(reader: &mut Reader) -> Result<String, Malformed> {
    let length = reader.remaining();
    let name = reader.take(length)?;
    checked(String::from_utf8(name.to_vec()).map_err(|_| Malformed("the name of a branch is no text"))?)
}

fn checked(name: String) -> Result<String, Malformed> {
    if is_branch_name(&name) { Ok(name) } else { Err(Malformed("a branch has a name that none can have")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: NamedPosition = NamedPosition { seq: Seq(40), time_ms: 9 };

    #[test]
    fn they_come_go_and_round_trip() {
        let mut pins = BranchPins::default();
        let present = pins.create("now", [1; 16], None).unwrap();
        assert!(pins.apply(&present, AT, Seq(30)).unwrap());
        let past = pins.create("then", [2; 16], Some((Seq(20), Seq(10)))).unwrap();
        assert!(pins.apply(&past, AT, Seq(30)).unwrap());
        let pin =
            |id, fork, base| BranchPin { id: [id; 16], fork: Seq(fork), base: Seq(base), since: Seq(40), time_ms: 9 };
        assert_eq!(pins.get("now"), Some(pin(1, 39, 30)));
        assert_eq!(pins.get("then"), Some(pin(2, 20, 10)));
        let mut buffer = Vec::new();
        pins.encode(&mut buffer);
        let buffer = Bytes::from(buffer);
        assert_eq!(BranchPins::decode(&mut Reader::new(buffer.clone())), Ok(pins.clone()));
        for cut in 0..buffer.len() {
            assert!(BranchPins::decode(&mut Reader::new(buffer.slice(..cut))).is_err(), "{cut}");
        }
        assert!(matches!(pins.create("now", [3; 16], None), Err(Refusal::BranchExists { .. })));
        assert!(matches!(pins.drop("now", [3; 16]), Err(Refusal::UnknownBranch { .. })), "another of that name");
        let gone = pins.drop("now", [1; 16]).unwrap();
        assert!(pins.apply(&gone, AT, Seq(30)).unwrap() && pins.get("now").is_none());
        for bad in ["", ".", "..", "-x", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(matches!(pins.create(bad, [3; 16], None), Err(Refusal::InvalidBranch { .. })), "{bad}");
        }
        assert_eq!(pins.apply(&Bytes::from_static(&[1, 6]), AT, Seq(30)), Ok(false), "of a table");
        assert!(pins.apply(&Bytes::from_static(&[0, 6, 1]), AT, Seq(30)).is_err());
        assert!(pins.apply(&Bytes::from_static(&[0, 7, b'/']), AT, Seq(30)).is_err());
    }
}
