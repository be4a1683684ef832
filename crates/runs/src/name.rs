use std::fmt;
use std::str::FromStr;

use bucketdb_log::Seq;

/// What the names of all runs begin with, below the database's prefix.
const FOLDER: &str = "run/";

/// Digits of a position in an object's name, as in the names of log records.
const SEQ_DIGITS: usize = 20;

/// Hexadecimal digits of an id.
const ID_DIGITS: usize = 32;

/// The name of a run, below its database's prefix: `run/<position, 20 digits>-<id, 32 hexadecimal digits>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName {
    /// The last position of the log that its writer knew when it began. A sweep goes by it: what was begun before the
    /// sweep and is not referred to will not be referred to any more.
    pub begun_at: Seq,
    /// Random: no two runs share it.
    pub id: u128,
}

impl RunName {
    /// What the names of all runs begin with, below the database's prefix.
    #[must_use]
    pub fn folder() -> &'static str {
        FOLDER
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{FOLDER}{:0SEQ_DIGITS$}-{:0ID_DIGITS$x}", self.begun_at.0, self.id)
    }
}

/// A text that is not the name of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a run")]
pub struct InvalidRunName(String);

impl FromStr for RunName {
    type Err = InvalidRunName;

    /// Takes exactly what [`Display`](fmt::Display) writes: a sweep must not remove what only looks like a run.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (digits, id) = text.strip_prefix(FOLDER)?.split_once('-')?;
            let name = Self { begun_at: Seq(digits.parse().ok()?), id: u128::from_str_radix(id, 16).ok()? };
            (name.to_string() == text).then_some(name)
        };
        parse().ok_or_else(|| InvalidRunName(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_print_parse_and_sort_by_position() {
        let name = RunName { begun_at: Seq(42), id: 0xabc };
        assert_eq!(name.to_string(), "run/00000000000000000042-00000000000000000000000000000abc");
        assert_eq!(name.to_string().parse(), Ok(name));
        let later = RunName { begun_at: Seq(100), id: 0 };
        assert!(name.to_string() < later.to_string() && name < later);
    }

    #[test]
    fn what_only_looks_like_a_run_is_none() {
        for foreign in [
            "",
            "run/",
            "run/42-abc",
            "log/00000000000000000042-00000000000000000000000000000abc",
            "run/00000000000000000042-00000000000000000000000000000ABC",
            "run/0000000000000000004x-00000000000000000000000000000abc",
            "run/+0000000000000000042-00000000000000000000000000000abc",
            "run/00000000000000000042-+0000000000000000000000000000abc",
            "run/00000000000000000042-00000000000000000000000000000abc-1",
            "run/99999999999999999999-00000000000000000000000000000abc",
        ] {
            assert!(foreign.parse::<RunName>().is_err(), "{foreign}");
        }
    }
}
