use std::time::Duration;

use bucketdb_env::Environment;

use crate::{CommitId, CommitOutcome, Freshness, Log, Result, Seq, SharedOptions, StateMachine};

impl<M: StateMachine> Log<M> {
    /// What became of a commit, as far as the log goes now, which is asked for first: one get. `slot` is the position that
    /// [`CommitError::OutcomeUnknown`](crate::CommitError) names, if it is known.
    ///
    /// # Errors
    /// If the store fails, or if the log is broken.
    pub async fn outcome(&self, id: CommitId, slot: Option<Seq>) -> Result<CommitOutcome> {
        self.refresh(Freshness::Strict).await?;
        let outcome = {
            let applied = self.shared.applied.read();
            applied.sessions.outcome(id, slot, applied.seq)
        };
        Ok(match outcome {
            CommitOutcome::Committed { .. } => CommitOutcome::Committed { seq: self.shared.recent.lock().find(id) },
            outcome => outcome,
        })
    }

    /// As [`outcome`](Self::outcome), and decides what is undecided: by a record that says nothing, in the only position
    /// at which the commit can still appear. The answer is final, and never [`CommitOutcome::Undecided`].
    ///
    /// # Errors
    /// As [`outcome`](Self::outcome), or if the position is not settled by the deadline.
    pub async fn settle(&self, id: CommitId, slot: Seq, deadline: Duration) -> Result<CommitOutcome> {
        let give_up_at = self.shared.env.monotonic().saturating_add(deadline);
        loop {
            let outcome = self.outcome(id, Some(slot)).await?;
            if outcome != CommitOutcome::Undecided {
                return Ok(outcome);
            }
            let left = give_up_at.saturating_sub(self.shared.env.monotonic());
            // Nothing is ever sent to a slot that lies further ahead.
            if left.is_zero() || slot > self.position().next() {
                return Err(self.unsettled(slot));
            }
            self.change_options(left, SharedOptions::clone).await?;
        }
    }
}
