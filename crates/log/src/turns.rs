use std::time::Duration;

use crate::codec::{self, Malformed, Reader};
use crate::{Record, SessionId};

/// How many records a writer may add before it is the next one's turn.
pub(crate) const RECORDS_PER_TURN: u32 = 4;

/// A request that takes longer than this was held up: nobody else is to be waited for because of it.
const SLOWEST_PACE: Duration = Duration::from_secs(1);

/// A request counts as so many times the usual at most: one that is held up says little of those that follow, and where all
/// are slow, the estimate gets there within some requests.
const MOST_OF_MEAN: u32 = 4;

/// Of so many requests at the beginning the fastest counts: a connection may have to be made first.
const FIRST_REQUESTS: u32 = 4;

/// After so many turns, and for so many after somebody joined, room is left for somebody to join.
const TURNS_BETWEEN_GAPS: u32 = 16;

/// After so many records, a single writer leaves a gap for whoever wants to join.
const RECORDS_BETWEEN_GAPS: u32 = 64;

/// So many records are written, about, while an attempt to join is made in vain.
const NEAR: u32 = 3;

/// The most writers that take turns; who is over joins when another leaves.
const MAX_WRITERS: usize = 256;

/// A writer that added nothing for so long, by the time in records, takes no turns any more.
const LONGEST_SILENCE_MS: u64 = 60_000;

/// A writer is expected to come back at least once in so many rounds of all writers.
const ROUNDS_OF_SILENCE: u32 = 3;

/// However fast the store, a writer is waited for if it wrote within this time.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// Who writes, in which order, so that writers who get in each other's way take turns.
///
/// It is read off the log alone: whoever adds a record joins the circle behind the one that wrote before, and the turn
/// goes round. Nobody announces anything, no clock and no node id is asked, and the number of nodes need not be known. A
/// writer that does not come is passed over after a while by the one behind it, and has left the circle by that.
///
/// This decides who goes first, and nothing else: whoever goes out of turn is as safe, and wastes a put at worst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    /// In the order of the circle; the writer of the last record is at `last`.
    circle: Vec<Writer>,
    last: usize,
    /// How many records in a row that writer has added.
    run: u32,
    /// How many turns ago room was left for whoever wants to join.
    since_gap: u32,
    /// How many turns ago somebody joined.
    since_join: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Writer {
    session: SessionId,
    /// When it added its last record, by the time in it.
    wrote_ms: u64,
}

/// How far away a writer's turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nobody else writes.
    Alone,
    /// It may write at once.
    Now,
    /// Others come first.
    After {
        /// So many writers, the one whose turn it is included.
        writers: u32,
        /// So many records, if all of them use their turns.
        records: u32,
    },
    /// It does not take turns yet, and others do.
    Joining,
}

impl Turns {
    /// Takes in who wrote a record.
    pub(crate) fn apply(&mut self, record: &Record) {
        let now_ms = record.time.unix_ms();
        let writer = Writer { session: record.session, wrote_ms: now_ms };
        let place = self.circle.iter().position(|known| known.session == record.session);
        if place.is_none_or(|place| place != self.last) {
            self.since_gap = if self.is_gap() { 0 } else { self.since_gap.saturating_add(1) };
            self.since_join = if place.is_none() { 0 } else { self.since_join.saturating_add(1) };
        }
        match place {
            Some(place) if place == self.last && !self.circle.is_empty() => {
                self.run = self.run.saturating_add(1);
                if self.run > RECORDS_PER_TURN && self.circle.len() > 1 {
                    // All others let their turns pass.
                    self.circle = vec![writer.clone()];
                    self.last = 0;
                }
            }
            Some(place) => {
                // Those in between let their turn pass.
                let between = self.between(place);
                let mut circle: Vec<Writer> = Vec::with_capacity(self.circle.len());
                for (index, known) in self.circle.drain(..).enumerate() {
                    if !between.contains(&index) {
                        circle.push(known);
                    }
                }
                self.circle = circle;
                self.last = self.circle.iter().position(|known| known.session == record.session).unwrap_or(0);
                self.run = 1;
            }
            None if self.circle.is_empty() => {
                self.circle.push(writer.clone());
                (self.last, self.run) = (0, 1);
            }
            None => {
                self.last += 1;
                self.circle.insert(self.last.min(self.circle.len()), writer.clone());
                self.run = 1;
            }
        }
        if let Some(known) = self.circle.get_mut(self.last) {
            *known = writer;
        }
        self.forget_silent(now_ms, record.session);
    }

    /// Whether those in the circle leave room, behind the last record, for somebody who wants to join: now and then, and
    /// as long as others do join.
    pub(crate) fn is_gap(&self) -> bool {
        if self.circle.len() < 2 {
            return self.run.is_multiple_of(RECORDS_BETWEEN_GAPS);
        }
        let is_due = self.since_gap >= TURNS_BETWEEN_GAPS || self.since_join <= TURNS_BETWEEN_GAPS;
        self.run >= RECORDS_PER_TURN && is_due
    }

    /// Whether a writer who is alone is about to leave room: an attempt that comes before would miss it.
    pub(crate) fn is_gap_near(&self) -> bool {
        self.run % RECORDS_BETWEEN_GAPS >= RECORDS_BETWEEN_GAPS - NEAR
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        codec::put_varint(buffer, self.circle.len() as u64);
        for writer in &self.circle {
            buffer.extend_from_slice(&writer.session.0);
            codec::put_varint(buffer, writer.wrote_ms);
        }
        codec::put_varint(buffer, self.last as u64);
        for number in [self.run, self.since_gap, self.since_join] {
            codec::put_varint(buffer, u64::from(number));
        }
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut circle = Vec::new();
        for _ in 0..reader.varint()? {
            circle.push(Writer { session: SessionId(reader.array()?), wrote_ms: reader.varint()? });
        }
        let last = reader.length()?;
        if last >= circle.len().max(1) {
            return Err(Malformed("the last writer is none of the writers"));
        }
        let mut number = || u32::try_from(reader.varint()?).map_err(|_| Malformed("a number of turns is out of range"));
        Ok(Self { circle, last, run: number()?, since_gap: number()?, since_join: number()? })
    }

    /// How many are in the circle.
    pub(crate) fn writers(&self) -> usize {
        self.circle.len()
    }

    /// The places strictly between the last writer's and `place`, going round.
    fn between(&self, place: usize) -> Vec<usize> {
        let count = self.circle.len();
        (1..count).map(|step| (self.last + step) % count).take_while(|index| *index != place).collect()
    }

    fn forget_silent(&mut self, now_ms: u64, writer: SessionId) {
        let silent = |known: &Writer| now_ms.saturating_sub(known.wrote_ms) > LONGEST_SILENCE_MS;
        if !self.circle.iter().any(silent) && self.circle.len() <= MAX_WRITERS {
            return;
        }
        let mut excess = self.circle.len().saturating_sub(MAX_WRITERS);
        self.circle.retain(|known| {
            let too_many = excess > 0 && known.session != writer;
            excess -= usize::from(too_many);
            !too_many && !silent(known)
        });
        self.last = self.circle.iter().position(|known| known.session == writer).unwrap_or(0);
    }

    /// How far away the turn of `session` is, where adding a record takes about `pace`.
    pub(crate) fn of(&self, session: SessionId, pace: Duration) -> Turn {
        let Some(last) = self.circle.get(self.last) else { return Turn::Alone };
        let count = self.circle.len();
        let round = pace * RECORDS_PER_TURN * u32::try_from(count).unwrap_or(u32::MAX);
        let silence_ms = (round * ROUNDS_OF_SILENCE).max(SHORTEST_SILENCE).as_millis() as u64;
        let is_active = |known: &&Writer| last.wrote_ms.saturating_sub(known.wrote_ms) <= silence_ms;
        let others = self.circle.iter().filter(is_active).filter(|known| known.session != session).count();
        if others == 0 {
            return Turn::Alone;
        }
        let is_last = last.session == session;
        let is_known = self.circle.iter().filter(is_active).any(|known| known.session == session);
        if !is_known {
            return Turn::Joining;
        }
        if is_last && self.run < RECORDS_PER_TURN {
            return Turn::Now;
        }
        let behind = (1..count).map(|step| (self.last + step) % count).filter_map(|index| self.circle.get(index));
        let before = behind.filter(is_active).take_while(|known| known.session != session).count();
        let rest = if is_last { 0 } else { RECORDS_PER_TURN.saturating_sub(self.run) };
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        if before == 0 && rest == 0 {
            return Turn::Now;
        }
        Turn::After { writers: before + u32::from(rest > 0), records: before * RECORDS_PER_TURN + rest }
    }
}

/// How long a request takes, and so how long to wait for somebody who is about to make one.
///
/// The estimate of V. Jacobson, "Congestion Avoidance and Control", 1988, with the constants of RFC 6298.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    mean: Duration,
    deviation: Duration,
    /// How many of the first requests were measured.
    first: u32,
}

impl Pace {
    pub(crate) fn measured(&mut self, took: Duration) {
        let took = took.min(SLOWEST_PACE);
        let is_first = self.first < FIRST_REQUESTS;
        self.first += u32::from(is_first);
        if self.mean.is_zero() || is_first && took < self.mean {
            (self.mean, self.deviation) = (took, took / 2);
            return;
        }
        let took = took.min(self.mean * MOST_OF_MEAN);
        self.deviation = self.deviation * 3 / 4 + self.mean.abs_diff(took) / 4;
        self.mean = self.mean * 7 / 8 + took / 8;
    }

    /// How long a request takes on average.
    pub(crate) fn mean(&self) -> Duration {
        self.mean
    }

    /// After so long without a record, whoever was to write it is not going to.
    ///
    /// It has to see the record before, which somebody else wrote, and to write its own, which has to be seen.
    pub(crate) fn patience(&self) -> Duration {
        (self.mean * 2).max(self.mean + self.deviation * 4) + self.mean / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChainHash, LogTime, NodeId, RecordKind, Seq};

    const PACE: Duration = Duration::from_millis(30);

    fn session(number: u8) -> SessionId {
        SessionId([number; 16])
    }

    fn write(turns: &mut Turns, number: u8, at_ms: u64) {
        turns.apply(&Record {
            kind: RecordKind::Transactions,
            seq: Seq(2),
            time: LogTime::default().tick(at_ms),
            node: NodeId(0),
            session: session(number),
            previous: ChainHash::default(),
            entries: Vec::new(),
        });
    }

    fn after(writers: u32) -> Turn {
        Turn::After { writers, records: writers * RECORDS_PER_TURN }
    }

    /// A whole turn of each of these writers.
    fn turns_of(writers: impl IntoIterator<Item = u8>) -> Turns {
        let mut turns = Turns::default();
        for number in writers {
            for _ in 0..RECORDS_PER_TURN {
                write(&mut turns, number, 1_000);
            }
        }
        turns
    }

    #[test]
    fn a_single_writer_never_waits() {
        let turns = turns_of([1, 1, 1]);
        assert_eq!(turns.of(session(1), PACE), Turn::Alone);
        assert_eq!(Turns::default().of(session(1), PACE), Turn::Alone);
        assert_eq!(turns.of(session(2), PACE), Turn::Joining);
    }

    #[test]
    fn the_turn_goes_round() {
        let mut turns = turns_of([1, 2, 3]);
        for (next, second, third) in [(1, 2, 3), (2, 3, 1), (3, 1, 2), (1, 2, 3)] {
            assert_eq!(turns.of(session(next), PACE), Turn::Now);
            assert_eq!(turns.of(session(second), PACE), after(1));
            assert_eq!(turns.of(session(third), PACE), after(2));
            for _ in 0..RECORDS_PER_TURN {
                write(&mut turns, next, 1_000);
            }
        }
    }

    #[test]
    fn who_joins_takes_nobodys_turn() {
        let mut turns = turns_of([1, 2, 3]);
        for _ in 0..RECORDS_PER_TURN {
            write(&mut turns, 4, 1_000);
        }
        assert_eq!(turns.of(session(1), PACE), Turn::Now);
        assert_eq!(turns.of(session(4), PACE), after(3));
    }

    #[test]
    fn who_lets_a_turn_pass_leaves_the_circle() {
        let mut turns = turns_of([1, 2, 3]);
        for _ in 0..RECORDS_PER_TURN {
            write(&mut turns, 2, 1_000);
        }
        assert_eq!(turns.of(session(1), PACE), Turn::Joining);
        assert_eq!(turns.of(session(3), PACE), Turn::Now);
        assert_eq!(turns.of(session(2), PACE), after(1));
    }

    #[test]
    fn who_was_silent_is_not_waited_for() {
        let mut turns = turns_of([1, 2]);
        for _ in 0..RECORDS_PER_TURN {
            write(&mut turns, 1, 1_500);
        }
        assert_eq!(turns.of(session(1), PACE), after(1));
        write(&mut turns, 1, 2_500);
        assert_eq!(turns.of(session(1), PACE), Turn::Alone);
        write(&mut turns, 1, 100_000);
        assert_eq!(turns.circle.len(), 1);
    }

    #[test]
    fn what_is_saved_comes_back() {
        for turns in [Turns::default(), turns_of([1]), turns_of([1, 2, 3, 1])] {
            let mut saved = Vec::new();
            turns.encode(&mut saved);
            assert_eq!(Turns::decode(&mut Reader::new(saved.into())), Ok(turns));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut turns = Turns::default();
        for number in 0..1_000u64 {
            let mut writer = [0; 16];
            writer[..8].copy_from_slice(&number.to_le_bytes());
            turns.apply(&Record {
                kind: RecordKind::Transactions,
                seq: Seq(number + 2),
                time: LogTime(number),
                node: NodeId(0),
                session: SessionId(writer),
                previous: ChainHash::default(),
                entries: Vec::new(),
            });
        }
        assert_eq!(turns.circle.len(), MAX_WRITERS);
    }

    #[test]
    fn who_is_alone_leaves_room_now_and_then_and_others_know_when() {
        let mut turns = Turns::default();
        let (mut gaps, mut near) = (Vec::new(), Vec::new());
        for run in 1..=130 {
            write(&mut turns, 1, 1_000);
            if turns.is_gap() {
                gaps.push(run);
            }
            if turns.is_gap_near() {
                near.push(run);
            }
        }
        assert_eq!(gaps, [64, 128]);
        assert_eq!(near, [61, 62, 63, 125, 126, 127]);
    }

    #[test]
    fn one_request_that_is_held_up_makes_nobody_wait_for_long() {
        let held_up = SLOWEST_PACE;
        // The first one may have made connections.
        let mut pace = Pace::default();
        pace.measured(held_up);
        pace.measured(PACE);
        assert_eq!(pace.mean(), PACE);
        for _ in 0..100 {
            pace.measured(PACE);
        }
        pace.measured(held_up);
        assert!(pace.patience() < PACE * 6, "{:?}", pace.patience());
        // A store that became slow is believed.
        for _ in 0..20 {
            pace.measured(held_up);
        }
        assert!(pace.mean() > held_up * 3 / 4, "{:?}", pace.mean());
    }

    #[test]
    fn patience_is_longer_than_two_requests_and_follows_the_spread() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.measured(PACE);
        }
        assert!(pace.patience() > PACE * 2 && pace.patience() < PACE * 3);
        for took_ms in [10, 200, 10, 200, 10, 200] {
            pace.measured(Duration::from_millis(took_ms));
        }
        assert!(pace.patience() > PACE * 6);
    }
}
