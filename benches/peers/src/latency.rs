//! How long a store takes to answer.

use std::time::Duration;

use engine_bench::watched::Kind;

/// What a store takes for one request.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub name: &'static str,
    get: Duration,
    put: Duration,
}

impl Latency {
    pub const NONE: Self = Self { name: "memory", get: Duration::ZERO, put: Duration::ZERO };

    /// What the bars are told in.
    pub const FIXED: Self =
        Self { name: "memory, 30 ms PUT, 15 ms GET", get: Duration::from_millis(15), put: Duration::from_millis(30) };

    pub fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Put | Kind::Part | Kind::Delete => self.put,
            Kind::Get | Kind::List => self.get,
        }
    }
}
