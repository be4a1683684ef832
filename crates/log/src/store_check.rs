use std::fmt;
use std::sync::Arc;

use bucketdb_driver::{Condition, Driver, DriverError, ETag, ErrorKind, Key};
use bucketdb_env::{Environment, Random};
use bytes::Bytes;
use futures::future;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::{Layout, LogError, Result, reads};

/// How many races run at the same time.
const PARALLEL_ROUNDS: usize = 4;

/// How many objects are removed by one call.
const DELETED_TOGETHER: usize = 64;

/// How often a request that failed in passing is tried in all.
const ATTEMPTS: u32 = 5;

/// Finds out by trial what a store honours: conditions one at a time, then under races.
///
/// Some stores honour a condition when nobody races and let several racers win otherwise, often or once in a thousand.
/// Trying can show that a store is unfit, and never that it is fit: the hash chain of the log stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCheck {
    /// How many races are run for each condition.
    pub rounds: usize,
    /// How many writers take part in a race.
    pub racers: usize,
}

impl StoreCheck {
    /// What a new database does: 25 races of 8, about 450 puts.
    pub const CREATION: Self = Self { rounds: 25, racers: 8 };

    /// What a doctor does: 250 races of 8, about 4,500 puts.
    pub const THOROUGH: Self = Self { rounds: 250, racers: 8 };
}

/// What became of one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It held in every trial.
    Honoured,
    /// The driver says that the store does not have it.
    Absent(String),
    /// It was ignored, as this sentence says.
    Ignored(String),
}

impl Verdict {
    /// Whether it held in every trial.
    #[must_use]
    pub fn is_honoured(&self) -> bool {
        *self == Self::Honoured
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honoured => formatter.write_str("honoured"),
            Self::Absent(reason) => write!(formatter, "not offered ({reason})"),
            Self::Ignored(how) => write!(formatter, "not honoured: {how}"),
        }
    }
}

/// What a trial of a store showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreReport {
    /// [`Condition::IfAbsent`], on which several writers rest.
    pub create_only: Verdict,
    /// [`Condition::IfMatch`], which makes opening cheaper.
    pub if_match: Verdict,
}

/// A trial that ended early: the condition is not honoured, or the store failed.
enum Stop {
    Verdict(Verdict),
    /// What was written could not be read: nothing at all can live here.
    Unreliable(&'static str),
    Failed(DriverError),
}

impl From<DriverError> for Stop {
    fn from(error: DriverError) -> Self {
        match error.kind() {
            ErrorKind::Unsupported => Self::Verdict(Verdict::Absent(error.to_string())),
            _ => Self::Failed(error),
        }
    }
}

impl StoreCheck {
    /// Tries the store with objects under `probe/` below the database's prefix, and removes them.
    ///
    /// # Errors
    /// If the store cannot be used at all: unreachable, wrong credentials, missing bucket;
    /// [`LogError::UnfitStore`] if it does not even keep what it acknowledged.
    pub async fn run(
        &self,
        driver: &Arc<dyn Driver>,
        env: &Arc<dyn Environment>,
        layout: &Layout,
    ) -> Result<StoreReport> {
        // A copy of this machine draws the same numbers, but not at the same moment by the same clock.
        let id = u128::from_be_bytes(env.random_128()) ^ env.monotonic().as_nanos();
        let trial = Trial { check: *self, driver: &**driver, env: &**env, layout, id };
        let create_only = trial.create_only().await;
        let if_match = match &create_only {
            Err(Stop::Failed(_) | Stop::Unreliable(_)) => Ok(()),
            _ => trial.if_match().await,
        };
        let cleaned = trial.clean_up().await;
        let verdict = |outcome| verdict(outcome, &driver.fingerprint());
        let report = StoreReport { create_only: verdict(create_only)?, if_match: verdict(if_match)? };
        cleaned?;
        Ok(report)
    }
}

fn verdict(outcome: Result<(), Stop>, place: &str) -> Result<Verdict> {
    match outcome {
        Ok(()) => Ok(Verdict::Honoured),
        Err(Stop::Verdict(verdict)) => Ok(verdict),
        Err(Stop::Unreliable(reason)) => {
            Err(LogError::UnfitStore { place: place.to_owned(), reason: reason.to_owned() })
        }
        Err(Stop::Failed(error)) => Err(LogError::Driver(error)),
    }
}

/// One run of a check.
struct Trial<'a> {
    check: StoreCheck,
    driver: &'a dyn Driver,
    env: &'a dyn Environment,
    layout: &'a Layout,
    /// Keeps the objects of this run apart from those of others.
    id: u128,
}

impl Trial<'_> {
    fn key(&self, condition: &str, round: usize) -> Key {
        self.layout.key(&format!("probe/{:032x}-{condition}-{round}", self.id))
    }

    /// Every object that a run may leave.
    fn keys(&self) -> Vec<Key> {
        let rounds = 0..=self.check.rounds;
        rounds.flat_map(|round| [self.key("create", round), self.key("match", round)]).collect()
    }

    async fn clean_up(&self) -> Result<(), DriverError> {
        for keys in self.keys().chunks(DELETED_TOGETHER) {
            reads::retry(self.env, || self.driver.delete_many(keys)).await?;
        }
        Ok(())
    }

    async fn create_only(&self) -> Result<(), Stop> {
        let key = self.key("create", 0);
        match self.try_put(&key, "first", Condition::IfAbsent).await? {
            Put::Done(_) | Put::Unclear => {}
            Put::Refused => return ignored("an object that did not exist could not be created"),
        }
        self.read(&key).await?;
        if let Put::Done(_) = self.try_put(&key, "second", Condition::IfAbsent).await? {
            return ignored("an object that existed was created again");
        }
        if self.read(&key).await? != "first" {
            return ignored("a refused create changed the object");
        }
        let races = stream::iter(1..=self.check.rounds).map(|round| async move {
            let key = self.key("create", round);
            self.race(&key, Condition::IfAbsent, "created one object").await
        });
        races.buffer_unordered(PARALLEL_ROUNDS).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    async fn if_match(&self) -> Result<(), Stop> {
        let key = self.key("match", 0);
        let first = self.write(&key, "first").await?;
        let second = match self.try_put(&key, "second", Condition::IfMatch(first.clone())).await? {
            Put::Done(etag) => etag,
            Put::Refused => return ignored("an object could not be replaced although its ETag matched"),
            Put::Unclear => return ignored("the store never said whether it replaced an object"),
        };
        if first == second {
            return ignored("the ETag did not change with the content");
        }
        if let Put::Done(_) = self.try_put(&key, "third", Condition::IfMatch(first)).await? {
            return ignored("an object was replaced although its ETag had changed");
        }
        if self.read(&key).await? != "second" {
            return ignored("a refused replacement changed the object");
        }
        let races = stream::iter(1..=self.check.rounds).map(|round| async move {
            let key = self.key("match", round);
            let etag = self.write(&key, "start").await?;
            self.race(&key, Condition::IfMatch(etag), "replaced one version of an object").await
        });
        races.buffer_unordered(PARALLEL_ROUNDS).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    /// Lets all racers put at once: at most one may be told that it did, and what it wrote must be there.
    async fn race(&self, key: &Key, condition: Condition, deed: &str) -> Result<(), Stop> {
        let racers = (0..self.check.racers).map(|racer| {
            let condition = condition.clone();
            async move { (racer, self.driver.put(key, Bytes::from(racer.to_string()), condition).await) }
        });
        let mut winners = Vec::new();
        for (racer, outcome) in future::join_all(racers).await {
            match outcome {
                Ok(_) => winners.push(racer),
                Err(error) if error.is_precondition_failed() || error.is_transient() => {}
                Err(error) => return Err(error.into()),
            }
        }
        if winners.len() > 1 {
            let (count, racers) = (winners.len(), self.check.racers);
            return ignored(&format!("{count} of {racers} racing writers were each told that they {deed}"));
        }
        if let Some(winner) = winners.first()
            && self.read(key).await? != winner.to_string()
        {
            return ignored("the object does not hold what the winner of a race wrote");
        }
        Ok(())
    }

    async fn try_put(&self, key: &Key, body: &'static str, condition: Condition) -> Result<Put, Stop> {
        let mut unclear = false;
        for attempt in 1..=ATTEMPTS {
            match self.driver.put(key, Bytes::from_static(body.as_bytes()), condition.clone()).await {
                Ok(etag) => return Ok(Put::Done(etag)),
                // After an unclear attempt, our own earlier one may be what it lost to.
                Err(error) if error.is_precondition_failed() && unclear => return Ok(Put::Unclear),
                Err(error) if error.is_precondition_failed() => return Ok(Put::Refused),
                Err(error) if error.is_transient() && attempt < ATTEMPTS => unclear = true,
                Err(error) => return Err(error.into()),
            }
            self.pause(attempt).await;
        }
        Ok(Put::Unclear)
    }

    async fn write(&self, key: &Key, body: &'static str) -> Result<ETag, Stop> {
        let mut attempt = 1;
        loop {
            match self.driver.put(key, Bytes::from_static(body.as_bytes()), Condition::Always).await {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => self.pause(attempt).await,
                outcome => return Ok(outcome?),
            }
            attempt += 1;
        }
    }

    async fn read(&self, key: &Key) -> Result<Bytes, Stop> {
        let mut attempt = 1;
        loop {
            match self.driver.get(key).await {
                Ok(object) => return Ok(object.body),
                Err(error) if error.is_transient() && attempt < ATTEMPTS => self.pause(attempt).await,
                Err(error) if error.is_not_found() => {
                    return Err(Stop::Unreliable("an object could not be read right after it was written"));
                }
                Err(error) => return Err(error.into()),
            }
            attempt += 1;
        }
    }

    async fn pause(&self, attempt: u32) {
        let most_us = 100_000 * u64::from(attempt);
        let pause_us = self.env.random_below(most_us);
        self.env.sleep(std::time::Duration::from_micros(pause_us)).await;
    }
}

enum Put {
    Done(ETag),
    Refused,
    Unclear,
}

fn ignored<T>(how: &str) -> Result<T, Stop> {
    Err(Stop::Verdict(Verdict::Ignored(how.to_owned())))
}
