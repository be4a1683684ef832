//! The real clock. A simulator never runs what stands in this package, so nothing here asks an `Environment`.

use std::fmt;
use std::time::{Duration, Instant};

/// Measures how long something has taken so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a developer's tool runs on real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Prints seconds with one decimal, minutes from two minutes on.
impl fmt::Display for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed().as_secs_f64();
        if seconds < 120.0 { write!(f, "{seconds:.1} s") } else { write!(f, "{:.1} min", seconds / 60.0) }
    }
}

/// Lets other processes get on for `duration` before they are looked at again.
#[expect(clippy::disallowed_methods, reason = "other processes are watched by polling, on real time")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
