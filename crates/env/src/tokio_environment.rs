use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;

use crate::{Environment, WallTime};

/// The real environment: the operating system's clocks and random bytes, tasks on a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bucketdb_env::{Environment, TokioEnvironment};
///
/// let env = TokioEnvironment::new();
/// let before = env.monotonic();
/// env.sleep(std::time::Duration::from_millis(2)).await;
/// assert!(env.monotonic() > before);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TokioEnvironment {
    runtime: Handle,
}

impl TokioEnvironment {
    /// The environment of the runtime that the caller runs on.
    ///
    /// # Panics
    /// Outside a tokio runtime, as [`Handle::current`] does.
    #[must_use]
    pub fn new() -> Self {
        Self { runtime: Handle::current() }
    }

    /// The environment of the given runtime.
    #[must_use]
    pub fn on(runtime: Handle) -> Self {
        Self { runtime }
    }
}

impl Default for TokioEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for TokioEnvironment {
    /// The boot clock, which counts time asleep, on Linux; the plain monotonic clock elsewhere.
    fn monotonic(&self) -> Duration {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let clock = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let clock = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(clock);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
        Duration::new(seconds, nanoseconds)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    fn wall_clock(&self) -> WallTime {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        WallTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps on the real clock")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _runtime = self.runtime.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    #[expect(clippy::disallowed_methods, clippy::expect_used, reason = "no id is better than one that is not unique")]
    fn fill_random(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }
}
