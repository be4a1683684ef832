use std::time::Duration;

use bucketdb::Operation;

use crate::SimRandom;

/// How long a request takes on its way.
#[derive(Clone, Copy, Debug)]
pub enum Latency {
    /// Always this long.
    Fixed(Duration),
    /// Anything between the two.
    Uniform(Duration, Duration),
    /// Most often between the first two; with a small probability up to the last.
    LongTail {
        /// The shortest.
        low: Duration,
        /// The longest of the usual ones.
        high: Duration,
        /// How probable a long one is.
        tail: f64,
        /// The longest.
        longest: Duration,
    },
}

impl Latency {
    pub(crate) fn draw(self, random: &mut SimRandom) -> Duration {
        match self {
            Self::Fixed(duration) => duration,
            Self::Uniform(low, high) => random.duration(low, high),
            Self::LongTail { high, tail, longest, .. } if random.chance(tail) => random.magnitude(high, longest),
            Self::LongTail { low, high, .. } => random.duration(low, high),
        }
    }
}

/// The latency of each operation, from the request to the answer.
#[derive(Clone, Copy, Debug)]
pub struct Latencies {
    /// Reading an object.
    pub get: Latency,
    /// Writing an object.
    pub put: Latency,
    /// Listing keys.
    pub list: Latency,
    /// Removing an object.
    pub delete: Latency,
}

impl Latencies {
    /// The same for everything.
    #[must_use]
    pub fn all(latency: Latency) -> Self {
        Self { get: latency, put: latency, list: latency, delete: latency }
    }

    /// Always so long for a put, and for a get and a listing; a deletion as by default.
    pub(crate) fn fixed(put: Duration, get: Duration) -> Self {
        let (put, get) = (Latency::Fixed(put), Latency::Fixed(get));
        Self { put, get, list: get, ..Self::default() }
    }

    pub(crate) fn of(&self, operation: Operation) -> Latency {
        match operation {
            Operation::Put => self.put,
            Operation::List => self.list,
            Operation::Delete => self.delete,
            Operation::Get | Operation::Presign | Operation::ServerTime => self.get,
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::all(Latency::Uniform(Duration::from_millis(5), Duration::from_millis(30)))
    }
}
