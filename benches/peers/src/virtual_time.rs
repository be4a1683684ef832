//! Time that passes when everybody waits: that of a paused tokio runtime.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bucketdb::{Environment, WallTime};
use futures::future::BoxFuture;
use tokio::time::Instant;

/// What wall clocks show in the beginning: 2026-01-01T00:00:00Z.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// The environment of databases on a paused runtime. Chance comes from a seed.
#[derive(Clone, Debug)]
pub struct VirtualEnvironment {
    started: Instant,
    random: Arc<Mutex<fastrand::Rng>>,
}

impl VirtualEnvironment {
    pub fn new(seed: u64) -> Self {
        Self { started: Instant::now(), random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))) }
    }
}

impl Environment for VirtualEnvironment {
    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall_clock(&self) -> WallTime {
        WallTime(EPOCH_MS + self.started.elapsed().as_millis() as u64)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill(buffer);
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// Runs `work` on one thread and in virtual time.
pub fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(work)
}
