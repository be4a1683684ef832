use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bucketdb_driver::{Driver, DriverError, ErrorKind, Operation};
use bucketdb_env::Environment;
use futures::future::{self, Either};
use tokio::sync::{mpsc, oneshot, watch};

use crate::committer::Committer;
use crate::shared::Shared;
use crate::submission::{Message, Outcome, Progress, Submission, Ticket, Work};
use crate::{
    Commit, CommitError, DatabaseId, Freshness, Layout, LogError, NodeId, OpenOptions, Record, Result, Seq,
    SharedOptions, SlotNames, StateMachine, StoreReport, Tail, TailLimits,
};

/// An open log: a state machine that is kept in step with the records, and the way to add to them.
///
/// Clones are handles to the same open log. The log's task ends when it is [closed](Self::close), or when the last
/// handle is dropped and nothing is under way.
pub struct Log<M: StateMachine> {
    pub(crate) shared: Arc<Shared<M>>,
    committer: mpsc::UnboundedSender<Message<M>>,
}

impl<M: StateMachine> Log<M> {
    /// Opens the log at the prefix in `options`, or creates it, and brings `machine`, which is in its initial state, up
    /// to date.
    ///
    /// Opening an existing log takes a get of `head`, and at the same time the records up to that of the checkpoint that it
    /// names, one as a rule, and a listing of what is behind it; then a get for every fourth record there, if they are
    /// small. Without a checkpoint, a listing and all records take the place of these. Creating one takes a get, a listing of the prefix and of each prefix above it, the trial of the store, and one put.
    ///
    /// # Errors
    /// [`LogError`] says what is wrong with the store, the prefix, the options or a stored object.
    pub async fn open(
        driver: Arc<dyn Driver>,
        env: Arc<dyn Environment>,
        options: OpenOptions,
        machine: M,
    ) -> Result<Self> {
        let log = Self::start(crate::open::open(driver, env, &options, machine).await?);
        log.admit_store(&options).await?;
        Ok(log)
    }

    fn start(shared: Shared<M>) -> Self {
        let shared = Arc::new(shared);
        let (committer, inbox) = mpsc::unbounded_channel();
        shared.env.spawn(Box::pin(Committer::new(shared.clone(), inbox).run()));
        Self { shared, committer }
    }

    /// Commits a proposal, together with whatever else waits at the same time. Uncontended, that is one put.
    ///
    /// Dropping the future takes nothing back: until the deadline the proposal may be sent, and what was sent may commit.
    ///
    /// # Errors
    /// [`CommitError`] says whether it may still appear. A refusal rests on a state as fresh as `freshness` wants it.
    pub async fn commit(
        &self,
        proposal: M::Proposal,
        freshness: Freshness,
        deadline: Duration,
    ) -> Result<Commit, CommitError<M::Refusal>> {
        self.submit(Work::Propose(proposal), freshness, deadline).await
    }

    /// Whether it was opened read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.shared.read_only
    }

    pub(crate) async fn submit(&self, work: Work<M>, freshness: Freshness, deadline: Duration) -> Outcome<M> {
        if self.shared.read_only {
            return Err(LogError::ReadOnly.into());
        }
        self.shared.failure.check()?;
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(LogError::Closed.into());
        }
        let ticket = Arc::new(Ticket::default());
        let (reply, answer) = oneshot::channel();
        let ask = self.shared.probes.ask(freshness);
        let give_up_at = self.shared.env.monotonic().saturating_add(deadline);
        let submission = Submission { work, ask, ticket: ticket.clone(), give_up_at, reply };
        self.committer.send(Message::Submit(submission)).map_err(|_| LogError::Closed)?;
        match future::select(answer, self.shared.env.sleep(deadline)).await {
            Either::Left((Ok(outcome), _)) => outcome,
            // The task ended without an answer: its runtime was shut down, or the state machine panicked.
            Either::Left((Err(_), _)) => match ticket.abandon() {
                Progress::InFlight { slot, id } => Err(CommitError::OutcomeUnknown { id, slot }),
                _ => Err(LogError::Closed.into()),
            },
            Either::Right(((), answer)) => match ticket.abandon() {
                Progress::Queued | Progress::Abandoned => Err(CommitError::TimedOut),
                Progress::InFlight { slot, id } => Err(CommitError::OutcomeUnknown { id, slot }),
                Progress::Settled => answer.await.unwrap_or(Err(LogError::Closed.into())),
            },
        }
    }

    /// Makes sure that the store was found fit, unless the log says so already.
    async fn admit_store(&self, options: &OpenOptions) -> Result<()> {
        let fingerprint = self.shared.store.fingerprint();
        if options.read_only || self.options().knows_store(&fingerprint) {
            return Ok(());
        }
        let report = options.creation_check.run(&self.shared.store, &self.shared.env, &self.shared.layout).await?;
        let ring_size = self.options().ring_size;
        crate::open::check_fit(&report, self.shared.names, ring_size, &fingerprint)?;
        self.change_options(options.deadline, move |current| {
            let mut changed = current.clone();
            changed.add_store(&fingerprint, report.if_match.is_honoured());
            changed
        })
        .await
    }

    /// Changes how many nodes take turns, after trying the store as thoroughly as `check` says.
    ///
    /// # Errors
    /// [`LogError::UnfitStore`] if the store cannot serve several nodes; [`LogError::InvalidOption`] if the size is out
    /// of range or would leave no place for this node.
    pub async fn set_ring_size(&self, ring_size: u16, check: crate::StoreCheck, deadline: Duration) -> Result<()> {
        crate::options::check_ring_size(ring_size)?;
        crate::options::check_node(self.shared.node, ring_size)?;
        let report = self.check_store(check).await?;
        crate::open::check_fit(&report, self.shared.names, ring_size, &self.shared.store.fingerprint())?;
        self.change_options(deadline, move |current| {
            let mut changed = current.clone();
            changed.ring_size = ring_size;
            changed
        })
        .await
    }

    pub(crate) async fn change_options(
        &self,
        deadline: Duration,
        change: impl Fn(&SharedOptions) -> SharedOptions + Send + Sync + 'static,
    ) -> Result<()> {
        self.control(Work::Options(Box::new(change)), deadline).await.map(|_| ())
    }

    /// Writes a record that is no proposal, and tells its position.
    pub(crate) async fn control(&self, work: Work<M>, deadline: Duration) -> Result<Seq> {
        match self.submit(work, Freshness::Local, deadline).await {
            Ok(commit) => Ok(commit.seq),
            Err(CommitError::Log(error)) => Err(error),
            Err(CommitError::OutcomeUnknown { slot, .. }) => Err(self.unsettled(slot)),
            Err(_) => Err(self.unsettled(self.position().next())),
        }
    }

    /// The error for a record that was not settled in time.
    pub(crate) fn unsettled(&self, slot: Seq) -> LogError {
        let subject = self.shared.object(&Layout::slot_name(slot));
        DriverError::new(ErrorKind::Transient, Operation::Put, subject, "it was not settled by the deadline").into()
    }

    /// Gives up the positions below `floor`: from then on, reading them is [`LogError::BelowFloor`] for everybody, and
    /// their records may be removed, a grace later.
    ///
    /// # Errors
    /// If the record that says so is not written by the deadline.
    pub async fn raise_floor(&self, floor: Seq, deadline: Duration) -> Result<()> {
        self.control(Work::Floor(floor), deadline).await.map(|_| ())
    }

    /// The oldest position that can be read.
    #[must_use]
    pub fn floor(&self) -> Seq {
        self.shared.applied.read().floor
    }

    /// Makes the state as fresh as wanted: no request, or one that is shared with all who wait, plus those for the
    /// records that are new.
    ///
    /// # Errors
    /// If the store fails, or if what it holds is broken.
    pub async fn refresh(&self, freshness: Freshness) -> Result<()> {
        self.shared.failure.check()?;
        let probes = &self.shared.probes;
        if freshness == Freshness::Local || probes.is_young_enough(freshness, self.shared.env.monotonic()) {
            return Ok(());
        }
        let ask = self.shared.probes.ask(freshness);
        self.shared.refresh(ask).await
    }

    /// Reads the state as it is now, with its position. Writers wait meanwhile: keep it short, and call nothing else of
    /// this log from inside.
    ///
    /// # Errors
    /// If the log was found broken.
    pub fn read<T>(&self, read: impl FnOnce(&M, Seq) -> T) -> Result<T> {
        self.shared.failure.check()?;
        let applied = self.shared.applied.read();
        Ok(read(&applied.machine, applied.seq))
    }

    /// Changes what is not part of the replicated state, such as which positions are still being read. Call nothing else
    /// of this log from inside.
    pub fn adjust<T>(&self, adjust: impl FnOnce(&mut M, Seq) -> T) -> T {
        let mut applied = self.shared.applied.write();
        let seq = applied.seq;
        adjust(&mut applied.machine, seq)
    }

    /// The record at a position that was applied: from memory if it is recent, else one request.
    ///
    /// # Errors
    /// If the store fails or the record is damaged.
    pub async fn record(&self, seq: Seq) -> Result<Option<Arc<Record>>> {
        self.shared.failure.check()?;
        self.shared.record(seq).await
    }

    /// The position of the last record that was applied.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.shared.seq()
    }

    /// Changes how long the log may grow behind the newest checkpoint.
    ///
    /// # Errors
    /// [`LogError::InvalidOption`], or if the record that says so is not written by the deadline.
    pub async fn set_tail_limits(&self, limits: TailLimits, deadline: Duration) -> Result<()> {
        crate::options::check_tail_limits(&limits)?;
        self.change_options(deadline, move |current| {
            let mut changed = current.clone();
            changed.tail_limits = limits;
            changed
        })
        .await
    }

    /// How long the log is behind the newest checkpoint.
    #[must_use]
    pub fn tail(&self) -> Tail {
        self.shared.applied.read().tail.tail()
    }

    /// Follows the position.
    #[must_use]
    pub fn positions(&self) -> watch::Receiver<Seq> {
        self.shared.position.subscribe()
    }

    /// The options that all nodes share.
    #[must_use]
    pub fn options(&self) -> SharedOptions {
        self.shared.applied.read().options.clone()
    }

    /// The id of the database.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.shared.checksums.database()
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Where its objects are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// How its records are named.
    #[must_use]
    pub fn slot_names(&self) -> SlotNames {
        self.shared.names
    }

    /// The environment that it was opened with.
    #[must_use]
    pub fn env(&self) -> &Arc<dyn Environment> {
        &self.shared.env
    }

    /// The driver that it was opened with.
    #[must_use]
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.shared.driver
    }

    /// The same, for whoever may not wait for ever: a request that takes too long gets a transient error.
    #[must_use]
    pub fn timed_driver(&self) -> &Arc<dyn Driver> {
        &self.shared.store
    }

    /// Tries the store beneath, as thoroughly as `check` says. The trial writes, and removes what it wrote.
    ///
    /// # Errors
    /// If the store cannot be used at all, or if the log was opened read-only.
    pub async fn check_store(&self, check: crate::StoreCheck) -> Result<StoreReport> {
        if self.shared.read_only {
            return Err(LogError::ReadOnly);
        }
        check.run(&self.shared.store, &self.shared.env, &self.shared.layout).await
    }

    /// Settles what is under way and stops the log's task; later commits answer [`LogError::Closed`].
    ///
    /// # Errors
    /// A transient error if the store does not answer by `deadline`; the commit under way is then unknown to whoever
    /// waits for it.
    pub async fn close(&self, deadline: Duration) -> Result<()> {
        self.shared.closing.store(true, Ordering::SeqCst);
        let (reply, closed) = oneshot::channel();
        if self.committer.send(Message::Close(reply)).is_err() {
            return Ok(());
        }
        match future::select(closed, self.shared.env.sleep(deadline)).await {
            Either::Left(_) => Ok(()),
            Either::Right(_) => Err(self.unsettled(self.position().next())),
        }
    }
}

impl<M: StateMachine> Clone for Log<M> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), committer: self.committer.clone() }
    }
}

impl<M: StateMachine> fmt::Debug for Log<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Log")
            .field("database", &self.database())
            .field("prefix", &self.shared.layout.prefix())
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
