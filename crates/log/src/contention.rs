use std::time::Duration;

use bucketdb_env::{Environment, Random};

use crate::committer::Committer;
use crate::shared::Applied;
use crate::turns::{RECORDS_PER_TURN, Turn};
use crate::{Seq, StateMachine};

/// The longest that a writer waits at a time before it looks whose turn it is.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A look at the log costs a request: not more often than this, however fast the store.
const SHORTEST_POLL: Duration = Duration::from_micros(100);

/// How much of the time that others need for their records is slept through before looking.
const SLEPT_PER_CENT: u32 = 75;

/// However many writers there are, the silence of all of them is not waited for longer than that of so many.
const MOST_WAITED_FOR: u32 = 16;

/// So many records that are expected to be there are asked for at the same time.
const MOST_RECORDS_AT_ONCE: u64 = 64;

/// So many records at a time at most does a writer read that wants to join: it must not lag behind those who write.
const RECORDS_AHEAD: u64 = 3;

/// A writer that wants to join tries its luck behind any record of one that is alone, then behind the second, the fourth, and so
/// on up to this one: where a get takes as long as a put, it never sees the last record of one that does not pause in time.
const MOST_RECORDS_TO_PASS: u64 = 64;

/// So many attempts of a writer that wants to join are made at once: most often nobody else is writing just now.
const ATTEMPTS_AT_ONCE: u32 = 2;

/// What was written between two records of a writer that looks first is one record most often.
const RECORDS_LOOKED_FOR: u64 = 2;

/// What a writer sees of the others at one moment.
struct View {
    now: Duration,
    seq: Seq,
    turn: Turn,
    /// Whether room is left for somebody who joins.
    is_gap: bool,
    /// Whether one who is alone is about to.
    is_gap_near: bool,
    writers: usize,
    /// When the last record was seen.
    since: Duration,
}

impl View {
    fn new<M: StateMachine>(applied: &Applied<M>, now: Duration, pace: Duration) -> Self {
        let Applied { turns, session, seq, since, .. } = applied;
        let (is_gap, is_gap_near) = (turns.is_gap(), turns.is_gap_near());
        let (turn, writers) = (turns.of(*session, pace), turns.writers());
        Self { now, seq: *seq, turn, is_gap, is_gap_near, writers, since: *since }
    }
}

/// What a writer has seen since it began to wait for an occasion to join.
struct Joining {
    begun_at: Seq,
    seen: Seq,
    /// Whether nobody wrote for longer than a request takes.
    has_paused: bool,
    /// Not before this where there are several.
    from: Duration,
    jitter: Duration,
}

/// What to wait for.
struct Wait {
    /// Until then at most.
    due: Duration,
    /// Before the next look at the log.
    pause: Duration,
    /// How many records it asks for.
    width: u64,
}

impl<M: StateMachine> Committer<M> {
    /// Reads what others wrote since this writer last did, if they mostly do and it would put its record in vain: not
    /// where all of them write at this moment, which is what turns are for, nor if the log's end was seen just now.
    ///
    /// Errors are left to the request that follows.
    pub(crate) async fn look_first(&mut self) {
        if !self.overtaken.is_worth_a_look() || self.losses > 0 {
            return;
        }
        let now = self.shared.env.monotonic();
        let writers = self.shared.applied.read().turns.writers();
        if self.is_contended(now, writers) || self.shared.probes.is_younger_than(self.pace.mean(), now) {
            return;
        }
        let before = self.shared.seq();
        self.look_to_the_end().await;
        self.overtaken.note(self.shared.seq() > before);
    }

    /// Reads what others wrote: twice a little, and then ever more at a time, for there may be much.
    ///
    /// Errors are left to the request that follows.
    pub(crate) async fn look_to_the_end(&self) {
        let (mut width, mut next) = (RECORDS_LOOKED_FOR, RECORDS_LOOKED_FOR);
        loop {
            let before = self.shared.seq();
            let looked = self.shared.look_ahead(width).await;
            let found = self.shared.seq().0.saturating_sub(before.0);
            if looked.is_err() || found < width {
                return;
            }
            width = next;
            next = (2 * next).min(MOST_RECORDS_AT_ONCE);
        }
    }

    /// Waits while others write whose turn it is, reading what they add. Returns at once if nobody else does.
    ///
    /// Errors are left to the request that follows: it meets them too.
    pub(crate) async fn await_turn(&mut self) {
        let mut joining = None;
        let mut valid_at = None;
        loop {
            let now = self.shared.env.monotonic();
            let view = View::new(&self.shared.applied.read(), now, self.pace.mean());
            let wait = match view.turn {
                Turn::Now if !view.is_gap => return,
                Turn::Now | Turn::After { .. } if !self.is_contended(now, view.writers) => return,
                Turn::Now => {
                    let due = view.since + self.pace.mean() * 3 / 4;
                    Wait { due, pause: self.pace.mean(), width: 1 }
                }
                Turn::Alone => {
                    let has_paused = now.saturating_sub(view.since) > self.pace.mean();
                    if view.is_gap && !has_paused {
                        // Whether somebody came is seen by the put itself.
                        self.shared.env.sleep(self.pace.mean() * 3 / 2).await;
                    }
                    return;
                }
                Turn::After { writers: before, records } => {
                    // Only the records before the last one can be slept through.
                    let sure = self.pace.mean() * (records - 1) * SLEPT_PER_CENT / 100;
                    let pause = if records > 1 { sure } else { self.pace.mean() / 8 };
                    // Whoever comes first leaves room before, and looks whether somebody came.
                    let room = if view.is_gap { self.pace.mean() * 2 } else { Duration::ZERO };
                    let due = view.since + room + self.pace.patience() * before.min(MOST_WAITED_FOR);
                    Wait { due, pause, width: u64::from(records) }
                }
                Turn::Joining if self.losses < ATTEMPTS_AT_ONCE => return,
                Turn::Joining => {
                    let joining = joining.get_or_insert_with(|| self.begin_to_join(&view));
                    match self.join(joining, &view) {
                        Some(wait) => wait,
                        None => return,
                    }
                }
            };
            if now >= wait.due || valid_at.replace(view.seq) != Some(view.seq) && !self.has_valid() {
                return;
            }
            let pause = wait.pause.min(wait.due - now).clamp(SHORTEST_POLL, LONGEST_WAIT);
            self.shared.env.sleep(pause).await;
            let looked = match wait.width {
                near @ 0..=MOST_RECORDS_AT_ONCE => self.shared.look_ahead(near).await,
                _ => self.shared.catch_up().await,
            };
            if looked.is_err() || self.shared.failure.check().is_err() {
                return;
            }
            if self.shared.seq() > view.seq {
                self.contended_at = Some(self.shared.env.monotonic());
            }
        }
    }

    fn begin_to_join(&self, view: &View) -> Joining {
        let (from, jitter) = (view.now + self.back_off(), self.random_up_to(self.pace.mean() * 2));
        Joining { begun_at: view.seq, seen: view.seq, has_paused: false, from, jitter }
    }

    /// How long a writer that wants to join waits, or `None` if it should try now: right behind a record, when the slot has
    /// just become free.
    fn join(&self, joining: &mut Joining, view: &View) -> Option<Wait> {
        let silence = self.pace.patience();
        joining.has_paused |= view.now.saturating_sub(view.since) > silence;
        let is_worth_it = match view.writers {
            // Whoever writes alone leaves room seldom; but most pause between two records.
            0..=1 if view.is_gap || joining.has_paused => true,
            0..=1 => !view.is_gap_near && view.seq.0 - joining.begun_at.0 >= self.records_to_pass(),
            _ => view.is_gap && view.now >= joining.from,
        };
        let found = view.seq.0 - std::mem::replace(&mut joining.seen, view.seq).0;
        if is_worth_it && found > 0 {
            return None;
        }
        // Where there are several, the one behind whoever does not come goes first.
        let due = view.since + silence * 2 + joining.jitter;
        Some(Wait { due, pause: self.pace.mean() / 4, width: RECORDS_AHEAD.min(found + 1) })
    }

    /// Whether others were seen to write at the same time, not longer ago than all of them need for their turns: what was
    /// written some time before is no reason to wait.
    pub(crate) fn is_contended(&self, now: Duration, writers: usize) -> bool {
        let turns = u32::try_from(writers).unwrap_or(u32::MAX).saturating_add(2).min(MOST_WAITED_FOR);
        self.contended_at.is_some_and(|at| now.saturating_sub(at) <= self.pace.patience() * turns)
    }

    /// How many records of somebody who writes alone are let pass before the next attempt to come in between.
    fn records_to_pass(&self) -> u64 {
        2u64.saturating_pow(self.losses.saturating_sub(ATTEMPTS_AT_ONCE)).min(MOST_RECORDS_TO_PASS)
    }

    /// A random time up to a bound that grows with the losses ("full jitter"), and shrinks again for who lost often.
    ///
    /// Source: M. Brooker, "Exponential Backoff And Jitter", 2015.
    fn back_off(&self) -> Duration {
        let doublings = match self.losses {
            losses @ 0..=5 => losses,
            losses => 10u32.saturating_sub(losses),
        };
        let most = self.pace.mean() * RECORDS_PER_TURN * 2u32.saturating_pow(doublings);
        self.random_up_to(most.min(LONGEST_WAIT))
    }

    fn random_up_to(&self, most: Duration) -> Duration {
        Duration::from_micros(self.shared.env.random_below(most.as_micros() as u64))
    }
}
