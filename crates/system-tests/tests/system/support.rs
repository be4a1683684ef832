//! What all tests need, whatever they are about.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bucketdb::{Environment, TokioEnvironment};
use tokio::runtime::Runtime;

/// Lets tests that time something, or kill processes at some moment, run alone.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    // Another test that failed does not make this one fail.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Time since some moment.
pub(crate) fn now(runtime: &Runtime) -> Duration {
    TokioEnvironment::on(runtime.handle().clone()).monotonic()
}

/// A number below `bound`, which is not zero.
pub(crate) fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    #[expect(clippy::disallowed_methods, reason = "a test of real processes has no seed that could repeat it")]
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % bound
}

/// Lets time pass where the test is about time: for the rest, there is always something to wait for.
#[expect(clippy::disallowed_methods, reason = "a test of real processes lets real time pass")]
pub(crate) fn let_pass(duration: Duration) {
    std::thread::sleep(duration);
}

/// Says what came out, also when the test passes and what it prints is not shown.
pub(crate) fn report(text: impl std::fmt::Display) {
    // A test is no worse for nobody reading this.
    let _ = std::io::stderr().write_all(format!("system test: {text}\n").as_bytes());
}

/// Time as histories have it.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}
