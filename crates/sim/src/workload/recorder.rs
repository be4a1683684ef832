use std::sync::Arc;

use bucketdb::Freshness;
use parking_lot::Mutex;

use crate::workload::{Moment, Operation, Outcome, Read, Write};
use crate::{GroupId, ProcessId, Scheduler, Trace};

/// The number of an operation, which every document that it writes carries; they count from 1.
pub(crate) type Token = u64;

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

    /// An operation is about to be called. What it writes may depend on its number.
    pub(crate) fn begin(
        &self,
        process: ProcessId,
        life: GroupId,
        freshness: Freshness,
        describe: impl FnOnce(Token) -> (String, Vec<Write>),
    ) -> Token {
        let mut operations = self.operations.lock();
        let token = operations.len() as Token + 1;
        let (what, writes) = describe(token);
        let what = format!("#{token} {what}");
        let event = self.trace.note(format_args!("{process} {what} …"));
        operations.push(Operation {
            process,
            life,
            what,
            freshness,
            reads: Vec::new(),
            writes,
            began: Moment { event, time: self.scheduler.now() },
            ended: None,
            outcome: Outcome::Open,
        });
        token
    }

    /// An operation was answered.
    pub(crate) fn end(&self, token: Token, reads: Vec<Read>, outcome: Outcome) {
        let mut operations = self.operations.lock();
        let index = usize::try_from(token.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(operation) = operations.get_mut(index) else { return };
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
