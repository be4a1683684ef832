use std::sync::Arc;

use bucketdb::{Freshness, Seq};
use bucketdb_history::Op;
use parking_lot::Mutex;

use crate::workload::{Moment, Operation, Outcome, Read, Write};
use crate::{GroupId, ProcessId, Scheduler, Trace};

/// The number of an operation, which every document that it writes carries; they count from 1.
pub(crate) type Token = u64;

/// Who does something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) process: ProcessId,
    pub(crate) life: GroupId,
    pub(crate) client: u64,
}

fn index(token: Token) -> usize {
    usize::try_from(token.saturating_sub(1)).unwrap_or(usize::MAX)
}

/// Writes down what clients do. Clones write into the same history.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    scheduler: Scheduler,
    trace: Trace,
    operations: Arc<Mutex<Vec<Operation>>>,
}

impl Recorder {
    pub(crate) fn new(scheduler: Scheduler, trace: Trace) -> Self {
        Self { scheduler, trace, operations: Arc::default() }
    }

    /// An operation is about to be called. What it writes carries the number that is told.
    pub(crate) fn begin(&self, caller: Caller, freshness: Freshness, what: &str, writes: Vec<Write>) -> Token {
        let Caller { process, life, client } = caller;
        let mut operations = self.operations.lock();
        let token = operations.len() as Token + 1;
        let what = format!("#{token} {what}");
        let event = self.trace.note(format_args!("{process} {what} …"));
        operations.push(Operation {
            process,
            client,
            life,
            what,
            freshness,
            reads: Vec::new(),
            writes,
            reads_at: None,
            known: Seq::default(),
            steps: Vec::new(),
            began: Moment { event, time: self.scheduler.now() },
            ended: None,
            outcome: Outcome::Open,
        });
        token
    }

    /// Says what an operation does, in the words of checkers that see no log.
    pub(crate) fn steps(&self, token: Token, steps: Vec<Op>) {
        if let Some(operation) = self.operations.lock().get_mut(index(token)) {
            operation.steps = steps;
        }
    }

    /// An operation found nothing to write.
    pub(crate) fn wrote_nothing(&self, token: Token) {
        if let Some(operation) = self.operations.lock().get_mut(index(token)) {
            operation.writes.clear();
        }
    }

    /// What the process of an operation knew when it began.
    pub(crate) fn knows(&self, token: Token, position: Seq) {
        if let Some(operation) = self.operations.lock().get_mut(index(token)) {
            operation.known = position;
        }
    }

    /// An operation reads the database as it was at a position.
    pub(crate) fn read_at(&self, token: Token, position: Seq) {
        if let Some(operation) = self.operations.lock().get_mut(index(token)) {
            operation.reads_at = Some(position);
        }
    }

    /// The number of the next operation.
    pub(crate) fn next_token(&self) -> Token {
        self.operations.lock().len() as Token + 1
    }

    /// An operation was answered.
    pub(crate) fn end(&self, token: Token, reads: Vec<Read>, outcome: Outcome) {
        let mut operations = self.operations.lock();
        let Some(operation) = operations.get_mut(index(token)) else { return };
        operation.reads = reads;
        operation.outcome = outcome;
        let event = self.trace.note(format_args!("{operation}"));
        operation.ended = Some(Moment { event, time: self.scheduler.now() });
    }

    /// How many operations of a life wait for their answers.
    pub(crate) fn waiting(&self, lives: &[GroupId]) -> Vec<Operation> {
        let operations = self.operations.lock();
        operations
            .iter()
            .filter(|operation| operation.ended.is_none() && lives.contains(&operation.life))
            .cloned()
            .collect()
    }

    /// Everything so far, in the order of the calls.
    pub(crate) fn history(&self) -> Vec<Operation> {
        self.operations.lock().clone()
    }
}
