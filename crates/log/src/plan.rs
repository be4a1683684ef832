use std::collections::VecDeque;
use std::time::Duration;

use bucketdb_env::Environment;
use bytes::Bytes;

use crate::format::MAX_BODY_BYTES;
use crate::ingest::Ingested;
use crate::planted::{PlantedBug, is_planted};
use crate::shared::{Applied, Shared};
use crate::source::carries;
use crate::submission::{Progress, Submission, Work};
use crate::tombstone::DropRecord;
use crate::{
    ChainHash, CommitError, CommitId, Entry, Layout, LogError, Record, RecordKind, Seq, SlotNames, StateMachine,
    Validated,
};

/// The most transactions that share a record.
const MAX_GROUP: usize = 65_536;

/// What an entry adds to its payload, at most: its counter and its size.
const ENTRY_OVERHEAD_BYTES: usize = 16;

/// The largest payload that fits a record.
const MAX_PAYLOAD_BYTES: usize = MAX_BODY_BYTES - ENTRY_OVERHEAD_BYTES;

/// A group that was validated together and will be one record.
pub(crate) struct Plan<M: StateMachine> {
    pub(crate) members: Vec<(Submission<M>, CommitId)>,
    pub(crate) record: Record,
    pub(crate) name: String,
    /// The record before it, if it is small and belongs into this one.
    pub(crate) carried: Option<Bytes>,
    /// The number of the first member.
    pub(crate) first_counter: u64,
}

/// What a session has numbered and written so far.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// How many proposals of the session were numbered.
    pub(crate) counter: u64,
    /// The hash of the last record that this process wrote in the session.
    pub(crate) last_written: Option<ChainHash>,
}

/// What came of an attempt to plan.
enum Attempt<M: StateMachine> {
    Done(Option<Plan<M>>),
    /// A member left whose effects the group had taken in: validating the rest anew is simpler than taking them out.
    MemberLeft,
    /// (H6) The log holds a record of our session that is not ours: a copy of this machine commits too.
    SessionTaken,
}

/// The members of a record to be.
struct Gathering<M: StateMachine> {
    slot: Seq,
    group: M::Group,
    members: Vec<(Submission<M>, CommitId)>,
    entries: Vec<Entry>,
    kind: RecordKind,
    body_bytes: usize,
    /// What was refused by a state that may be too old for it, or on the strength of a member.
    later: VecDeque<Submission<M>>,
}

/// Puts members back to the front of the queue, for another slot. Tells whether all went back: who gave up meanwhile was
/// told that the outcome is unknown, and such a transaction never moves to another slot (H9).
pub(crate) fn requeue<M: StateMachine>(
    members: Vec<(Submission<M>, CommitId)>,
    queue: &mut VecDeque<Submission<M>>,
) -> bool {
    let mut all = true;
    for (submission, _) in members.into_iter().rev() {
        if submission.ticket.advance(Progress::Queued) || is_planted(PlantedBug::MoveAbandoned) {
            queue.push_front(submission);
        } else {
            all = false;
        }
    }
    all
}

/// Validates what waits, in order, and makes a record of what is valid. What is refused is answered if the state is
/// fresh enough for that, and waits otherwise. `None` if nothing is valid.
pub(crate) fn plan<M: StateMachine>(
    shared: &Shared<M>,
    queue: &mut VecDeque<Submission<M>>,
    numbering: &mut Numbering,
) -> Option<Plan<M>> {
    loop {
        match attempt(shared, queue, numbering) {
            Attempt::Done(plan) => return plan,
            Attempt::MemberLeft => {}
            Attempt::SessionTaken => {
                shared.renew_session();
                *numbering = Numbering::default();
            }
        }
    }
}

/// Whether anything that waits would get into a record as the state is now: what would be refused need not wait for a turn.
pub(crate) fn is_any_valid<M: StateMachine>(shared: &Shared<M>, queue: &VecDeque<Submission<M>>) -> bool {
    let applied = shared.applied.read();
    queue.iter().any(|submission| match &submission.work {
        Work::Propose(proposal) => applied.machine.validate(&mut M::Group::default(), proposal).is_ok(),
        _ => true,
    })
}

fn attempt<M: StateMachine>(
    shared: &Shared<M>,
    queue: &mut VecDeque<Submission<M>>,
    numbering: &mut Numbering,
) -> Attempt<M> {
    let now = shared.env.monotonic();
    let applied = shared.applied.read();
    if applied.last_of_session != numbering.last_written {
        return Attempt::SessionTaken;
    }
    let mut gathering = Gathering {
        slot: applied.seq.next(),
        group: M::Group::default(),
        members: Vec::new(),
        entries: Vec::new(),
        kind: RecordKind::Transactions,
        body_bytes: 0,
        later: VecDeque::new(),
    };
    let first_counter = numbering.counter + 1;
    let complete = gathering.gather(shared, &applied, now, queue, numbering);
    let Gathering { slot, members, entries, kind, mut later, .. } = gathering;
    later.append(queue);
    *queue = later;
    if !complete {
        if requeue(members, queue) {
            numbering.counter = first_counter - 1;
        }
        return Attempt::MemberLeft;
    }
    if members.is_empty() {
        return Attempt::Done(None);
    }
    let record = Record {
        kind,
        seq: slot,
        time: applied.time.tick(shared.env.wall_clock().0),
        node: shared.node,
        session: applied.session,
        previous: applied.hash,
        entries,
    };
    let name = Layout::record_name(shared.names, slot, applied.session);
    let base = applied.upkeep.checkpoint.as_ref().map_or(Seq::FIRST, |checkpoint| checkpoint.seq);
    // The record that drops a database stays when all others are gone.
    let may_carry = kind != RecordKind::Drop;
    let is_carried =
        may_carry && shared.names == SlotNames::Shared && carries(slot, base) && !applied.last_bytes.is_empty();
    let carried = is_carried.then(|| applied.last_bytes.clone());
    Attempt::Done(Some(Plan { members, record, name, carried, first_counter }))
}

/// What a submission comes to in the state that it meets.
enum Prepared<R> {
    Entry(RecordKind, Bytes),
    Refused(R),
    /// The tail is full, as far as is known: the log has to be asked whether that is still so.
    Later,
    /// It can never be written as it is.
    Impossible(LogError),
    /// Nor can this, and the group has taken in its effects.
    Undone(LogError),
}

impl<M: StateMachine> Gathering<M> {
    fn prepare(
        &mut self,
        shared: &Shared<M>,
        applied: &Applied<M>,
        now: Duration,
        submission: &Submission<M>,
    ) -> Prepared<M::Refusal> {
        let impossible = |obstacle| Prepared::Impossible(shared.impossible(obstacle));
        match &submission.work {
            Work::Propose(proposal) => {
                let tail = applied.tail.tail();
                let is_full = M::MAKES_CHECKPOINTS && tail.is_over_hard(&applied.options.tail_limits);
                if is_full && !is_planted(PlantedBug::NoTailLimit) {
                    // (H19) Somebody may have made a checkpoint that is not known here.
                    if !self.members.is_empty() || !shared.probes.satisfied(&submission.ask.strictly(), now) {
                        return Prepared::Later;
                    }
                    return Prepared::Impossible(LogError::TailFull { records: tail.records, bytes: tail.bytes });
                }
                match applied.machine.validate(&mut self.group, proposal) {
                    Err(refusal) => Prepared::Refused(refusal),
                    Ok(Validated { kind: RecordKind::Ingest, payload, brings, ends }) => {
                        if let Err(obstacle) = applied.upkeep.check_brought(&brings) {
                            return Prepared::Undone(shared.impossible(obstacle));
                        }
                        if let Err(obstacle) = applied.upkeep.check_lasts(ends) {
                            return Prepared::Undone(shared.impossible(obstacle));
                        }
                        let ingested = Ingested { begun: ends, brings, payload };
                        Prepared::Entry(RecordKind::Ingest, ingested.encode())
                    }
                    Ok(Validated { kind, payload, brings, .. }) => match applied.upkeep.check_brought(&brings) {
                        Ok(()) => Prepared::Entry(kind, payload),
                        Err(obstacle) => Prepared::Undone(shared.impossible(obstacle)),
                    },
                }
            }
            Work::Options(change) => {
                let mut payload = Vec::new();
                change(&applied.options).encode(&mut payload);
                Prepared::Entry(RecordKind::Options, payload.into())
            }
            Work::Floor(floor) => Prepared::Entry(RecordKind::Floor, crate::floor::encode(*floor)),
            Work::Checkpoint(content) => {
                match applied.upkeep.check_checkpoint(content, applied.machine.checkpoints_from()) {
                    Ok(()) => Prepared::Entry(RecordKind::Checkpoint, content.encode()),
                    Err(obstacle) => impossible(obstacle),
                }
            }
            Work::Sweep => {
                let bound = applied.upkeep.sweep_bound(self.slot, applied.time, applied.options.grace);
                Prepared::Entry(RecordKind::Sweep, crate::floor::encode(bound))
            }
            Work::BeginIngest(begin) => match applied.upkeep.check_lasts(begin.replaces) {
                Ok(()) => Prepared::Entry(RecordKind::IngestBegin, begin.encode()),
                Err(obstacle) => impossible(obstacle),
            },
            Work::Drop => {
                let database = shared.checksums.database();
                Prepared::Entry(
                    RecordKind::Drop,
                    DropRecord::encode(database, &applied.options, &applied.machine.branches()),
                )
            }
            Work::EndIngest(begun) => match applied.upkeep.check_lasts(Some(*begun)) {
                Ok(()) => {
                    let ingested = Ingested { begun: Some(*begun), ..Ingested::default() };
                    Prepared::Entry(RecordKind::Ingest, ingested.encode())
                }
                Err(obstacle) => impossible(obstacle),
            },
        }
    }

    /// Takes members from the queue until it is empty or the record full. `false` if one left that the group counts on.
    fn gather(
        &mut self,
        shared: &Shared<M>,
        applied: &Applied<M>,
        now: Duration,
        queue: &mut VecDeque<Submission<M>>,
        numbering: &mut Numbering,
    ) -> bool {
        while let Some(submission) = queue.pop_front() {
            let is_over = submission.ticket.is_abandoned() || submission.give_up_at <= now;
            if is_over && !is_planted(PlantedBug::MoveAbandoned) {
                submission.answer(Err(CommitError::TimedOut));
                continue;
            }
            let prepared = self.prepare(shared, applied, now, &submission);
            let (kind, payload) = match prepared {
                Prepared::Entry(kind, payload) => (kind, payload),
                // (H10) A refusal may rest on a member of this group, which is not in the log yet: look again after it.
                Prepared::Refused(_)
                    if (!self.members.is_empty() && !is_planted(PlantedBug::EarlyRefusal))
                        || !shared.probes.satisfied(&submission.ask, now) =>
                {
                    self.later.push_back(submission);
                    continue;
                }
                Prepared::Refused(refusal) => {
                    submission.answer(Err(CommitError::Refused(refusal)));
                    continue;
                }
                Prepared::Later => {
                    self.later.push_back(submission);
                    continue;
                }
                Prepared::Impossible(error) => {
                    submission.answer(Err(error.into()));
                    continue;
                }
                Prepared::Undone(error) => {
                    submission.answer(Err(error.into()));
                    return false;
                }
            };
            if payload.len() > MAX_PAYLOAD_BYTES {
                let (size_bytes, limit_bytes) = (payload.len(), MAX_PAYLOAD_BYTES);
                submission.answer(Err(CommitError::TooLarge { size_bytes, limit_bytes }));
                return false;
            }
            let size = payload.len() + ENTRY_OVERHEAD_BYTES;
            let alone = kind != RecordKind::Transactions;
            let full = self.body_bytes + size > MAX_BODY_BYTES || self.members.len() == MAX_GROUP;
            if !self.members.is_empty() && (alone || full) {
                queue.push_front(submission);
                return true;
            }
            let id = CommitId { session: applied.session, counter: numbering.counter + 1 };
            let moves_on = submission.ticket.advance(Progress::InFlight { slot: self.slot, id });
            if !moves_on && !is_planted(PlantedBug::MoveAbandoned) {
                return false;
            }
            numbering.counter += 1;
            self.body_bytes += size;
            self.kind = kind;
            self.entries.push(Entry { counter: id.counter, payload });
            self.members.push((submission, id));
            if alone {
                return true;
            }
        }
        true
    }
}
