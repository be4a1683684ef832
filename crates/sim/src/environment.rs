use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bucketdb::{Environment, WallTime};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::random::nanoseconds;
use crate::{GroupId, Scheduler, SimRandom};

/// What every wall clock that is right shows when a simulation begins: 2026-01-01T00:00:00Z.
pub const EPOCH: WallTime = WallTime(1_767_225_600_000);

/// Millionths.
const MILLION: i128 = 1_000_000;

/// The clocks of one simulated machine, wrong as the nemesis wants them. Clones are the same clocks.
#[derive(Clone, Debug, Default)]
pub struct MachineClock(Arc<Mutex<ClockState>>);

#[derive(Debug, Default)]
struct ClockState {
    drift_ppm: i64,
    boot: Duration,
    wall_skew_ms: i64,
    /// How long the machine slept with its monotonic clock standing still.
    frozen: Duration,
}

impl MachineClock {
    /// Clocks that run fast by `drift_ppm` millionths (slow if negative), of a machine that has been up for `boot`.
    #[must_use]
    pub fn new(drift_ppm: i64, boot: Duration) -> Self {
        let drift_ppm = drift_ppm.clamp(-900_000, 9_000_000);
        Self(Arc::new(Mutex::new(ClockState { drift_ppm, boot, ..ClockState::default() })))
    }

    /// Sets the wall clock that far from the truth.
    pub fn skew(&self, wall_skew_ms: i64) {
        self.0.lock().wall_skew_ms = wall_skew_ms;
    }

    /// The monotonic clock did not count the last `duration`, as on a platform where it stands still in sleep.
    pub fn freeze(&self, duration: Duration) {
        self.0.lock().frozen += duration;
    }

    fn monotonic(&self, now: Duration) -> Duration {
        let state = self.0.lock();
        let counted = i128::from(nanoseconds(now.saturating_sub(state.frozen)));
        let shown = counted * (MILLION + i128::from(state.drift_ppm)) / MILLION;
        state.boot.saturating_add(Duration::from_nanos(u64::try_from(shown).unwrap_or(0)))
    }

    /// What the wall clock says at that time.
    pub(crate) fn wall(&self, now: Duration) -> WallTime {
        let since = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        WallTime(EPOCH.0.saturating_add(since).saturating_add_signed(self.0.lock().wall_skew_ms))
    }

    /// How much true time passes while the machine thinks that `duration` does.
    fn true_time(&self, duration: Duration) -> Duration {
        let drift_ppm = i128::from(self.0.lock().drift_ppm);
        let true_ns = i128::from(nanoseconds(duration)) * MILLION / (MILLION + drift_ppm).max(1);
        Duration::from_nanos(u64::try_from(true_ns).unwrap_or(u64::MAX))
    }
}

/// The environment of one life of one simulated process.
#[derive(Clone)]
pub struct SimEnvironment {
    scheduler: Scheduler,
    group: GroupId,
    clock: MachineClock,
    random: Arc<Mutex<SimRandom>>,
}

impl SimEnvironment {
    /// An environment whose tasks belong to `group`. Two that get the same `random` are a machine and its clone: they
    /// draw the same ids.
    #[must_use]
    pub fn new(scheduler: Scheduler, group: GroupId, clock: MachineClock, random: SimRandom) -> Self {
        Self { scheduler, group, clock, random: Arc::new(Mutex::new(random)) }
    }
}

impl Environment for SimEnvironment {
    fn monotonic(&self) -> Duration {
        self.clock.monotonic(self.scheduler.now())
    }

    fn wall_clock(&self) -> WallTime {
        self.clock.wall(self.scheduler.now())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.scheduler.sleep(self.clock.true_time(duration)))
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        self.random.lock().fill(buffer);
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.scheduler.spawn(self.group, task);
    }
}

impl fmt::Debug for SimEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimEnvironment").field("group", &self.group).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Executor, Limits};

    #[test]
    fn clocks_are_as_wrong_as_they_are_told() {
        let executor = Executor::new(1, Limits::default());
        let clock = MachineClock::new(100_000, Duration::from_secs(5));
        let env = SimEnvironment::new(executor.scheduler(), GroupId::WORLD, clock.clone(), SimRandom::new(1));
        executor
            .run(async move {
                assert_eq!(env.monotonic(), Duration::from_secs(5));
                env.sleep(Duration::from_secs(11)).await;
                assert_eq!(env.scheduler.now(), Duration::from_secs(10));
                assert_eq!(env.monotonic(), Duration::from_secs(16));
                assert_eq!(env.wall_clock(), WallTime(EPOCH.0 + 10_000));
                clock.skew(-3_600_000);
                assert_eq!(env.wall_clock(), WallTime(EPOCH.0 + 10_000 - 3_600_000));
                env.scheduler.sleep(Duration::from_secs(10)).await;
                clock.freeze(Duration::from_secs(10));
                assert_eq!(env.monotonic(), Duration::from_secs(16));
            })
            .unwrap();
    }

    #[test]
    fn a_cloned_machine_draws_the_same_ids() {
        let executor = Executor::new(1, Limits::default());
        let draw = |seed| {
            let clock = MachineClock::default();
            let env = SimEnvironment::new(executor.scheduler(), GroupId::WORLD, clock, SimRandom::new(seed));
            let mut bytes = [0; 16];
            env.fill_random(&mut bytes);
            bytes
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
