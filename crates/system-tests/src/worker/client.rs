use std::cell::RefCell;
use std::error::Error;
use std::ops::AsyncFn;
use std::time::Duration;

use bucketdb::{CommitId, CommitOutcome, Environment, Error as DatabaseError, Seq, TransactOptions};
use bucketdb_history::{Op, Outcome, Transaction};
use bucketdb_system_tests::Line;

use crate::access::Access;
use crate::say;
use crate::session::Session;

/// A commit of unknown outcome is settled after so long at most.
const MOST_DOUBT_MS: u64 = 60;

/// Does one transaction after the other, and says what it does and sees.
pub(crate) struct Client<'a> {
    session: &'a Session,
    process: u64,
}

/// Why the work of a transaction was given up.
pub(crate) enum Abort {
    /// The application did not want it any more.
    Refused,
    /// As it wanted to see what is there, and to change nothing: this is what it saw.
    RefusedBut(Vec<Op>),
    Database(DatabaseError),
}

impl From<DatabaseError> for Abort {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// Which transaction it is: no other one has the same client and start.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) process: u64,
    pub(crate) start: u64,
}

/// How it ended.
struct Ended {
    outcome: Outcome,
    ops: Vec<Op>,
    seq: Option<u64>,
    /// An error after which the worker cannot go on.
    fatal: Option<DatabaseError>,
}

impl Ended {
    fn new(outcome: Outcome, ops: Vec<Op>) -> Self {
        Self { outcome, ops, seq: None, fatal: None }
    }
}

impl<'a> Client<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self { session, process: session.new_client() }
    }

    /// Does a transaction of which `planned` is known before: everything but what it will read. `work` gives what it did
    /// and read, and may be called several times, of which the last one counts.
    pub(crate) async fn run<W>(&mut self, planned: Vec<Op>, work: W) -> Result<(), Box<dyn Error>>
    where
        W: AsyncFn(&Access<'_>, Begun) -> Result<Vec<Op>, Abort>,
    {
        let begun = Begun { process: self.process, start: self.session.now() };
        let transaction = |outcome, end, ops, seq| {
            let Begun { process, start } = begun;
            Transaction { outcome, process, start, end, ops, seq }
        };
        // Said before anything is done: what a killed worker had under way is known.
        say(&Line::Invoked(transaction(Outcome::Info, begun.start, planned.clone(), None)))?;
        let ended = match self.session.is_weak {
            false => self.transact(planned, begun, work).await?,
            true => self.go_without(planned, begun, work).await?,
        };
        say(&Line::Completed(transaction(ended.outcome, self.session.now(), ended.ops, ended.seq)))?;
        if ended.outcome == Outcome::Info {
            // It may still happen, so it does not come before what is done next: that is another client's.
            self.process = self.session.new_client();
        }
        ended.fatal.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn transact<W>(&self, planned: Vec<Op>, begun: Begun, work: W) -> Result<Ended, Box<dyn Error>>
    where
        W: AsyncFn(&Access<'_>, Begun) -> Result<Vec<Op>, Abort>,
    {
        // What the last attempt saw is true also if its commit turns out to have happened only later.
        let seen = RefCell::new(Vec::new());
        let attempt = async |tx| {
            seen.replace(work(&Access::Together(tx), begun).await?);
            Ok(())
        };
        let error = match self.session.db.transact_with(TransactOptions::default(), attempt).await {
            Ok(done) => {
                let seq = done.commit.map(|commit| commit.seq.0);
                return Ok(Ended { seq, ..Ended::new(Outcome::Ok, seen.take()) });
            }
            Err(Abort::Refused) => return Ok(Ended::new(Outcome::Fail, planned)),
            Err(Abort::RefusedBut(seen)) => return Ok(Ended::new(Outcome::Ok, seen)),
            Err(Abort::Database(error)) => error,
        };
        if let DatabaseError::CommitOutcomeUnknown { id, slot } = error {
            return self.doubt(id, slot, planned, seen.take()).await;
        }
        // All other errors promise that nothing happened and never will.
        let fatal = Some(error).filter(|error| !error.is_retryable());
        Ok(Ended { fatal, ..Ended::new(Outcome::Fail, planned) })
    }

    /// Leaves it at that the outcome is unknown, or has it decided: both must fit what everybody sees.
    async fn doubt(&self, id: CommitId, slot: Seq, planned: Vec<Op>, seen: Vec<Op>) -> Result<Ended, Box<dyn Error>> {
        say(&Line::Unknown { operation: self.process, slot: slot.0 })?;
        if self.session.chance(40) {
            return Ok(Ended::new(Outcome::Info, planned));
        }
        // Others of this process commit meanwhile, and must not be taken for this one.
        let delay_ms = self.session.random_below(MOST_DOUBT_MS);
        self.session.env.sleep(Duration::from_millis(delay_ms)).await;
        match self.session.db.settle_commit(id, slot).await {
            Ok(CommitOutcome::Committed { seq }) => {
                let seq = Some(seq.unwrap_or(slot).0);
                Ok(Ended { seq, ..Ended::new(Outcome::Ok, seen) })
            }
            Ok(CommitOutcome::NotCommitted) => Ok(Ended::new(Outcome::Fail, planned)),
            Ok(undecided) => Err(format!("commit {id} at {slot} was settled as {undecided:?}").into()),
            Err(error) => {
                let fatal = Some(error).filter(|error| !error.is_retryable());
                Ok(Ended { fatal, ..Ended::new(Outcome::Info, planned) })
            }
        }
    }

    /// Does the same without a transaction.
    async fn go_without<W>(&self, planned: Vec<Op>, begun: Begun, work: W) -> Result<Ended, Box<dyn Error>>
    where
        W: AsyncFn(&Access<'_>, Begun) -> Result<Vec<Op>, Abort>,
    {
        match work(&Access::Alone(&self.session.db), begun).await {
            Ok(seen) | Err(Abort::RefusedBut(seen)) => Ok(Ended::new(Outcome::Ok, seen)),
            Err(Abort::Refused) => Ok(Ended::new(Outcome::Fail, planned)),
            Err(Abort::Database(error)) => Err(error.into()),
        }
    }
}
