use std::fmt;
use std::str::FromStr;

use bucketdb_log::Seq;

/// A place between two changes of a database, from which a feed goes on. Its text form is opaque: keep it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which life of the database at its prefix.
    pub(crate) generation: u64,
    /// The record that the next change is in, or a later one.
    pub(crate) seq: Seq,
    /// How many changes of that record lie before it.
    pub(crate) place: u64,
}

/// A text that is no cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cursor")]
pub struct InvalidCursor(String);

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.generation, self.seq, self.place)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let invalid = || InvalidCursor(text.chars().take(60).collect());
        let numbers: Vec<u64> =
            text.split('.').map(|part| part.parse().map_err(|_| invalid())).collect::<Result<_, _>>()?;
        match numbers.as_slice() {
            [generation, seq, place] => Ok(Self { generation: *generation, seq: Seq(*seq), place: *place }),
            _ => Err(invalid()),
        }
    }
}

/// Where a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the first change that the log holds.
    Beginning,
    /// With the changes that are committed after now.
    Now,
    /// Behind the record at this position.
    Seq(Seq),
    /// Where an earlier feed stopped.
    Cursor(Cursor),
}

impl From<Cursor> for Since {
    fn from(cursor: Cursor) -> Self {
        Self::Cursor(cursor)
    }
}

impl From<Seq> for Since {
    fn from(seq: Seq) -> Self {
        Self::Seq(seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_print_and_parse() {
        let cursor = Cursor { generation: 1, seq: Seq(42), place: 7 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "1", "1.2", "1.2.3.4", "1.x.3", "-1.2.3"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
