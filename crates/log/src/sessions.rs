use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::codec::{self, Malformed, Reader};
use crate::planted::{PlantedBug, is_planted, remembered_positions};
use crate::{CommitId, Record, Seq, SessionId};

/// For so many positions after its last record is a session remembered.
const REMEMBERED_POSITIONS: u64 = 65_536;

/// So many gaps between the numbers of a session's commits are remembered, the newest.
const REMEMBERED_GAPS: usize = 64;

/// What the log says of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitOutcome {
    /// It is in the log.
    Committed {
        /// The position of its record, while that is known.
        seq: Option<Seq>,
    },
    /// It is not in the log and never will be.
    NotCommitted,
    /// It is not in the log, and may still come.
    Undecided,
    /// It was proposed too long ago to tell.
    Forgotten,
}

/// What became of the commits of every session that wrote lately, also of those whose records were removed.
///
/// The numbers of a session's commits rise in the order of the log. So one that was passed over will never come, and
/// the last one and the gaps below it say all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    by_id: BTreeMap<SessionId, Session>,
    /// Every session under the position of its last record.
    by_last: BTreeMap<Seq, SessionId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Session {
    /// Of commits below this number nothing is known.
    known_from: u64,
    /// Whether `known_from` stands where it does because gaps were forgotten.
    has_forgotten_gaps: bool,
    last: u64,
    last_seq: Seq,
    /// Numbers from `known_from` to `last` that did not commit, in ascending order.
    gaps: VecDeque<Range<u64>>,
}

impl Sessions {
    /// Takes in the numbers of a record's commits.
    pub(crate) fn apply(&mut self, record: &Record) {
        let numbers = record.entries.iter().map(|entry| entry.counter).filter(|number| *number > 0);
        for number in numbers {
            self.commit(record.session, number, record.seq);
        }
        let forgotten = Seq(record.seq.0.saturating_sub(remembered_positions(REMEMBERED_POSITIONS)));
        while let Some(oldest) = self.by_last.first_entry().filter(|oldest| *oldest.key() < forgotten) {
            self.by_id.remove(&oldest.remove());
        }
    }

    fn commit(&mut self, id: SessionId, number: u64, seq: Seq) {
        let session = self.by_id.entry(id).or_insert_with(|| {
            // Whether this is its first commit ever, or its first after it was forgotten, cannot be told.
            Session {
                known_from: number,
                has_forgotten_gaps: false,
                last: number - 1,
                last_seq: seq,
                gaps: VecDeque::new(),
            }
        });
        if number <= session.last {
            // No writer does this. Replay must go on with the same state everywhere all the same.
            return;
        }
        if number > session.last + 1 {
            session.gaps.push_back(session.last + 1..number);
            if session.gaps.len() > REMEMBERED_GAPS
                && let Some(dropped) = session.gaps.pop_front()
            {
                session.known_from = dropped.end;
                session.has_forgotten_gaps = true;
            }
        }
        session.last = number;
        self.by_last.remove(&session.last_seq);
        session.last_seq = seq;
        self.by_last.insert(seq, id);
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        codec::put_varint(buffer, self.by_id.len() as u64);
        for (id, session) in &self.by_id {
            buffer.extend_from_slice(&id.0);
            codec::put_varint(buffer, session.known_from);
            buffer.push(u8::from(session.has_forgotten_gaps));
            codec::put_varint(buffer, session.last);
            codec::put_varint(buffer, session.last_seq.0);
            codec::put_varint(buffer, session.gaps.len() as u64);
            for gap in &session.gaps {
                codec::put_varint(buffer, gap.start);
                codec::put_varint(buffer, gap.end);
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut sessions = Self::default();
        for _ in 0..reader.varint()? {
            let id = SessionId(reader.array()?);
            let known_from = reader.varint()?;
            let has_forgotten_gaps = match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed("whether gaps were forgotten is neither yes nor no")),
            };
            let (last, last_seq) = (reader.varint()?, Seq(reader.varint()?));
            let mut gaps = VecDeque::new();
            for _ in 0..reader.varint()? {
                gaps.push_back(reader.varint()?..reader.varint()?);
            }
            sessions.by_last.insert(last_seq, id);
            sessions.by_id.insert(id, Session { known_from, has_forgotten_gaps, last, last_seq, gaps });
        }
        Ok(sessions)
    }

    /// What became of a commit, as far as the log goes up to `position`. If it was sent, then to `slot` only, as far as
    /// that is known.
    pub(crate) fn outcome(&self, id: CommitId, slot: Option<Seq>, position: Seq) -> CommitOutcome {
        let remembered = remembered_positions(REMEMBERED_POSITIONS);
        let slot_is_passed = slot.is_some_and(|slot| slot <= position);
        // Had it committed there, its session would be remembered since.
        let slot_is_remembered =
            slot.is_some_and(|slot| slot <= position && slot.0.saturating_add(remembered) > position.0);
        let Some(session) = self.by_id.get(&id.session) else {
            return match slot {
                _ if is_planted(PlantedBug::ForgottenIsNotCommitted) => CommitOutcome::NotCommitted,
                Some(slot) if slot > position => CommitOutcome::Undecided,
                _ if slot_is_remembered => CommitOutcome::NotCommitted,
                _ => CommitOutcome::Forgotten,
            };
        };
        match id.counter {
            number if number > session.last && slot_is_passed => CommitOutcome::NotCommitted,
            number if number > session.last => CommitOutcome::Undecided,
            number if session.gaps.iter().any(|gap| gap.contains(&number)) => CommitOutcome::NotCommitted,
            number if number < session.known_from => {
                let is_decided = slot_is_remembered && !session.has_forgotten_gaps;
                if is_decided || is_planted(PlantedBug::ForgottenIsNotCommitted) {
                    return CommitOutcome::NotCommitted;
                }
                CommitOutcome::Forgotten
            }
            _ => CommitOutcome::Committed { seq: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{ChainHash, Entry, LogTime, NodeId, RecordKind};

    fn record(seq: u64, session: u8, numbers: &[u64]) -> Record {
        Record {
            kind: RecordKind::Transactions,
            seq: Seq(seq),
            time: LogTime(seq),
            node: NodeId(0),
            session: SessionId([session; 16]),
            previous: ChainHash::default(),
            entries: numbers.iter().map(|counter| Entry { counter: *counter, payload: Bytes::new() }).collect(),
        }
    }

    fn id(session: u8, counter: u64) -> CommitId {
        CommitId { session: SessionId([session; 16]), counter }
    }

    #[test]
    fn numbers_that_were_passed_over_did_not_commit() {
        let mut sessions = Sessions::default();
        sessions.apply(&record(2, 1, &[1, 2]));
        sessions.apply(&record(3, 1, &[5]));
        let outcome = |counter| sessions.outcome(id(1, counter), None, Seq(3));
        let committed = CommitOutcome::Committed { seq: None };
        assert_eq!([1, 2, 5].map(outcome), [committed; 3]);
        assert_eq!([3, 4].map(outcome), [CommitOutcome::NotCommitted; 2]);
        assert_eq!(outcome(6), CommitOutcome::Undecided);
        assert_eq!(sessions.outcome(id(1, 6), Some(Seq(3)), Seq(3)), CommitOutcome::NotCommitted);
        assert_eq!(sessions.outcome(id(1, 6), Some(Seq(4)), Seq(3)), CommitOutcome::Undecided);
    }

    #[test]
    fn a_forgotten_commit_is_never_said_to_have_failed() {
        let mut sessions = Sessions::default();
        sessions.apply(&record(2, 1, &[1]));
        let later = 3 + REMEMBERED_POSITIONS;
        sessions.apply(&record(later, 2, &[1]));
        assert_eq!(sessions.outcome(id(1, 1), None, Seq(later)), CommitOutcome::Forgotten);
        assert_eq!(sessions.outcome(id(1, 1), Some(Seq(2)), Seq(later)), CommitOutcome::Forgotten);
        // Of an unknown session, a slot that is remembered says enough.
        assert_eq!(sessions.outcome(id(3, 1), Some(Seq(later)), Seq(later)), CommitOutcome::NotCommitted);
        // It comes back: of what it did before, nothing is known.
        sessions.apply(&record(later + 1, 1, &[3]));
        assert_eq!(sessions.outcome(id(1, 1), Some(Seq(2)), Seq(later + 1)), CommitOutcome::Forgotten);
        // But for a slot that is remembered, since the session was not there.
        assert_eq!(sessions.outcome(id(1, 2), Some(Seq(later)), Seq(later + 1)), CommitOutcome::NotCommitted);
        assert_eq!(sessions.outcome(id(1, 2), None, Seq(later + 1)), CommitOutcome::Forgotten);
        assert_eq!(sessions.outcome(id(1, 3), None, Seq(later + 1)), CommitOutcome::Committed { seq: None });
    }

    #[test]
    fn memory_is_bounded() {
        let mut sessions = Sessions::default();
        for seq in 2..2_000 {
            sessions.apply(&record(seq, 1, &[seq * 3]));
        }
        assert_eq!(sessions.by_id.values().next().unwrap().gaps.len(), REMEMBERED_GAPS);
        assert_eq!(sessions.outcome(id(1, 7), None, Seq(2_000)), CommitOutcome::Forgotten);
        assert_eq!(sessions.outcome(id(1, 1_998 * 3 + 1), None, Seq(2_000)), CommitOutcome::NotCommitted);
        assert_eq!(sessions.by_last.len(), 1);
    }

    proptest! {
        /// Whatever it remembers is what happened.
        #[test]
        fn outcomes_are_those_of_a_full_account(steps in prop::collection::vec((0u8..3, 1u64..4), 1..60)) {
            let mut sessions = Sessions::default();
            let mut committed = std::collections::BTreeSet::new();
            let mut last = [0u64; 3];
            for (seq, (session, step)) in (2u64..).zip(&steps) {
                let number = last[usize::from(*session)] + step;
                last[usize::from(*session)] = number;
                committed.insert((*session, number));
                sessions.apply(&record(seq, *session, &[number]));
            }
            let position = Seq(1 + steps.len() as u64);
            let mut saved = Vec::new();
            sessions.encode(&mut saved);
            prop_assert_eq!(Sessions::decode(&mut Reader::new(saved.into())), Ok(sessions.clone()));
            for session in 0..3 {
                for number in 1..last[usize::from(session)] + 3 {
                    match sessions.outcome(id(session, number), None, position) {
                        CommitOutcome::Committed { .. } => prop_assert!(committed.contains(&(session, number))),
                        CommitOutcome::NotCommitted => prop_assert!(!committed.contains(&(session, number))),
                        CommitOutcome::Undecided => prop_assert!(number > last[usize::from(session)]),
                        CommitOutcome::Forgotten => {
                            prop_assert!(committed.iter().filter(|known| known.0 == session).all(|known| number < known.1));
                        }
                    }
                }
            }
        }
    }
}
