use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{Condition, Key};
use bucketdb_env::yield_now;
use bytes::Bytes;
use futures::future::{self, Either};
use tokio::sync::{mpsc, oneshot};

use crate::commit_delay::{CommitDelay, SHORTEST_SLEEP};
use crate::overtaken::Overtaken;
use crate::plan::{Numbering, Plan, is_any_valid, plan, requeue};
use crate::planted::{PlantedBug, is_planted};
use crate::probes::Sent;
use crate::prove::Membership;
use crate::replay::{Place, Stored};
use crate::shared::Shared;
use crate::slot::{Holder, Settlement, Slot, Unsettled};
use crate::submission::{Message, Submission};
use crate::turns::Pace;
use crate::window::{Proof, Reading};
use crate::{Commit, CommitError, CommitId, LogError, LogTime, Result, Seq, SlotNames, StateMachine, format, reads};

/// A record that is older than so many requests take was not written by somebody who wrote at the same time.
const REQUESTS_OF_A_RACE: u32 = 8;

/// How often other tasks are let go on before a timer is set. tokio's runtime of one thread looks at its main future after 61
/// tasks (`event_interval`): a caller that lives there gets its turn twice.
const YIELDS: usize = 128;

/// The one task of an open log that writes: it groups what waits, and has at most one record under way.
pub(crate) struct Committer<M: StateMachine> {
    pub(crate) shared: Arc<Shared<M>>,
    intake: Intake<M>,
    numbering: Numbering,
    /// How many positions in a row somebody else got.
    pub(crate) losses: u32,
    /// How long a record takes to write.
    pub(crate) pace: Pace,
    /// When this writer last saw that others write at the same time.
    pub(crate) contended_at: Option<Duration>,
    /// How often others write between two of its records.
    pub(crate) overtaken: Overtaken,
    delay: CommitDelay,
}

/// What was asked for and not begun yet.
struct Intake<M: StateMachine> {
    inbox: mpsc::UnboundedReceiver<Message<M>>,
    queue: VecDeque<Submission<M>>,
    closing: Vec<oneshot::Sender<()>>,
}

/// What became of a record that was sent.
enum Settled {
    /// We hold it.
    Ours {
        /// When the request was sent that proves that the slot was empty, if one does.
        proof: Option<Reading>,
    },
    /// With whether an attempt of ours may have got there before.
    Others(Bytes, bool),
    /// Nobody knows yet, and the members are to be tried again. No correct writer comes to this end.
    LeftOpen,
    /// Nothing was written.
    Refused(LogError),
    /// Whether it is or will be in the log cannot be told.
    Doubtful(LogError),
}

impl<M: StateMachine> Intake<M> {
    fn take(&mut self, message: Message<M>) {
        match message {
            // Whoever closed the log is told that all earlier ones are settled: there must be an end to them.
            Message::Submit(submission) if !self.closing.is_empty() => {
                submission.answer(Err(LogError::Closed.into()));
            }
            Message::Submit(submission) => self.queue.push_back(submission),
            Message::Close(closed) => self.closing.push(closed),
        }
    }

    fn take_all(&mut self) {
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
    }

    fn fail_queue(&mut self, error: &LogError) {
        for submission in self.queue.drain(..) {
            submission.answer(Err(error.clone().into()));
        }
    }

    /// Whether nobody would learn how `members` end: all of them have gone, and nobody holds the log any more or all
    /// who closed it have gone too.
    fn nobody_waits_for(&mut self, members: &[(Submission<M>, CommitId)]) -> bool {
        self.take_all();
        if members.iter().any(|(submission, _)| submission.is_awaited()) {
            return false;
        }
        let left_by_all = self.inbox.is_closed();
        let closed_in_vain = !self.closing.is_empty() && self.closing.iter().all(oneshot::Sender::is_closed);
        left_by_all || closed_in_vain
    }
}

impl<M: StateMachine> Committer<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>, inbox: mpsc::UnboundedReceiver<Message<M>>) -> Self {
        let intake = Intake { inbox, queue: VecDeque::new(), closing: Vec::new() };
        let (numbering, pace, overtaken) = (Numbering::default(), Pace::default(), Overtaken::default());
        let delay = CommitDelay::default();
        Self { shared, intake, numbering, losses: 0, pace, contended_at: None, overtaken, delay }
    }

    /// Works until it is told to close, or until nobody can ask for anything any more.
    pub(crate) async fn run(mut self) {
        loop {
            if self.intake.queue.is_empty() {
                if !self.intake.closing.is_empty() {
                    break;
                }
                match self.intake.inbox.recv().await {
                    Some(message) => self.intake.take(message),
                    None => break,
                }
            }
            self.intake.take_all();
            if let Err(error) = self.shared.failure.check() {
                self.intake.fail_queue(&error);
                continue;
            }
            self.await_company().await;
            if self.round().await.is_err() {
                break;
            }
        }
        let mut intake = self.intake;
        intake.inbox.close();
        intake.fail_queue(&LogError::Closed);
        // Ends once nobody is in the middle of sending: no message stays without an answer.
        while let Some(message) = intake.inbox.recv().await {
            intake.take(message);
            intake.fail_queue(&LogError::Closed);
        }
        for closed in intake.closing {
            // Whoever asked may have gone.
            let _ = closed.send(());
        }
    }

    /// Waits a moment for those who were answered by the last record, if it is worth it.
    async fn await_company(&mut self) {
        let (env, before) = (self.shared.env.clone(), self.intake.queue.len());
        let now = env.monotonic();
        let writers = self.shared.applied.read().turns.writers();
        let others_write = self.losses > 0 || self.is_contended(now, writers);
        if others_write || !self.intake.closing.is_empty() || !self.delay.begins(now, before) {
            return;
        }
        // Whoever has just been woken needs no longer than this as a rule.
        for _ in 0..YIELDS {
            yield_now().await;
            self.intake.take_all();
            if self.delay.left(env.monotonic(), self.intake.queue.len()).is_none() {
                break;
            }
        }
        let left = self.delay.left(env.monotonic(), self.intake.queue.len());
        if let Some(left) = left.filter(|left| *left >= SHORTEST_SLEEP) {
            let mut sleep = env.sleep(left);
            while self.delay.left(env.monotonic(), self.intake.queue.len()).is_some() && self.intake.closing.is_empty()
            {
                let received = match future::select(pin!(self.intake.inbox.recv()), &mut sleep).await {
                    Either::Left((received, _)) => received,
                    Either::Right(_) => break,
                };
                match received {
                    Some(message) => self.intake.take(message),
                    None => break,
                }
            }
        }
        self.delay.ended(before, self.intake.queue.len() - before);
    }

    /// Writes one record from the front of the queue, or finds out what is needed before that.
    ///
    /// # Errors
    /// If everybody left while a slot could not be settled: nothing may be written behind it.
    async fn round(&mut self) -> Result<(), Abandoned> {
        if self.shared.names == SlotNames::Shared
            && let Err(error) = self.make_ready().await
        {
            self.intake.take_all();
            self.intake.fail_queue(&error);
            return Ok(());
        }
        self.intake.take_all();
        // Before the slot is chosen: what is proved later may be about a later one.
        let known = self.shared.window.proof();
        let Some(mut plan) = plan(&self.shared, &mut self.intake.queue, &mut self.numbering) else {
            // All that is left was refused by a state that may be too old for a refusal.
            self.losses = 0;
            if !self.intake.queue.is_empty()
                && let Err(error) = self.shared.probe().await
            {
                self.intake.fail_queue(&error);
            }
            return Ok(());
        };
        let sent = self.shared.probes.about_to_send(self.shared.now());
        if is_planted(PlantedBug::AnswerBeforePut) {
            let (seq, time) = (plan.record.seq, plan.record.time);
            for (submission, id) in plan.members.drain(..) {
                submission.answer(Ok(Commit { seq, time, id }));
            }
        }
        let bytes = format::encode_carrying(&plan.record, plan.carried.as_ref(), &plan.name, &self.shared.checksums);
        let settled = match self.shared.names {
            SlotNames::Shared => self.settle_shared(&plan, &bytes).await?,
            SlotNames::PerSession => self.settle_per_session(&plan, &bytes).await?,
        };
        match settled {
            Settled::Ours { proof } => self.ours(plan, &bytes, sent, known, proof).await,
            Settled::Others(other, unclear) => self.lost(plan, &bytes, sent, &other, unclear, known).await,
            Settled::LeftOpen => {
                requeue(plan.members, &mut self.intake.queue);
                let _ = self.shared.catch_up().await;
            }
            Settled::Refused(error) => {
                for (submission, _) in plan.members {
                    submission.answer(Err(error.clone().into()));
                }
            }
            Settled::Doubtful(error) => answer_unknown(plan.members, plan.record.seq, &error),
        }
        Ok(())
    }

    /// Before a record is sent: waits for our turn, and makes sure that what is known of the log's end is young enough for
    /// an answer to be believed (H3).
    async fn make_ready(&mut self) -> Result<()> {
        self.look_first().await;
        self.await_turn().await;
        if !self.shared.is_window_open() {
            self.shared.prove_by_listing().await?;
        }
        Ok(())
    }

    /// Whether anything that waits would be written, were it our turn.
    pub(crate) fn has_valid(&self) -> bool {
        is_any_valid(&self.shared, &self.intake.queue)
    }

    async fn settle_shared(&mut self, plan: &Plan<M>, bytes: &Bytes) -> Result<Settled, Abandoned> {
        let key = self.shared.layout.key(&plan.name);
        if is_planted(PlantedBug::NextSlotWhileOpen) {
            let once = self.shared.store.put(&key, bytes.clone(), Condition::IfAbsent).await;
            if once.is_err_and(|error| error.is_transient()) {
                return Ok(Settled::LeftOpen);
            }
        }
        let slot = Slot { driver: &*self.shared.store, env: &*self.shared.env, key: &key };
        let settled = slot.settle(bytes, || self.intake.nobody_waits_for(&plan.members)).await;
        match settled {
            Ok(Settlement { holder, proof, first_took, unclear }) => {
                self.pace.measured(first_took);
                match holder {
                    Holder::Us => Ok(Settled::Ours { proof }),
                    Holder::Other(other) => {
                        if let Some(proof) = proof {
                            self.shared.window.proved(proof);
                        }
                        if is_planted(PlantedBug::SessionDecidesHolder) {
                            let stored = self.shared.decode(plan.record.seq, &plan.name, &other);
                            if stored.is_ok_and(|stored| stored.record.session == plan.record.session) {
                                return Ok(Settled::Ours { proof });
                            }
                        }
                        Ok(Settled::Others(other, unclear))
                    }
                }
            }
            Err(Unsettled::Refused(error)) => Ok(Settled::Refused(error.into())),
            Err(Unsettled::GivenUp) => Err(Abandoned),
        }
    }

    /// On a store without create-only: writes under a name of our own, then makes sure that nobody else wrote into the
    /// last position or this one.
    async fn settle_per_session(&mut self, plan: &Plan<M>, bytes: &Bytes) -> Result<Settled, Abandoned> {
        let key = self.shared.layout.key(&plan.name);
        let (last_seq, last_name) = {
            let applied = self.shared.applied.read();
            (applied.seq, applied.name.clone())
        };
        if let Some(error) = self.put_own_name(plan, &key, bytes).await? {
            return Ok(Settled::Refused(error));
        }
        let mut attempt = 1;
        let names = loop {
            match self.shared.list_from(last_seq).await {
                Ok(names) => break names,
                Err(_) if self.intake.nobody_waits_for(&plan.members) => return Err(Abandoned),
                Err(_) => reads::pause(&*self.shared.env, attempt).await,
            }
            attempt += 1;
        };
        let checked = self.shared.check_continues(&names, last_seq, &last_name);
        let ours = names.get(1).filter(|name| name.name == plan.name);
        match (checked, ours) {
            // Whatever is behind ours was written by somebody who saw it there: it is in the log.
            (Ok(()), Some(_)) => Ok(Settled::Ours { proof: None }),
            (Ok(()), None) => {
                let detail = "it was written a moment ago, and a listing does not show it".to_owned();
                let error = LogError::Missing { object: key.to_string(), detail };
                self.shared.failure.stop(&error);
                Ok(Settled::Doubtful(error))
            }
            (Err(error), _) => {
                if let Ok(Some(dropped)) = self.shared.find_drop(&error).await {
                    self.shared.failure.note(&dropped);
                    // Nobody reads this database any more, whoever else is in that position.
                    return Ok(Settled::Refused(dropped));
                }
                self.shared.failure.stop(&error);
                self.shared.raise_halt(&error).await;
                Ok(Settled::Doubtful(error))
            }
        }
    }

    /// Puts a record under its own name. The name is ours alone, so repeating is harmless; and it must be repeated
    /// until it is known to be there, because it may arrive at any time. Gives the error if it will never be there.
    async fn put_own_name(&mut self, plan: &Plan<M>, key: &Key, bytes: &Bytes) -> Result<Option<LogError>, Abandoned> {
        let mut attempt = 1;
        loop {
            match self.shared.store.put(key, bytes.clone(), Condition::Always).await {
                Ok(_) => return Ok(None),
                Err(error) if !error.is_transient() && attempt == 1 => return Ok(Some(error.into())),
                Err(_) if self.intake.nobody_waits_for(&plan.members) => return Err(Abandoned),
                Err(_) => reads::pause(&*self.shared.env, attempt).await,
            }
            attempt += 1;
        }
    }

    /// The store says that our record is in its slot. Outside the window that may be a place which nobody reads any more.
    async fn ours(&mut self, plan: Plan<M>, bytes: &Bytes, sent: Sent, known: Proof, proof: Option<Reading>) {
        let renews = is_planted(PlantedBug::RepeatRenewsWindow) && proof.is_some();
        if self.shared.names == SlotNames::PerSession || renews || self.shared.holds(&known) {
            return self.created(plan, bytes, sent, proof).await;
        }
        let seq = plan.record.seq;
        match self.shared.is_in_log(seq, format::chain_hash(bytes)).await {
            Ok(Membership::Member) => self.created(plan, bytes, sent, None).await,
            // A reader has seen another record in the slot: that one settled it.
            Ok(Membership::Passed) => self.take_back(plan.members, plan.first_counter),
            outcome => {
                // An earlier attempt may have got there while it was part of the log. The sessions will tell, to
                // whoever opens the database again.
                let object = self.shared.object(&plan.name);
                let detail = "the log went on without it, or nobody can tell".to_owned();
                let error = outcome.err().unwrap_or(LogError::Missing { object, detail });
                answer_unknown(plan.members, seq, &error);
                if let Err(error) = self.shared.prove_by_listing().await {
                    self.intake.fail_queue(&error);
                }
            }
        }
    }

    /// Lines members up again whose slot was settled by somebody else's record. Their numbers were never in the log and
    /// never will be. Whoever was told one of them must not find another transaction under it.
    fn take_back(&mut self, members: Vec<(Submission<M>, CommitId)>, first_counter: u64) {
        if requeue(members, &mut self.intake.queue) || is_planted(PlantedBug::ReuseCommitId) {
            self.numbering.counter = first_counter - 1;
        }
        self.overtaken.note(true);
        self.losses += 1;
        self.contended_at = Some(self.shared.env.monotonic());
    }

    /// Our record is in the log.
    async fn created(&mut self, plan: Plan<M>, bytes: &Bytes, sent: Sent, proof: Option<Reading>) {
        let Plan { members, record, name, .. } = plan;
        let (seq, time, hash) = (record.seq, record.time, format::chain_hash(bytes));
        let pace = self.pace.mean();
        tracing::debug!(%seq, transactions = members.len(), bytes = bytes.len(), ?pace, "committed");
        self.numbering.last_written = Some(hash);
        self.overtaken.committed();
        self.losses = 0;
        match self.shared.apply(Stored { record, hash, name, bytes: bytes.clone() }) {
            // A reader may have gone past the position meanwhile, and have seen another record there.
            Err(error @ LogError::BrokenChain { .. }) => {
                answer_unknown(members, seq, &error);
                self.shared.raise_halt(&error).await;
                return;
            }
            Ok(Place::Unknown) => {
                let detail = "it was passed by before its writer was told that it is there".to_owned();
                let object = self.shared.object(&crate::Layout::slot_name(seq));
                answer_unknown(members, seq, &LogError::Missing { object, detail });
                return;
            }
            Ok(Place::InChain) => {
                if let Some(proof) = proof {
                    self.shared.window.proved(proof);
                }
                self.shared.probes.proved_fresh(sent);
            }
            // That is what was asked for.
            Err(LogError::Dropped { .. }) => {}
            // It is in the log, whatever is wrong with the state: saying anything else would be a lie.
            Err(error) => tracing::error!(%error, "a record was written that cannot be applied"),
        }
        self.intake.take_all();
        self.delay.written(self.shared.env.monotonic(), self.pace.mean(), members.len(), self.intake.queue.len());
        for (submission, id) in members {
            submission.answer(Ok(Commit { seq, time, id }));
        }
    }

    /// Somebody else got the position: takes in what is there, and lines the group up again.
    async fn lost(&mut self, plan: Plan<M>, bytes: &Bytes, sent: Sent, other: &Bytes, unclear: bool, known: Proof) {
        if unclear && !self.shared.holds(&known) {
            let seq = plan.record.seq;
            match self.shared.hash_at(seq) {
                Some(hash) if hash == format::chain_hash(bytes) => return self.created(plan, bytes, sent, None).await,
                Some(_) => {}
                None => {
                    let object = self.shared.object(&plan.name);
                    let detail = "another record is in its place, which may have been given up".to_owned();
                    answer_unknown(plan.members, seq, &LogError::Missing { object, detail });
                    if let Err(error) = self.shared.prove_by_listing().await {
                        self.intake.fail_queue(&error);
                    }
                    return;
                }
            }
        }
        let Plan { members, record, name, first_counter, .. } = plan;
        let stored = match self.shared.decode(record.seq, &name, other) {
            // What cannot be read may as well be ours, spoilt on its way.
            Err(error @ LogError::Damaged { .. }) => {
                answer_unknown(members, record.seq, &error);
                self.intake.fail_queue(&error);
                return;
            }
            stored => stored,
        };
        let was_there_long = stored.as_ref().is_ok_and(|stored| self.is_long_since(stored.record.time));
        self.take_back(members, first_counter);
        let outcome = if self.shared.holds(&known) || is_planted(PlantedBug::TakenRenewsWindow) {
            stored.and_then(|stored| self.shared.apply(stored)).map(|_| ())
        } else {
            // The position may have been given up, and then what is there is part of nothing.
            self.shared.prove_by_listing().await
        };
        if let Err(error) = outcome {
            self.shared.raise_halt(&error).await;
            self.intake.fail_queue(&error);
            return;
        }
        tracing::debug!(seq = %record.seq, losses = self.losses, "somebody else got the position");
        if was_there_long && self.losses > 1 {
            // There may be many more, and each put would find one of them.
            self.look_to_the_end().await;
        }
    }

    /// Whether a record was written before this writer began to write its own, by the clocks of both, on which nothing rests
    /// but a request more or less.
    fn is_long_since(&self, time: LogTime) -> bool {
        let age_ms = self.shared.env.wall_clock().0.saturating_sub(time.unix_ms());
        u128::from(age_ms) > (self.pace.mean() * REQUESTS_OF_A_RACE).as_millis()
    }
}

/// Everybody left before a slot was settled.
struct Abandoned;

/// Tells the members that nobody knows, and the log of the program why.
fn answer_unknown<M: StateMachine>(members: Vec<(Submission<M>, CommitId)>, slot: Seq, error: &LogError) {
    tracing::error!(%error, %slot, "whether a record is in the log cannot be told");
    for (submission, id) in members {
        submission.answer(Err(CommitError::OutcomeUnknown { id, slot }));
    }
}
