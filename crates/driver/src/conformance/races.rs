//! Conditions under contention: many tasks set out at one moment.
//!
//! Every racer writes bytes of its own. So after an unclear answer it can find out whether it had won: a store may
//! answer a race with a passing fault.

use std::sync::Arc;
use std::time::Duration;

use bucketdb_env::{Environment, Random};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::Barrier;

use super::context::{Context, Finding, Verdict, ensure};
use crate::{Condition, Driver, ETag, Key, Object, Result};

/// How often an unclear put is repeated before its fault counts as lasting.
const UNCLEAR_ATTEMPTS: u32 = 12;

/// How often one increment is tried before the store counts as not letting anyone win.
const INCREMENT_ATTEMPTS: u32 = 1000;

/// The longest pause after a lost or unclear attempt.
const LONGEST_PAUSE_MS: u64 = 2000;

/// Creates an object, and tells whether this call did it.
pub(super) async fn create(driver: &dyn Driver, env: &dyn Environment, key: &Key, body: &Bytes) -> Result<bool> {
    put_settled(driver, env, key, body, Condition::IfAbsent).await
}

/// Replaces the version with this ETag, and tells whether this call did it. Nobody may write onto `body` meanwhile.
async fn replace(driver: &dyn Driver, env: &dyn Environment, key: &Key, etag: &ETag, body: &Bytes) -> Result<bool> {
    put_settled(driver, env, key, body, Condition::IfMatch(etag.clone())).await
}

/// Puts until it is clear who won: after an unclear answer, what is stored tells.
async fn put_settled(
    driver: &dyn Driver,
    env: &dyn Environment,
    key: &Key,
    body: &Bytes,
    condition: Condition,
) -> Result<bool> {
    let mut unclear = 0;
    loop {
        match driver.put(key, body.clone(), condition.clone()).await {
            Ok(_) => return Ok(true),
            Err(error) if error.is_precondition_failed() && unclear == 0 => return Ok(false),
            Err(error) if error.is_precondition_failed() => return Ok(driver.get(key).await?.body == *body),
            Err(error) if error.is_transient() && unclear < UNCLEAR_ATTEMPTS => {
                unclear += 1;
                pause(env, unclear).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A random pause that grows with each attempt.
async fn pause(env: &dyn Environment, attempt: u32) {
    let longest_ms = 1u64.checked_shl(attempt).unwrap_or(u64::MAX).min(LONGEST_PAUSE_MS);
    env.sleep(Duration::from_millis(env.random_below(longest_ms + 1))).await;
}

fn body_of(racer: usize, round: usize) -> Bytes {
    // Not all of one length, so that a mixture of two shows.
    format!("racer {racer} of round {round}{}", ".".repeat(racer)).into()
}

/// What a racer in a round does: driver, environment, key, its bytes.
type Attempt<'a> =
    &'a (dyn Fn(Arc<dyn Driver>, Arc<dyn Environment>, Key, Bytes) -> BoxFuture<'static, Result<bool>> + Send + Sync);

/// Lets all racers attempt the same, and checks that one won and that its bytes are stored.
async fn one_wins(cx: &Context, key: &Key, round: usize, what: &str, attempt: Attempt<'_>) -> Finding {
    let racers = (0..cx.racers)
        .map(|racer| attempt(Arc::clone(&cx.driver), Arc::clone(&cx.env), key.clone(), body_of(racer, round)));
    let won = cx.race(racers.collect()).await?.into_iter().collect::<Result<Vec<_>>>()?;
    let winners: Vec<_> = won.iter().enumerate().filter_map(|(racer, won)| won.then_some(racer)).collect();
    let (count, total) = (winners.len(), cx.racers);
    let [winner] = winners.as_slice() else {
        let sentence = match count {
            0 => format!("in round {round} all {total} {what} of {key} were refused, though one must win"),
            _ => format!("in round {round} {count} of {total} {what} of {key} succeeded: the condition is not atomic"),
        };
        return Err(Verdict::Failed(sentence));
    };
    let stored = cx.driver.get(key).await?.body;
    ensure!(
        stored == body_of(*winner, round),
        "in round {round} of the {what} of {key} one won, but the bytes of another are stored"
    );
    Ok(())
}

pub(super) async fn creators(cx: &Context) -> Finding {
    cx.needs_create_only()?;
    let create: Attempt<'_> =
        &|driver, env, key, body| Box::pin(async move { create(&*driver, &*env, &key, &body).await });
    let again = cx.key("races/create/again")?;
    for round in 0..cx.rounds {
        one_wins(cx, &cx.key(&format!("races/create/{round:06}"))?, round, "creators", create).await?;
        // A key that was deleted a moment ago is as free as one that never was.
        one_wins(cx, &again, round, "creators", create).await?;
        cx.driver.delete(&again).await?;
    }
    Ok(())
}

pub(super) async fn replacers(cx: &Context) -> Finding {
    cx.needs_if_match()?;
    let key = cx.key("races/replace")?;
    let mut etag = cx.put(&key, "before the first round").await?;
    for round in 0..cx.rounds {
        let expected = etag.clone();
        let replace: Attempt<'_> = &move |driver, env, key, body| {
            let expected = expected.clone();
            Box::pin(async move { replace(&*driver, &*env, &key, &expected, &body).await })
        };
        one_wins(cx, &key, round, "replacers", replace).await?;
        etag = cx.driver.get(&key).await?.etag;
    }
    Ok(())
}

/// Each racer adds lines to one object by read, change and if-match. All have read before any writes, so that all but
/// one write on the ground of a version that is gone. The lines have names: so a lost one is seen, and a racer can tell
/// after an unclear answer whether its line had been added.
pub(super) async fn increments(cx: &Context) -> Finding {
    cx.needs_if_match()?;
    let key = cx.key("races/counter")?;
    cx.put(&key, "").await?;
    let each = cx.rounds.div_ceil(cx.racers);
    let all_have_read = Arc::new(Barrier::new(cx.racers));
    let racers = (0..cx.racers).map(|racer| -> BoxFuture<'static, Finding> {
        let (driver, env, key) = (Arc::clone(&cx.driver), Arc::clone(&cx.env), key.clone());
        let all_have_read = Arc::clone(&all_have_read);
        Box::pin(async move {
            let mut finding = Ok(());
            for number in 0..each {
                let before = driver.get(&key).await;
                // One that has failed goes on waiting, or the others would wait for it for ever.
                all_have_read.wait().await;
                if finding.is_ok() {
                    finding = add_line(&*driver, &*env, &key, before, &format!("{racer}:{number}\n")).await;
                }
            }
            finding
        })
    });
    cx.race(racers.collect()).await?.into_iter().collect::<Finding>()?;
    let stored = cx.driver.get(&key).await?.body;
    let stored = String::from_utf8_lossy(&stored);
    let wanted = each * cx.racers;
    let mut lines: Vec<_> = stored.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    ensure!(count == lines.len(), "{} increments of {key} were applied twice", count - lines.len());
    ensure!(
        count == wanted,
        "{} of {wanted} increments of {key} were lost: an if-match put replaced a version that it did not name",
        wanted.abs_diff(count)
    );
    Ok(())
}

async fn add_line(
    driver: &dyn Driver,
    env: &dyn Environment,
    key: &Key,
    mut read: Result<Object>,
    line: &str,
) -> Finding {
    let mut unclear = 0;
    for attempt in 0..INCREMENT_ATTEMPTS {
        let object = read?;
        let before = String::from_utf8_lossy(&object.body);
        if unclear > 0 && before.lines().any(|present| present == line.trim_end()) {
            return Ok(());
        }
        let after = format!("{before}{line}").into();
        match driver.put(key, after, Condition::IfMatch(object.etag)).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_precondition_failed() => pause(env, attempt.min(5)).await,
            Err(error) if error.is_transient() && unclear < UNCLEAR_ATTEMPTS => {
                unclear += 1;
                pause(env, unclear).await;
            }
            Err(error) => return Err(error.into()),
        }
        read = driver.get(key).await;
    }
    Err(Verdict::Failed(format!("an increment of {key} was refused {INCREMENT_ATTEMPTS} times: nobody gets on")))
}

/// A deletion and if-match puts with the ETag of what is deleted: whichever comes first, the object is gone at the end.
pub(super) async fn deletion(cx: &Context) -> Finding {
    cx.needs_if_match()?;
    let key = cx.key("races/deleted")?;
    for round in 0..cx.rounds {
        let started = cx.env.monotonic();
        let etag = cx.put(&key, format!("doomed {round}")).await?;
        let delay = some_of(&*cx.env, cx.env.monotonic().saturating_sub(started));
        let racers = (0..cx.racers).map(|racer| -> BoxFuture<'static, Result<()>> {
            let (driver, env, key, etag) = (Arc::clone(&cx.driver), Arc::clone(&cx.env), key.clone(), etag.clone());
            Box::pin(async move {
                if racer == contender(round) {
                    env.sleep(delay).await;
                    return driver.delete(&key).await;
                }
                replace_unless_gone(&*driver, &*env, &key, &etag, &body_of(racer, round)).await
            })
        });
        cx.race(racers.collect()).await?.into_iter().collect::<Result<()>>()?;
        cx.expect_missing(&key, "after a deletion that raced with if-match puts of the version it deleted").await?;
    }
    Ok(())
}

/// The place of the one that deletes or overwrites takes turns, since the start favours some.
fn contender(round: usize) -> usize {
    round % 2
}

/// A random part of the time that a put takes, in whole milliseconds. One that deletes or overwrites waits for it, to
/// come between the comparison and the write of a put that takes both for one step.
fn some_of(env: &dyn Environment, put_took: Duration) -> Duration {
    let longest_ms = u64::try_from(put_took.as_millis()).unwrap_or(u64::MAX).min(LONGEST_PAUSE_MS);
    Duration::from_millis(env.random_below(longest_ms + 1))
}

/// An if-match put whose result does not matter. An unclear one is repeated until it is settled, so that it cannot land
/// after the race.
async fn replace_unless_gone(
    driver: &dyn Driver,
    env: &dyn Environment,
    key: &Key,
    etag: &ETag,
    body: &Bytes,
) -> Result<()> {
    match replace(driver, env, key, etag, body).await {
        Err(error) if error.is_not_found() => Ok(()),
        result => result.map(drop),
    }
}

/// An unconditional put and if-match puts with the ETag of what it replaces: its bytes are there at the end.
pub(super) async fn overwriting(cx: &Context) -> Finding {
    cx.needs_if_match()?;
    let key = cx.key("races/overwritten")?;
    for round in 0..cx.rounds {
        let started = cx.env.monotonic();
        let etag = cx.put(&key, format!("old {round}")).await?;
        let delay = some_of(&*cx.env, cx.env.monotonic().saturating_sub(started));
        let last = Bytes::from(format!("unconditional {round}"));
        let racers = (0..cx.racers).map(|racer| -> BoxFuture<'static, Result<()>> {
            let (driver, env, key, etag) = (Arc::clone(&cx.driver), Arc::clone(&cx.env), key.clone(), etag.clone());
            let last = last.clone();
            Box::pin(async move {
                if racer == contender(round) {
                    env.sleep(delay).await;
                    return driver.put(&key, last, Condition::Always).await.map(drop);
                }
                replace_unless_gone(&*driver, &*env, &key, &etag, &body_of(racer, round)).await
            })
        });
        cx.race(racers.collect()).await?.into_iter().collect::<Result<()>>()?;
        cx.expect(&key, &last, "after an unconditional put that raced with if-match puts of the version before")
            .await?;
    }
    Ok(())
}
