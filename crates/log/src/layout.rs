use bucketdb_driver::Key;

use crate::{Seq, SessionId};

/// How the object of a log position is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotNames {
    /// `log/<seq>`: one name for a position. Only safe where the store honours create-only.
    Shared,
    /// `log/<seq>-<session>`: each session has a name of its own for a position, so that nobody can overwrite another
    /// where the store has no create-only. Two names in one position are a fork.
    PerSession,
}

/// What is written once under a name of its own. The name tells what the writer knew of the log when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// The state at one position.
    Manifest,
    /// A sorted run.
    Run,
    /// A blob.
    Blob,
}

impl ObjectKind {
    pub(crate) const ALL: [Self; 3] = [Self::Manifest, Self::Run, Self::Blob];

    /// What the names of its objects begin with, relative to the database.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Manifest => "manifest/",
            Self::Run => "run/",
            Self::Blob => "blob/",
        }
    }
}

/// Digits of a position in an object's name: enough for any 64-bit number, so that names sort as positions do.
const SEQ_DIGITS: usize = 20;

/// What the names of everything begin with that belongs to branches of a database, and not to itself.
pub(crate) const BRANCHES: &str = "branch/";

/// Longest prefix in bytes: it leaves room for the longest name below it in a key of 1024 bytes.
const MAX_PREFIX_BYTES: usize = 512;

/// Where the objects of one database are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Empty, or ending in exactly one `/`.
    prefix: String,
    /// What is named for positions up to this one belongs to the database that this one is a branch of; 0 if it is none.
    fork: Seq,
}

/// A text that cannot be the prefix of a database, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid prefix {prefix:?}: {reason}")]
pub struct InvalidPrefix {
    prefix: String,
    reason: String,
}

impl Layout {
    /// The database under `prefix`. One `/` at its end may be given or left out; empty is the whole bucket.
    ///
    /// # Errors
    /// [`InvalidPrefix`] if the names below it would not be valid keys.
    pub fn new(prefix: &str) -> Result<Self, InvalidPrefix> {
        let invalid = |reason: String| InvalidPrefix { prefix: prefix.chars().take(80).collect(), reason };
        let trimmed = prefix.strip_suffix('/').unwrap_or(prefix);
        if trimmed.is_empty() {
            if prefix.is_empty() {
                return Ok(Self { prefix: String::new(), fork: Seq(0) });
            }
            return Err(invalid("it has an empty segment".to_owned()));
        }
        if trimmed.len() > MAX_PREFIX_BYTES {
            return Err(invalid(format!("it is longer than {MAX_PREFIX_BYTES} bytes")));
        }
        let key = Key::new(trimmed).map_err(|error| invalid(error.rule().to_owned()))?;
        Ok(Self { prefix: format!("{key}/"), fork: Seq(0) })
    }

    /// Where the branch of that name is.
    ///
    /// # Panics
    /// If no branch [can have that name](crate::is_branch_name).
    #[must_use]
    pub fn branch(&self, name: &str) -> Self {
        assert!(crate::is_branch_name(name), "{name:?} is no name of a branch");
        self.inside(&format!("{BRANCHES}{name}/"))
    }

    /// What is at a place inside this one: a way to a branch, say, that ends in `/`.
    pub(crate) fn inside(&self, way: &str) -> Self {
        Self { prefix: format!("{}{way}", self.prefix), fork: Seq(0) }
    }

    /// Where the own objects of a branch are, which is at this place and has this id.
    pub(crate) fn of_id(&self, id: [u8; 16]) -> Self {
        self.inside(&format!("{}/", SessionId(id)))
    }

    /// The same place, of a branch that has everything up to this position in common with its parent.
    #[must_use]
    pub fn with_fork(self, fork: Seq) -> Self {
        Self { fork, ..self }
    }

    /// The last position that this database has in common with the one that it is a branch of; 0 if it is none.
    #[must_use]
    pub fn fork(&self) -> Seq {
        self.fork
    }

    /// Whether the database is a branch of another one.
    #[must_use]
    pub fn is_branch(&self) -> bool {
        self.fork >= Seq::FIRST
    }

    /// Whether an object, by its full key, is the database's own: not that of what it is a branch of, nor of a branch of it.
    #[must_use]
    pub fn owns(&self, key: &Key) -> bool {
        let name = key.as_str().strip_prefix(&self.prefix);
        name.is_some_and(|name| self.is_own(name) && !name.starts_with(BRANCHES))
    }

    /// Whether an object, by its name relative to the database, is its own, and not that of what it is a branch of.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        Self::position_of(name).is_none_or(|seq| seq > self.fork)
    }

    /// The position in the name of a record or of an object.
    pub(crate) fn position_of(name: &str) -> Option<Seq> {
        Self::parse_unique(name).or_else(|| Self::parse_record_name(name).map(|record| record.seq))
    }

    /// The prefix: empty, or ending in one `/`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What all names of log records begin with.
    #[must_use]
    pub fn log_prefix(&self) -> String {
        format!("{}log/", self.prefix)
    }

    /// The full key of an object of this layout, named relative to the database.
    ///
    /// # Panics
    /// If the name is none of this layout's, and none that could be a key's end.
    #[must_use]
    pub fn key(&self, name: &str) -> Key {
        #[expect(clippy::expect_used, reason = "the prefix was checked and leaves room for every name of this layout")]
        Key::new(format!("{}{name}", self.prefix)).expect("names below a checked prefix are valid keys")
    }

    /// The name, relative to the database, of the record at `seq`.
    pub(crate) fn record_name(names: SlotNames, seq: Seq, session: SessionId) -> String {
        match names {
            SlotNames::Shared => Self::slot_name(seq),
            SlotNames::PerSession => format!("{}-{session}", Self::slot_name(seq)),
        }
    }

    /// What the names of all records at `seq` begin with, relative to the database; itself the name where names are shared.
    #[must_use]
    pub fn slot_name(seq: Seq) -> String {
        format!("log/{seq:0SEQ_DIGITS$}", seq = seq.0)
    }

    /// The name, relative to the database, of an object of this kind that is written by somebody who knows the log up to
    /// `seq`. `id` is random.
    #[must_use]
    pub fn unique_name(kind: ObjectKind, seq: Seq, id: [u8; 16]) -> String {
        format!("{}{seq:0SEQ_DIGITS$}-{id:032x}", kind.folder(), seq = seq.0, id = u128::from_be_bytes(id))
    }

    /// The position in a name that [`unique_name`](Self::unique_name) gives; `None` for every other name.
    pub(crate) fn parse_unique(name: &str) -> Option<Seq> {
        Self::parse_object(name).map(|(_, seq, _)| seq)
    }

    /// What [`unique_name`](Self::unique_name) was given for this name; `None` for every other one.
    #[must_use]
    pub fn parse_object(name: &str) -> Option<(ObjectKind, Seq, [u8; 16])> {
        let (kind, rest) = ObjectKind::ALL.iter().find_map(|kind| Some((*kind, name.strip_prefix(kind.folder())?)))?;
        let (digits, text) = rest.split_once('-')?;
        let id = text.parse::<SessionId>().ok().filter(|parsed| parsed.to_string() == text)?;
        Some((kind, parse_digits(digits)?, id.0))
    }

    /// The key of a name that is behind no record at `seq` or later and not before any earlier one: list after it to
    /// get everything from `seq` on.
    pub(crate) fn just_before(&self, seq: Seq) -> Key {
        self.key(&format!("{}~", Self::slot_name(Seq(seq.0.saturating_sub(1)))))
    }

    /// The position and the kind of name of a key, if it is one of a log record of this database.
    pub(crate) fn parse_record(&self, key: &Key) -> Option<RecordName> {
        Self::parse_record_name(key.as_str().strip_prefix(&self.prefix)?)
    }

    /// As [`parse_record`](Self::parse_record), of a name relative to the database.
    pub(crate) fn parse_record_name(name: &str) -> Option<RecordName> {
        let rest = name.strip_prefix("log/")?;
        let (digits, session) = match rest.split_once('-') {
            Some((digits, session)) => (digits, Some(session)),
            None => (rest, None),
        };
        let seq = parse_digits(digits).filter(|seq| *seq >= Seq::FIRST)?;
        let names = match session {
            None => SlotNames::Shared,
            Some(text) if text.parse::<SessionId>().is_ok_and(|session| session.to_string() == text) => {
                SlotNames::PerSession
            }
            Some(_) => return None,
        };
        Some(RecordName { seq, names, name: name.to_owned() })
    }
}

fn parse_digits(digits: &str) -> Option<Seq> {
    let is_position = digits.len() == SEQ_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_position { digits.parse().ok().map(Seq) } else { None }
}

/// What the key of a log record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordName {
    pub(crate) seq: Seq,
    pub(crate) names: SlotNames,
    /// Relative to the database.
    pub(crate) name: String,
}

impl RecordName {
    /// The one name that a position has where names are shared.
    pub(crate) fn shared(seq: Seq) -> Self {
        Self { seq, names: SlotNames::Shared, name: Layout::slot_name(seq) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_in_one_slash() {
        assert_eq!(Layout::new("").unwrap().prefix(), "");
        assert_eq!(Layout::new("a/b").unwrap().prefix(), "a/b/");
        assert_eq!(Layout::new("a/b/").unwrap().prefix(), "a/b/");
        for bad in ["/", "a//", "/a", "a//b", "a/../b", "."] {
            assert!(Layout::new(bad).is_err(), "{bad:?}");
        }
        assert!(Layout::new(&"x".repeat(513)).is_err());
    }

    #[test]
    fn names_sort_as_positions_and_parse_back() {
        let layout = Layout::new("db").unwrap();
        let session = SessionId([7; 16]);
        for names in [SlotNames::Shared, SlotNames::PerSession] {
            let keys: Vec<Key> = [1, 9, 10, 99, 100, u64::MAX]
                .into_iter()
                .map(|seq| layout.key(&Layout::record_name(names, Seq(seq), session)))
                .collect();
            assert!(keys.is_sorted());
            let parsed: Vec<_> = keys.iter().map(|key| layout.parse_record(key).unwrap()).collect();
            assert_eq!(parsed[3].seq, Seq(99));
            assert!(parsed.iter().all(|name| name.names == names));
            assert!(layout.just_before(Seq(99)) < keys[3] && layout.just_before(Seq(100)) > keys[3]);
        }
    }

    #[test]
    fn unique_names_parse_back_and_others_do_not() {
        for kind in ObjectKind::ALL {
            let name = Layout::unique_name(kind, Seq(12), [7; 16]);
            assert_eq!(Layout::parse_unique(&name), Some(Seq(12)), "{name}");
            assert_eq!(Layout::parse_object(&name), Some((kind, Seq(12), [7; 16])));
            for foreign in [
                &name[1..],
                &name[..name.len() - 1],
                &format!("x/{name}"),
                &format!("{name}0"),
                &name.to_uppercase(),
                &name.replace('-', "_"),
                "run/12-07070707070707070707070707070707",
            ] {
                assert_eq!(Layout::parse_unique(foreign), None, "{foreign}");
                assert_eq!(Layout::parse_object(foreign), None, "{foreign}");
            }
        }
    }

    #[test]
    fn foreign_names_are_no_records() {
        let layout = Layout::new("db").unwrap();
        for foreign in [
            "log/00000000000000000001",
            "db/log/1",
            "db/log/00000000000000000000",
            "db/log/00000000000000000001-abc",
            "db/log/0000000000000000000x",
            "db/log/99999999999999999999",
            "db/log/00000000000000000001-+0000000000000000000000000000001",
            "db/log/00000000000000000001-0000000000000000000000000000000A",
        ] {
            assert_eq!(layout.parse_record(&Key::new(foreign).unwrap()), None, "{foreign}");
        }
    }
}
