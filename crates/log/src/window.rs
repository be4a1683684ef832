use std::time::Duration;

use bucketdb_env::{Environment, WallTime};
use parking_lot::Mutex;

use crate::planted::{PlantedBug, is_planted};

/// What all clocks of a process show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) monotonic: Duration,
    pub(crate) wall: WallTime,
}

impl Reading {
    pub(crate) fn take(env: &dyn Environment) -> Self {
        Self { monotonic: env.monotonic(), wall: env.wall_clock() }
    }

    /// How much time has passed up to `later`, by the clock that saw most of it: one that stands still while the machine
    /// sleeps, or that was set back, must not make an old proof look young.
    pub(crate) fn elapsed(&self, later: &Self) -> Duration {
        let wall = Duration::from_millis(later.wall.0.saturating_sub(self.wall.0));
        if is_planted(PlantedBug::TrustClock) {
            return wall;
        }
        later.monotonic.saturating_sub(self.monotonic).max(wall)
    }
}

/// How long ago it was proved where the log ends, so that "not found" and "created" can be believed [H3, H7, H8].
///
/// Records are removed, in ascending order, a grace after they became superfluous. Whoever knows that a slot was empty
/// at some moment knows that nothing at or behind that slot is removed within a grace from then on: all of it was
/// created later. So an empty slot is the end of the log, and a record that was created is part of it, inside a window
/// of half the grace; the other half is for clocks that run at different speeds. Outside the window, an empty slot may be one whose
/// record was removed, and a record that fits in there was created in a place that nobody reads any more.
///
/// What proves a slot empty, each counted from the moment at which its request was *sent*: "not found" inside the
/// window, the creation of a record at the first attempt, and a listing that ends before the slot. Finding a record
/// proves nothing about the next slot, since its removal may be under way.
#[derive(Debug, Default)]
pub(crate) struct Window(Mutex<Option<Reading>>);

impl Window {
    /// A request sent at `sent` found an empty slot, at or before the one behind the last record that is applied.
    pub(crate) fn proved(&self, sent: Reading) {
        let mut proved = self.0.lock();
        if proved.is_none_or(|earlier| earlier.monotonic < sent.monotonic) {
            *proved = Some(sent);
        }
    }

    /// What is proved now.
    pub(crate) fn proof(&self) -> Proof {
        Proof(*self.0.lock())
    }
}

/// What was proved at one moment, for the slot that was the next one then and all behind it: a later proof says nothing
/// of a slot that was passed meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof(Option<Reading>);

impl Proof {
    /// Whether it is young enough at `now`.
    pub(crate) fn holds(&self, now: &Reading, grace: Duration) -> bool {
        is_planted(PlantedBug::NoWindow) || self.0.is_some_and(|proved| proved.elapsed(now) <= grace / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(60);

    fn reading(monotonic_s: u64, wall_s: u64) -> Reading {
        Reading { monotonic: Duration::from_secs(monotonic_s), wall: WallTime(wall_s * 1_000) }
    }

    #[test]
    fn it_is_shut_until_something_is_proved_and_again_after_half_the_grace() {
        let window = Window::default();
        assert!(!window.proof().holds(&reading(0, 0), GRACE));
        window.proved(reading(10, 10));
        assert!(window.proof().holds(&reading(40, 40), GRACE));
        assert!(!window.proof().holds(&reading(41, 41), GRACE));
        window.proved(reading(5, 5));
        assert!(window.proof().holds(&reading(40, 40), GRACE), "an older proof takes nothing back");
    }

    #[test]
    fn the_clock_that_saw_most_decides() {
        let window = Window::default();
        window.proved(reading(100, 1_000));
        assert!(!window.proof().holds(&reading(101, 1_031), GRACE), "the monotonic clock slept");
        assert!(!window.proof().holds(&reading(131, 500), GRACE), "the wall clock was set back");
        assert!(window.proof().holds(&reading(130, 500), GRACE));
    }
}
