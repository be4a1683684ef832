use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

/// Milliseconds since 1970-01-01T00:00:00Z, as a machine's wall clock tells them.
///
/// A wall clock may jump and may be wrong: nothing that must be safe may rest on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub u64);

/// Where a database gets time, chance and tasks from.
///
/// One environment serves any number of databases. All methods are cheap and none blocks.
pub trait Environment: Debug + Send + Sync + 'static {
    /// Time since a fixed but unknown moment. Never goes backwards, and goes on while the machine sleeps where the
    /// platform offers such a clock.
    fn monotonic(&self) -> Duration;

    /// The wall clock.
    fn wall_clock(&self) -> WallTime;

    /// Completes once `duration` has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Fills `buffer` with random bytes fit for unique ids.
    fn fill_random(&self, buffer: &mut [u8]);

    /// Runs `task` to its end, beside the caller.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// Random values drawn from an [`Environment`].
pub trait Random {
    /// 128 random bits.
    fn random_128(&self) -> [u8; 16];

    /// A random number below `bound`; zero if `bound` is zero.
    ///
    /// The remainder of a 64-bit draw: the bias is below `bound / 2^64`, far under what back-off needs.
    fn random_below(&self, bound: u64) -> u64;
}

impl<E: Environment + ?Sized> Random for E {
    fn random_128(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill_random(&mut bytes);
        bytes
    }

    fn random_below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill_random(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }
}

impl<E: Environment + ?Sized> Environment for Arc<E> {
    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }

    fn wall_clock(&self) -> WallTime {
        (**self).wall_clock()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        (**self).sleep(duration)
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        (**self).fill_random(buffer);
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        (**self).spawn(task);
    }
}
