//! Room for what is written: nobody writes while there is as much since the last checkpoint as there may be (H19).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bucketdb_documents::{Proposal, Refusal};
use bucketdb_env::Environment;
use bucketdb_log::{Commit, CommitError, Freshness, LogError};
use futures::future::{self, Either};

use crate::Result;
use crate::checkpoint::Goal;
use crate::database::Inner;

/// How long a writer that waits for room waits before it looks again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

impl Inner {
    /// Before something is written: waits while so much was written since the last checkpoint that there has to be one. Tells
    /// whether it is worth waiting once more if others take the room that there is.
    ///
    /// # Errors
    /// [`CommitError::TimedOut`] if there is none in time.
    pub(crate) async fn await_room(self: &Arc<Self>, timeout: Duration) -> Result<bool, CommitError<Refusal>> {
        self.maintenance.has_written.store(true, Ordering::Relaxed);
        let env = self.log.env();
        let give_up_at = self.in_time(timeout);
        let mut may_come = true;
        if self.log.is_full() {
            self.maintenance.have_writers_waited.store(true, Ordering::Relaxed);
            // Whose turn it ever is: a process that lives shortly may be the only one there is. If it comes to nothing, the
            // log says what is missing.
            // It takes much room, and is seldom.
            let made = Box::pin(self.relieve());
            if let Either::Left((Err(error), _)) = future::select(made, env.sleep(timeout / 2)).await {
                tracing::debug!(%error, "the log is full, and no checkpoint could be made");
                may_come = false;
            }
        }
        while self.is_full()? {
            let done = self.maintenance.done.notified();
            self.maintenance.have_writers_waited.store(true, Ordering::Relaxed);
            self.maintenance.wanted.notify_one();
            if env.monotonic() >= give_up_at {
                return Err(CommitError::TimedOut);
            }
            // Somebody else may make it too.
            future::select(std::pin::pin!(done), env.sleep(LOOK_AGAIN_AFTER)).await;
        }
        Ok(may_come)
    }

    /// Makes a checkpoint if the log is full: of those who find it so, one does.
    async fn relieve(self: &Arc<Self>) -> Result<()> {
        let alone = self.maintenance.running.lock().await;
        if self.log.is_full() {
            self.checkpoint_alone(alone, Goal::Keep).await?;
        }
        Ok(())
    }

    /// Commits a proposal once there is room.
    pub(crate) async fn propose(
        self: &Arc<Self>,
        proposal: &Proposal,
        freshness: Freshness,
    ) -> Result<Commit, CommitError<Refusal>> {
        let give_up_at = self.in_time(self.commit_timeout);
        loop {
            let may_come = self.await_room(self.left_until(give_up_at)).await?;
            match self.log.commit(proposal.clone(), freshness, self.left_until(give_up_at)).await {
                // Others were faster, and took the room that there was.
                Err(CommitError::Log(LogError::TailFull { .. }))
                    if may_come && !self.left_until(give_up_at).is_zero() => {}
                outcome => return outcome,
            }
        }
    }

    /// When so much time will have passed, by the monotonic clock.
    pub(crate) fn in_time(&self, timeout: Duration) -> Duration {
        self.log.env().monotonic().saturating_add(timeout)
    }

    /// How much time is left until then.
    pub(crate) fn left_until(&self, give_up_at: Duration) -> Duration {
        give_up_at.saturating_sub(self.log.env().monotonic())
    }

    /// Whether what was written since the last checkpoint takes all the memory that it may.
    pub(crate) fn is_full(&self) -> Result<bool, LogError> {
        let most_bytes = 2 * self.maintenance.overlay_bytes;
        self.log.read(|documents, _| documents.overlay_bytes() > most_bytes)
    }

    /// Takes in why a write was refused: if the log is full, somebody has to make a checkpoint, whose turn it ever is.
    pub(crate) fn heed(&self, error: &LogError) {
        if matches!(error, LogError::TailFull { .. }) {
            self.maintenance.has_written.store(true, Ordering::Relaxed);
            self.maintenance.wanted.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bucketdb_driver::{DelayDriver, Driver, ErrorKind, Fault, FaultDriver, MemoryDriver, Operation};
    use bucketdb_env::{Environment, TokioEnvironment};
    use bucketdb_log::{LogError, TailLimits};
    use bucketdb_lsm::Policy;
    use serde_json::json;
    use tokio::time::Instant;

    use crate::{Database, Duplicates, Error};

    const LIMITS: TailLimits =
        TailLimits { soft_records: 2, hard_records: 4, soft_bytes: 1 << 20, hard_bytes: 8 << 20 };

    fn noise(mut seed: u64) -> String {
        let next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:016x}", seed ^ seed >> 29)
        };
        std::iter::repeat_with(next).take(500).collect()
    }

    async fn open(driver: impl Driver) -> Database {
        let mut builder = Database::builder().driver(driver);
        builder.tail_limits = Some(LIMITS);
        builder.open().await.unwrap()
    }

    /// Each of their records may be the last for which there is room.
    #[tokio::test]
    async fn writers_wait_for_room_however_many_there_are() {
        let millisecond = Duration::from_millis(1);
        let store = DelayDriver::new(MemoryDriver::new(), TokioEnvironment::new()).writes(millisecond);
        let db = open(store).await;
        let things = db.collection("things");
        let writer = async |writer: u64| {
            for n in 0..20 {
                let id = 1000 * writer + n;
                things.put(&json!({"id": id})).await?;
                if writer == 7 && n % 5 == 0 {
                    let own = db.collection(&format!("own-{id}"));
                    own.put(&json!({"id": 1})).await?;
                    let mut load = own.bulk_load(Duplicates::Fail).await?;
                    load.add_value(&json!({"id": 2})).await?;
                    load.finish().await?;
                }
            }
            Ok::<_, Error>(())
        };
        futures::future::try_join_all((0..20).map(writer)).await.unwrap();
        assert_eq!(things.query().count().await.unwrap(), 400);
    }

    /// Beside what a checkpoint itself takes, which is four puts.
    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the clock is a paused one, which sleeps move on")]
    async fn writers_do_not_wait_for_merges_as_well() {
        let (env, request) = (TokioEnvironment::new(), Duration::from_millis(10));
        let store = DelayDriver::new(MemoryDriver::new(), env).reads(request).writes(request);
        let mut builder = Database::builder().driver(store);
        builder.tail_limits = Some(TailLimits { soft_records: 4, hard_records: 8, ..LIMITS });
        builder.policy = Policy { max_tiers: 4, ..Policy::default() };
        let db = builder.open().await.unwrap();
        let (things, started) = (db.collection("things"), Instant::now());
        for id in 0..400 {
            things.put(&json!({"id": id, "text": noise(id)})).await.unwrap();
        }
        let requests = started.elapsed().as_secs_f64() / request.as_secs_f64();
        assert!(requests <= 620.0, "400 commits took as long as {requests} requests");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_checkpoint_that_cannot_be_made() {
        let faulty = FaultDriver::new(MemoryDriver::new(), |operation, key| {
            let is_denied = operation == Operation::Put && key.starts_with("run/");
            if is_denied { Fault::Before(ErrorKind::Denied) } else { Fault::None }
        });
        let db = open(faulty).await;
        let (env, things) = (TokioEnvironment::new(), db.collection("things"));
        let started = env.monotonic();
        let mut written = 0;
        let error = loop {
            match things.put(&json!({"id": written})).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Log(LogError::TailFull { .. })), "{error:?}");
        let took = env.monotonic() - started;
        assert!(written >= 3 && took < Duration::from_secs(5), "{written} in {took:?}");
    }
}
