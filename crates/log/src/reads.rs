//! Reads that survive passing faults: reading twice does no harm, so they are tried again.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bucketdb_driver::{Condition, Driver, DriverError, ErrorKind, Key, Listed, Operation};
use bucketdb_env::{Environment, Random};
use bytes::Bytes;

/// How often a read that failed in passing is tried in all.
const READ_ATTEMPTS: u32 = 4;

/// Mean pause before the first repetition; it doubles with each.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Waits before a repetition: a random time around a mean that doubles with each attempt ("full jitter").
pub(crate) async fn pause(env: &dyn Environment, attempt: u32) {
    let most = RETRY_PAUSE * 2u32.saturating_pow(attempt.min(8));
    let pause_us = env.random_below(most.as_micros() as u64);
    env.sleep(Duration::from_micros(pause_us)).await;
}

/// How long a read is tried again. One that hung longer than that has had its time.
const RETRY_WITHIN: Duration = Duration::from_secs(5);

/// The result of `call`, which is repeated a few times, with pauses, while it fails in passing. Only for what may be done
/// twice.
///
/// # Errors
/// The last failure.
pub async fn retry<T, C>(env: &dyn Environment, call: impl Fn() -> C) -> Result<T, DriverError>
where
    C: Future<Output = Result<T, DriverError>>,
{
    let give_up_at = env.monotonic().saturating_add(RETRY_WITHIN);
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if error.is_transient() && attempt < READ_ATTEMPTS && env.monotonic() < give_up_at => {
                pause(env, attempt).await;
            }
            outcome => return outcome,
        }
        attempt += 1;
    }
}

/// Writes an object under a name that was drawn for it, and repeats that while it fails in passing.
///
/// A machine that was copied while it ran draws the same names as its copy, for other contents. So where the store honours
/// create-only, `create_only`, nothing is overwritten: whoever comes second gets a transient error, and begins anew.
///
/// # Errors
/// The last failure.
pub async fn put_new(
    driver: &dyn Driver,
    env: &dyn Environment,
    key: &Key,
    body: &Bytes,
    create_only: bool,
) -> Result<(), DriverError> {
    let condition = || if create_only { Condition::IfAbsent } else { Condition::Always };
    let attempts = AtomicU32::new(0);
    let put = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        driver.put(key, body.clone(), condition())
    };
    let taken = match retry(env, put).await {
        Err(error) if create_only && error.is_precondition_failed() => error,
        outcome => return outcome.map(|_| ()),
    };
    // It may be an earlier attempt of our own, whose answer was lost; with no such attempt it is a copy's, whatever its
    // bytes: an object that two brought would be deleted when one of them needs it no more.
    if attempts.load(Ordering::Relaxed) > 1 && get(driver, env, key).await?.as_ref() == Some(body) {
        return Ok(());
    }
    let detail = format!("somebody else drew the same name: {taken}");
    Err(DriverError::new(ErrorKind::Transient, Operation::Put, key.as_str(), detail))
}

/// The bytes of an object; `None` if there is none.
pub(crate) async fn get(driver: &dyn Driver, env: &dyn Environment, key: &Key) -> Result<Option<Bytes>, DriverError> {
    match retry(env, || driver.get(key)).await {
        Ok(object) => Ok(Some(object.body)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The store's clock in Unix milliseconds, where it tells it.
pub(crate) async fn store_time_ms(driver: &dyn Driver) -> Option<u64> {
    if !driver.capabilities().server_time {
        return None;
    }
    let time = driver.server_time().await.ok()??;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_millis() as u64)
}

/// Shows every object below `prefix` and behind `after` to `visit`, in order, until it breaks.
pub(crate) async fn list(
    driver: &dyn Driver,
    env: &dyn Environment,
    prefix: &str,
    after: Option<&Key>,
    mut visit: impl FnMut(Listed) -> ControlFlow<()>,
) -> Result<(), DriverError> {
    let mut page = match after {
        Some(after) => retry(env, || driver.list_after(prefix, after)).await?,
        None => retry(env, || driver.list(prefix, None)).await?,
    };
    loop {
        for listed in page.objects {
            if visit(listed).is_break() {
                return Ok(());
            }
        }
        match page.next {
            Some(next) => page = retry(env, || driver.list(prefix, Some(&next))).await?,
            None => return Ok(()),
        }
    }
}
