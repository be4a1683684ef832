use std::time::Duration;

use bucketdb_documents::{ReadSet, Transaction as Changes};
use bucketdb_env::{Environment, Random};
use bucketdb_log::{Commit, CommitError, Freshness};

use crate::rows::check_size;
use crate::{Database, Error, Result, Transaction};

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The shortest bound of a pause between two attempts.
const MIN_PAUSE_BOUND: Duration = Duration::from_millis(1);

/// How a transaction is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactOptions {
    /// How long it may take, all attempts together; the database's commit timeout unless given. It ends no attempt of
    /// the closure, but the waiting for its commit, and there is no further attempt.
    pub deadline: Option<Duration>,
    /// How often the closure is run at most; no limit unless given.
    pub max_attempts: Option<u32>,
    /// What a transaction that writes nothing, or ends with an error, may miss. One that commits misses nothing
    /// whatever is said here: what it read is compared with everything before its own position in the log.
    pub freshness: Freshness,
}

impl Default for TransactOptions {
    /// [`Freshness::Strict`], and no other limit than the commit timeout.
    fn default() -> Self {
        Self { deadline: None, max_attempts: None, freshness: Freshness::Strict }
    }
}

/// What a transaction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transacted<T> {
    /// What its closure returned.
    pub value: T,
    /// Where it is in the log; `None` if it wrote nothing.
    pub commit: Option<Commit>,
    /// How often the closure was run.
    pub attempts: u32,
}

impl Database {
    /// Runs a transaction: everything that the closure reads and writes through its [`Transaction`] happens at once, as
    /// if nobody else were there (strictly serializable).
    ///
    /// The closure reads one moment of the database. When it ends, its writes are committed together, unless somebody
    /// else wrote meanwhile what it has read, or so much that its moment is not kept any more: then it is run again, on the
    /// state as it is then. So it should do nothing but read, compute and write through the transaction. If it ends with an
    /// error, nothing is written, and the error is returned as it is. Its error can be of any type that is made
    /// [from](From) [`Error`].
    ///
    /// Nobody is locked out, however long it takes. What it costs: one put if it writes, and one get (shared by all who
    /// wait at the same time) if it does not or ends with an error, so that a stale state decides nothing.
    ///
    /// ```
    /// use bucketdb::{Database, Document, MemoryDriver};
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, Document)]
    /// #[document(table = "accounts")]
    /// struct Account {
    ///     #[document(key)]
    ///     id: String,
    ///     balance: i64,
    /// }
    ///
    /// #[derive(Debug)]
    /// enum BankError {
    ///     Missing,
    ///     TooLittle,
    ///     Database(bucketdb::Error),
    /// }
    ///
    /// impl From<bucketdb::Error> for BankError {
    ///     fn from(error: bucketdb::Error) -> Self {
    ///         Self::Database(error)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BankError> {
    /// let db = Database::builder().driver(MemoryDriver::new()).open().await?;
    /// let accounts = db.table::<Account>().await?;
    /// for id in ["a", "b"] {
    ///     accounts.insert(&Account { id: id.into(), balance: 10 }).await?;
    /// }
    /// let left = db
    ///     .transact(async |tx| {
    ///         let mut a: Account = tx.get("a").await?.ok_or(BankError::Missing)?;
    ///         let mut b: Account = tx.get("b").await?.ok_or(BankError::Missing)?;
    ///         if a.balance < 7 {
    ///             return Err(BankError::TooLittle);
    ///         }
    ///         a.balance -= 7;
    ///         b.balance += 7;
    ///         tx.put(&a)?;
    ///         tx.put(&b)?;
    ///         Ok(a.balance)
    ///     })
    ///     .await?;
    /// assert_eq!(left, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # The closure
    /// `async |tx| …` borrows what it uses from around it. Where that is not possible, as in a task of its own, either
    /// the whole call goes into an `async move` block, which owns what the closure borrows, or the closure is written as
    /// `move |tx| { let name = name.clone(); async move { … } }`, for copied values as `move |tx| async move { … }`.
    /// (`async move |tx|` would lend what it owns to its future, and could not be run again.) The future is `Send` if
    /// the closure's is. Dropping it takes nothing back that was sent already, and sends nothing more.
    ///
    /// The compiler has to learn the error type from somewhere: an `Err(…)` in the closure, a signature
    /// (`async |tx| -> Result<_, BankError> { … }`) or `Ok::<_, BankError>(…)`.
    ///
    /// # Errors
    /// The closure's own. [`Error::CommitTimedOut`] if the commit timeout passed before anything was written;
    /// [`Error::CommitOutcomeUnknown`] if it may have been written: that is not tried again.
    pub async fn transact<T, E, F, R>(&self, transaction: F) -> Result<T, E>
    where
        F: FnMut(Transaction) -> R,
        R: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        Ok(self.transact_with(TransactOptions::default(), transaction).await?.value)
    }

    /// As [`transact`](Self::transact), with options; tells also where in the log the transaction is.
    ///
    /// With another freshness than strict, a transaction that writes nothing may answer from an older state, without a
    /// request if it is local; it is still serializable.
    ///
    /// # Errors
    /// As [`transact`](Self::transact). If the attempts are used up, the conflict that ended the last one:
    /// [`Error::Conflict`], [`Error::TableConflict`], [`Error::TransactionTooLong`] or, if what it began with was not kept
    /// for as long as it took, [`Error::SnapshotExpired`].
    pub async fn transact_with<T, E, F, R>(
        &self,
        options: TransactOptions,
        mut transaction: F,
    ) -> Result<Transacted<T>, E>
    where
        F: FnMut(Transaction) -> R,
        R: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        let mut attempts = Attempts::new(self, options);
        attempts.prepare().await?;
        loop {
            let handle = attempts.begin()?;
            let outcome = transaction(handle.clone()).await;
            let ended = handle.end();
            drop(handle);
            let settled = match ended {
                Ok((reads, writes)) => match writes.into_transaction().filter(|_| outcome.is_ok()) {
                    Some(changes) => attempts.commit(changes, reads).await.map(Some),
                    None => attempts.confirm(&reads).await.map(|()| None),
                },
                Err(error) => Err(error),
            };
            match settled {
                Ok(commit) => {
                    return outcome.map(|value| Transacted { value, commit, attempts: attempts.count });
                }
                Err(error) if is_conflict(&error) => attempts.pause_after(error).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether the transaction met the writes of others, or so many that what it began with is not kept any more: the next
/// attempt sees them.
fn is_conflict(error: &Error) -> bool {
    matches!(
        error,
        Error::Conflict { .. }
            | Error::TableConflict { .. }
            | Error::TransactionTooLong { .. }
            | Error::SnapshotExpired { .. }
    )
}

/// The attempts of one transaction, and when there are to be no more.
struct Attempts<'a> {
    db: &'a Database,
    options: TransactOptions,
    deadline: Duration,
    started: Duration,
    count: u32,
    /// Whether what is begun from now on reads a state as fresh as wanted, so that its answers need no confirmation.
    is_fresh: bool,
    /// How long the last commit took.
    latency: Duration,
}

impl<'a> Attempts<'a> {
    fn new(db: &'a Database, options: TransactOptions) -> Self {
        let deadline = options.deadline.unwrap_or(db.inner.commit_timeout);
        let started = db.inner.log.env().monotonic();
        Self { db, options, deadline, started, count: 0, is_fresh: false, latency: Duration::ZERO }
    }

    fn is_strict(&self) -> bool {
        match self.options.freshness {
            Freshness::Strict => true,
            Freshness::Bounded(age) => age.is_zero(),
            Freshness::Local => false,
        }
    }

    /// Makes the state as fresh as wanted, where that needs no confirmation at the end. A strict transaction begins with
    /// what is known: if it commits, that is made sure of anyhow, and else one request at the end is enough.
    async fn prepare(&mut self) -> Result<()> {
        if !self.is_strict() {
            self.db.inner.log.refresh(self.options.freshness).await?;
            self.is_fresh = true;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Transaction> {
        self.count += 1;
        Transaction::begin(self.db)
    }

    /// Commits what an attempt wrote, if what it read still holds.
    async fn commit(&mut self, transaction: Changes, reads: ReadSet) -> Result<Commit> {
        check_size(&transaction)?;
        let inner = &self.db.inner;
        let reads = Some(reads).filter(|reads| !reads.is_empty());
        let sent = inner.log.env().monotonic();
        // A conflict is followed by another attempt, so what it rests on need not be fresh. What a unique index refuses is an
        // answer, and the document that is in the way, or the index, may be gone.
        let is_answered = !self.is_fresh && inner.log.read(|documents, _| documents.has_unique_index(&transaction))?;
        let freshness = if is_answered { Freshness::Strict } else { Freshness::Local };
        let outcome = inner.commit(transaction, reads, freshness, self.remaining()).await;
        self.latency = inner.log.env().monotonic().saturating_sub(sent);
        outcome
    }

    /// Makes sure that an answer rests on a fresh state: either the attempt began with one, or what it read is found to
    /// be the same there.
    async fn confirm(&mut self, reads: &ReadSet) -> Result<()> {
        if self.is_fresh || reads.is_empty() {
            return Ok(());
        }
        let inner = &self.db.inner;
        inner.log.refresh(Freshness::Strict).await?;
        self.is_fresh = true;
        let checked = inner.log.read(|documents, _| documents.check_reads(reads))?;
        checked.map_err(|refusal| inner.explain(CommitError::Refused(refusal)))
    }

    fn remaining(&self) -> Duration {
        let elapsed = self.db.inner.log.env().monotonic().saturating_sub(self.started);
        self.deadline.saturating_sub(elapsed)
    }

    /// After a conflict: gives up, or waits for a moment that was not chosen by all others too ("full jitter").
    async fn pause_after(&self, conflict: Error) -> Result<()> {
        if self.options.max_attempts.is_some_and(|most| self.count >= most) {
            return Err(conflict);
        }
        // Whoever meets one conflict has seen what it was with: the next attempt will most likely pass.
        if self.count > 1 {
            let bound = self.latency.max(MIN_PAUSE_BOUND).saturating_mul(2u32.saturating_pow(self.count - 1));
            let env = self.db.inner.log.env();
            let pause_us = env.random_below(bound.min(MAX_PAUSE).as_micros() as u64);
            env.sleep(Duration::from_micros(pause_us).min(self.remaining())).await;
        }
        if self.remaining().is_zero() { Err(Error::CommitTimedOut) } else { Ok(()) }
    }
}
