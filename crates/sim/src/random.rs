use std::time::Duration;

/// A stream of choices that a seed determines.
#[derive(Clone, Debug)]
pub struct SimRandom(fastrand::Rng);

impl SimRandom {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// One of many independent streams of a seed: what one part draws does not change what another does.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> Self {
        let hash = blake3::hash(format!("{seed}/{name}").as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(hash.as_slice().split_at(8).0);
        Self::new(u64::from_le_bytes(first))
    }

    /// A number below `bound`; zero if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.u64(..bound) }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        if low >= high { low } else { self.0.u64(low..=high) }
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.f64() < probability
    }

    /// A time from `low` to `high`.
    pub fn duration(&mut self, low: Duration, high: Duration) -> Duration {
        Duration::from_nanos(self.between(nanoseconds(low), nanoseconds(high)))
    }

    /// A time from `low` to `high` in which every order of magnitude is as likely as the next.
    pub fn magnitude(&mut self, low: Duration, high: Duration) -> Duration {
        let (low, high) = (nanoseconds(low).max(1), nanoseconds(high).max(1));
        let octaves = u64::from(high.ilog2().saturating_sub(low.ilog2()));
        let base = low.saturating_mul(1 << self.between(0, octaves).min(63));
        Duration::from_nanos(self.between(base, base.saturating_mul(2)).clamp(low, high.max(low)))
    }

    /// One of the items; `None` if there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len() as u64);
        items.get(usize::try_from(index).ok()?)
    }

    /// Fills a buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }
}

/// A duration as a number, for arithmetic that must be exact.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
