//! Time that passes when everybody waits, and chance from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bucketdb::{Environment, WallTime};
use futures::future::BoxFuture;
use tokio::time::Instant;

/// What wall clocks show in the beginning: 2026-01-01T00:00:00Z.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// The environment of one process, on a paused runtime.
#[derive(Clone, Debug)]
pub(crate) struct Virtual {
    begun: Instant,
    /// How late it was when the runtime began.
    before: Duration,
    random: Arc<AtomicU64>,
}

impl Virtual {
    /// Inside of a runtime that has just begun, after so much time.
    #[expect(clippy::disallowed_methods, reason = "the clock is a paused one, which sleeps move on")]
    pub(crate) fn new(before: Duration, seed: u64) -> Self {
        Self { begun: Instant::now(), before, random: Arc::new(AtomicU64::new(seed << 32)) }
    }

    /// The environment of another process, at the same time.
    pub(crate) fn with_seed(&self, seed: u64) -> Self {
        Self { random: Arc::new(AtomicU64::new(seed << 32)), ..self.clone() }
    }
}

/// Numbers without a pattern, the same each time.
pub(crate) fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Environment for Virtual {
    fn monotonic(&self) -> Duration {
        self.before + self.begun.elapsed()
    }

    fn wall_clock(&self) -> WallTime {
        WallTime(EPOCH_MS + self.monotonic().as_millis() as u64)
    }

    #[expect(clippy::disallowed_methods, reason = "the clock is a paused one, which sleeps move on")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        for bytes in buffer.chunks_mut(8) {
            let drawn = mixed(self.random.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
            bytes.copy_from_slice(&drawn[..bytes.len()]);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the runtime has one thread, which runs tasks in their order")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}
