use std::fmt;
use std::time::Duration;

/// Why a simulation did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// No task is ready and no timer is set.
    Deadlock,
    /// More polls than a run of this size can need.
    PollLimit(u64),
    /// More virtual time than a run of this size can need.
    TimeLimit(Duration),
    /// A task panicked, with this message.
    Panic(String),
}

impl fmt::Display for Stuck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock => formatter.write_str("deadlock: no task is ready and no timer is set"),
            Self::PollLimit(polls) => write!(formatter, "livelock: not done after {polls} polls"),
            Self::TimeLimit(time) => write!(formatter, "livelock: not done after {time:?} of virtual time"),
            Self::Panic(message) => write!(formatter, "a task panicked: {message}"),
        }
    }
}

/// How far a simulation may go before it counts as stuck.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Polls of tasks.
    pub polls: u64,
    /// Virtual time.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { polls: 5_000_000, time: Duration::from_secs(365 * 24 * 3600) }
    }
}
