use std::fmt;
use std::str::FromStr;

/// A position in the log. The first record has 1; 0 is the empty log before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The first record of a log.
    pub const FIRST: Self = Self(1);

    /// The position behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Which of the nodes that share a database this is. Safety never rests on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u8);

/// A number that cannot be a node id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node id {0} is out of range: node ids are 0 to 255")]
pub struct InvalidNodeId(pub u64);

impl TryFrom<u64> for NodeId {
    type Error = InvalidNodeId;

    fn try_from(number: u64) -> Result<Self, InvalidNodeId> {
        u8::try_from(number).map(Self).map_err(|_| InvalidNodeId(number))
    }
}

/// Defines an identifier of 128 bits that prints as 32 hexadecimal digits.
macro_rules! id_128 {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({self})", stringify!($name))
            }
        }
    };
}

id_128! {
    /// One opening of a database by one process: random, new at every open.
    SessionId
}

id_128! {
    /// One database: random, given when it is created.
    DatabaseId
}

id_128! {
    /// The hash of a record's whole bytes: the first 128 bits of BLAKE3.
    ChainHash
}

impl FromStr for SessionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes()))
    }
}

/// One transaction, for ever: who proposed it and as which of its proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId {
    /// The session that proposed it.
    pub session: SessionId,
    /// Counts the session's transactions, from 1.
    pub counter: u64,
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.session, self.counter)
    }
}

/// Hybrid logical time: milliseconds of the writer's wall clock in the upper 48 bits, a counter below, always greater
/// than that of the record before.
///
/// Source: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks and Consistent Snapshots in Globally
/// Distributed Databases", 2014.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogTime(pub u64);

impl LogTime {
    /// How many of the lower bits count within a millisecond.
    const COUNTER_BITS: u32 = 16;

    /// How many of the lower bits are those of the wall clock where that is behind.
    const CLOCK_BITS: u32 = 6;

    /// The time of a record that is written when the wall clock shows `wall_ms` and follows one of time `self`.
    ///
    /// Where the clock is behind, the time is that of the record before and a little more, in which the clock still shows: two
    /// copies of one machine that write the same thing behind the same record do not write the same bytes, unless they do it in
    /// the same millisecond, or in such of two that are multiples of 64 apart. By their bytes they tell whose record it is.
    #[must_use]
    pub fn tick(self, wall_ms: u64) -> Self {
        let wall = wall_ms.min(u64::MAX >> Self::COUNTER_BITS) << Self::COUNTER_BITS;
        let mask = (1 << Self::CLOCK_BITS) - 1;
        let least = self.0.saturating_add(1);
        let behind = least.saturating_add((wall_ms.wrapping_sub(least)) & mask);
        Self(if wall > self.0 { wall } else { behind })
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_rises_even_when_the_clock_falls_back() {
        let first = LogTime::default().tick(1_000_000);
        assert_eq!(first.unix_ms(), 1_000_000);
        let second = first.tick(5);
        assert!(second > first);
        assert_eq!(second.tick(2_000_000).unix_ms(), 2_000_000);
    }

    #[test]
    fn clocks_that_are_behind_show_in_the_time() {
        let before = LogTime::default().tick(1_000_000);
        let times: Vec<LogTime> = (0..64).map(|ms| before.tick(900_000 + ms)).collect();
        assert!(times.iter().all(|time| *time > before && time.0 <= before.0 + 64), "{times:?}");
        let distinct: std::collections::BTreeSet<&LogTime> = times.iter().collect();
        assert_eq!(distinct.len(), times.len());
        assert_eq!(LogTime(u64::MAX).tick(5), LogTime(u64::MAX));
    }

    #[test]
    fn ids_print_and_parse() {
        let session = SessionId([0xab; 16]);
        assert_eq!(session.to_string().parse::<SessionId>().unwrap(), session);
        assert!(NodeId::try_from(255).is_ok());
        assert_eq!(NodeId::try_from(256), Err(InvalidNodeId(256)));
    }
}
