use std::time::{SystemTime, UNIX_EPOCH};

use bucketdb_env::WallTime;
use bucketdb_log::{Commit, LogTime, Seq};

/// A moment in the life of a database: what [`Database::at`](crate::Database::at) reads at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// Right behind the record at this position.
    Seq(Seq),
    /// Behind the last record whose time is not later than this.
    Time(LogTime),
    /// Where a snapshot of this name was [created](crate::Database::create_snapshot).
    Name(String),
}

impl From<&str> for Point {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Point {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<Seq> for Point {
    fn from(seq: Seq) -> Self {
        Self::Seq(seq)
    }
}

impl From<Commit> for Point {
    fn from(commit: Commit) -> Self {
        Self::Seq(commit.seq)
    }
}

impl From<LogTime> for Point {
    fn from(time: LogTime) -> Self {
        Self::Time(time)
    }
}

impl From<WallTime> for Point {
    /// With everything that was committed in that millisecond.
    fn from(time: WallTime) -> Self {
        let next_ms = LogTime::default().tick(time.0.saturating_add(1));
        Self::Time(LogTime(next_ms.0.saturating_sub(1)))
    }
}

impl From<SystemTime> for Point {
    /// With everything that was committed in that millisecond.
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_has_its_whole_millisecond() {
        let Point::Time(time) = Point::from(WallTime(1000)) else { unreachable!() };
        let within = LogTime::default().tick(1000).tick(1000).tick(1000);
        assert!(within <= time && within.unix_ms() == 1000);
        assert!(LogTime::default().tick(1001) > time);
        assert_eq!(time.unix_ms(), 1000);
    }
}
