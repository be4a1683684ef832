use std::sync::Mutex;
use std::time::Duration;

use bucketdb::{Environment, WallTime};
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Time that stands still while anything is done, and chance that is the same every time: so that the same is done every time.
#[derive(Debug)]
pub(crate) struct Repeatable {
    runtime: Handle,
    began: Instant,
    random: Mutex<fastrand::Rng>,
}

impl Repeatable {
    /// On the runtime of the caller, whose time is paused.
    #[expect(clippy::disallowed_methods, reason = "an environment is where time and tasks come from")]
    pub(crate) fn new() -> Self {
        Self { runtime: Handle::current(), began: Instant::now(), random: Mutex::new(fastrand::Rng::with_seed(1)) }
    }
}

impl Environment for Repeatable {
    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }

    fn wall_clock(&self) -> WallTime {
        const BEGINNING: u64 = 1_767_225_600_000;
        WallTime(BEGINNING + u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "an environment is where time and tasks come from")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _runtime = self.runtime.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        if let Ok(mut random) = self.random.lock() {
            random.fill(buffer);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an environment is where time and tasks come from")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }
}
