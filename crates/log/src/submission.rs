use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::checkpoint_record::CheckpointRecord;
use crate::ingest::IngestBegin;
use crate::probes::Ask;
use crate::{Commit, CommitError, CommitId, Result, Seq, SharedOptions, StateMachine};

/// What somebody wants in the log.
pub(crate) enum Work<M: StateMachine> {
    Propose(M::Proposal),
    /// Changes the shared options from what they are when its turn comes.
    Options(Box<dyn Fn(&SharedOptions) -> SharedOptions + Send + Sync>),
    /// Gives up the positions below this one.
    Floor(Seq),
    Checkpoint(Box<CheckpointRecord>),
    Sweep,
    /// Begins an ingest, or goes on with one.
    BeginIngest(IngestBegin),
    /// Gives up the ingest that was begun at this position.
    EndIngest(Seq),
    /// Drops the database.
    Drop,
}

pub(crate) type Outcome<M> = Result<Commit, CommitError<<M as StateMachine>::Refusal>>;

pub(crate) struct Submission<M: StateMachine> {
    pub(crate) work: Work<M>,
    /// How fresh a state a refusal must rest on.
    pub(crate) ask: Ask,
    pub(crate) ticket: Arc<Ticket>,
    /// From this moment of the monotonic clock on, it is not sent any more, whether or not anybody waits for it.
    pub(crate) give_up_at: Duration,
    pub(crate) reply: oneshot::Sender<Outcome<M>>,
}

impl<M: StateMachine> Submission<M> {
    pub(crate) fn answer(self, outcome: Outcome<M>) {
        let Self { work, ticket, reply, .. } = self;
        ticket.advance(Progress::Settled);
        // Whoever waits may share what was asked for, and is to be the one who frees it.
        drop(work);
        // Whoever waited may have gone.
        let _ = reply.send(outcome);
    }

    /// Whether somebody still waits for the answer.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.reply.is_closed() && !self.ticket.is_abandoned()
    }
}

pub(crate) enum Message<M: StateMachine> {
    Submit(Submission<M>),
    Close(oneshot::Sender<()>),
}

/// Where a submission is, so that whoever waits for it can say what passing its deadline means.
#[derive(Debug, Default)]
pub(crate) struct Ticket(Mutex<Progress>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not sent, and not going to be unless somebody still waits for it.
    #[default]
    Queued,
    /// Sent to a slot that is not settled yet.
    InFlight { slot: Seq, id: CommitId },
    /// Settled; the answer is on its way.
    Settled,
    /// Nobody waits any more. It must not be sent to another slot.
    Abandoned,
}

impl Ticket {
    /// The one who waits gives up; tells how far it had come.
    pub(crate) fn abandon(&self) -> Progress {
        let mut progress = self.0.lock();
        let before = *progress;
        if before != Progress::Settled {
            *progress = Progress::Abandoned;
        }
        before
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        *self.0.lock() == Progress::Abandoned
    }

    /// Moves on, unless it was abandoned; tells whether it did.
    pub(crate) fn advance(&self, to: Progress) -> bool {
        let mut progress = self.0.lock();
        if *progress == Progress::Abandoned {
            return false;
        }
        *progress = to;
        true
    }
}
