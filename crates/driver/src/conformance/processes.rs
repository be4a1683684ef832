//! Races between processes.

use std::time::Duration;

use bucketdb_env::Environment;
use bytes::Bytes;

use super::races::create;
use crate::{Condition, Driver, DriverError, InvalidKey, Key};

/// How long a worker waits for the others at the start of a round.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a worker waits before it looks for the others again.
const POLL_PAUSE: Duration = Duration::from_millis(2);

/// Why a race between processes failed, in a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RaceFailure {
    /// A call of the driver failed in the middle of the race.
    #[error("a call of the driver failed during the race")]
    Driver(#[from] DriverError),
    /// The prefix leaves no valid keys.
    #[error("the race's prefix does not make valid keys")]
    Prefix(#[from] InvalidKey),
    /// Some worker did not come to a round, perhaps since its process ended.
    #[error("only {present} of {workers} workers came to round {round}")]
    Missing {
        /// The round, from zero.
        round: u32,
        /// How many came.
        present: usize,
        /// How many were to come.
        workers: u32,
    },
    /// Not exactly one worker won a round.
    #[error("round {round} was won by workers {winners:?}, but exactly one must win: create-only is not atomic")]
    Winners {
        /// The round, from zero.
        round: u32,
        /// The workers that were told that they had created the object.
        winners: Vec<u32>,
    },
    /// The object does not hold the winner's bytes.
    #[error("worker {winner} won round {round}, but the object does not hold its bytes")]
    Stored {
        /// The round, from zero.
        round: u32,
        /// The worker that was told that it had created the object.
        winner: u32,
    },
}

/// Takes part in a race of `workers` processes, as the one with the number `worker` (from zero): in each round all
/// wait for each other, then all try to create one object. Gives the rounds that this worker won.
///
/// Each process opens a driver of its own onto the same store. `prefix` must be empty at the start; it is left for
/// [`check_race`] and then for the caller to delete.
///
/// # Errors
/// If a call fails or the others do not come.
pub async fn race_worker(
    driver: &dyn Driver,
    env: &dyn Environment,
    prefix: &str,
    worker: u32,
    workers: u32,
    rounds: u32,
) -> Result<Vec<u32>, RaceFailure> {
    let mut won = Vec::new();
    for round in 0..rounds {
        let here = Key::new(format!("{prefix}/ready/{round:06}/{worker:04}"))?;
        driver.put(&here, Bytes::new(), Condition::Always).await?;
        gather(driver, env, prefix, workers, round).await?;
        if create(driver, env, &object(prefix, round)?, &body(worker, round)).await? {
            won.push(round);
        }
    }
    Ok(won)
}

/// Waits until all workers have announced themselves for a round.
async fn gather(
    driver: &dyn Driver,
    env: &dyn Environment,
    prefix: &str,
    workers: u32,
    round: u32,
) -> Result<(), RaceFailure> {
    let deadline = env.monotonic() + PATIENCE;
    loop {
        let present = driver.list(&format!("{prefix}/ready/{round:06}/"), None).await?.objects.len();
        if present >= workers as usize {
            return Ok(());
        }
        if env.monotonic() > deadline {
            return Err(RaceFailure::Missing { round, present, workers });
        }
        env.sleep(POLL_PAUSE).await;
    }
}

/// Judges a race: `won` holds, by worker, the rounds that [`race_worker`] gave.
///
/// # Errors
/// If in some round not exactly one worker won, or the object there does not hold the winner's bytes.
pub async fn check_race(driver: &dyn Driver, prefix: &str, rounds: u32, won: &[Vec<u32>]) -> Result<(), RaceFailure> {
    for round in 0..rounds {
        let winners: Vec<u32> =
            (0u32..).zip(won).filter(|(_, won)| won.contains(&round)).map(|(worker, _)| worker).collect();
        let [winner] = *winners else {
            return Err(RaceFailure::Winners { round, winners });
        };
        if driver.get(&object(prefix, round)?).await?.body != body(winner, round) {
            return Err(RaceFailure::Stored { round, winner });
        }
    }
    Ok(())
}

fn object(prefix: &str, round: u32) -> Result<Key, InvalidKey> {
    Key::new(format!("{prefix}/race/{round:06}"))
}

fn body(worker: u32, round: u32) -> Bytes {
    format!("worker {worker} in round {round}").into()
}
