use std::time::Duration;

use bucketdb_env::{Environment, Random};

use crate::StateMachine;
use crate::committer::Committer;
use crate::turns::{RECORDS_PER_TURN, Turn};

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

/// So many records at a time does a writer read that wants to join: it must not lag behind those who write.
const RECORDS_AHEAD: u64 = 3;

/// So often does a writer that wants to join try its luck behind any record of one that is alone, before it waits for a
/// gap. Where a get takes as long as a put, it never sees the last record in time.
const ATTEMPTS_WITHOUT_GAP: u32 = 2;

/// What was written between two records of a writer that looks first is one record most often.
const RECORDS_LOOKED_FOR: u64 = 2;

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
        loop {
            let before = self.shared.seq();
            let looked = self.shared.look_ahead(RECORDS_LOOKED_FOR).await;
            let found = self.shared.seq().0.saturating_sub(before.0);
            self.overtaken.note(found > 0);
            if looked.is_err() || found < RECORDS_LOOKED_FOR {
                return;
            }
        }
    }

    /// Waits while others write whose turn it is, reading what they add. Returns at once if nobody else does.
    ///
    /// Errors are left to the request that follows: it meets them too.
    pub(crate) async fn await_turn(&mut self) {
        let mut joining = None;
        let mut position = self.shared.seq();
        loop {
            let (turn, is_gap, writers, since) = {
                let applied = self.shared.applied.read();
                let turns = &applied.turns;
                (turns.of(applied.session, self.pace.mean()), turns.is_gap(), turns.writers(), applied.since)
            };
            let now = self.shared.env.monotonic();
            let (due, pause, width) = match turn {
                Turn::Now if !is_gap => return,
                Turn::Now | Turn::After { .. } if !self.is_contended(now, writers) => return,
                Turn::Now => (since + self.pace.mean() * 3 / 4, self.pace.mean(), 1),
                Turn::Alone => {
                    let has_paused = now.saturating_sub(since) > self.pace.mean();
                    if is_gap && !has_paused {
                        // Whether somebody came is seen by the put itself.
                        self.shared.env.sleep(self.pace.mean() * 3 / 2).await;
                    }
                    return;
                }
                Turn::After { writers: before, records } => {
                    // Only the records before the last one can be slept through.
                    let sure = self.pace.mean() * (records - 1) * SLEPT_PER_CENT / 100;
                    let pause = if records > 1 { sure } else { self.pace.mean() / 8 };
                    (since + self.pace.patience() * before.min(MOST_WAITED_FOR), pause, u64::from(records))
                }
                // The first attempt is made at once: most often nobody else is writing just now.
                Turn::Joining if self.losses <= 1 => return,
                Turn::Joining => {
                    // Whoever joins does so right behind a record, when the slot has just become free, and where those who
                    // write leave room.
                    let drawn = || (now + self.back_off(), self.random_up_to(self.pace.mean() * 2));
                    let (joins_from, jitter) = *joining.get_or_insert_with(drawn);
                    let is_free = is_gap || writers < 2 && self.losses <= ATTEMPTS_WITHOUT_GAP;
                    if now >= joins_from && is_free && self.shared.seq() > position {
                        return;
                    }
                    position = self.shared.seq();
                    (since + self.pace.patience() * 2 + jitter, self.pace.mean() / 4, RECORDS_AHEAD)
                }
            };
            if now >= due {
                return;
            }
            let before = self.shared.seq();
            let pause = pause.min(due - now).clamp(SHORTEST_POLL, LONGEST_WAIT);
            self.shared.env.sleep(pause).await;
            let looked = match width {
                near @ 0..=MOST_RECORDS_AT_ONCE => self.shared.look_ahead(near).await,
                _ => self.shared.catch_up().await,
            };
            if looked.is_err() || self.shared.failure.check().is_err() {
                return;
            }
            if self.shared.seq() > before {
                self.contended_at = Some(self.shared.env.monotonic());
            }
        }
    }

    /// Whether others were seen to write at the same time, not longer ago than all of them need for their turns: what was
    /// written some time before is no reason to wait.
    fn is_contended(&self, now: Duration, writers: usize) -> bool {
        let turns = u32::try_from(writers).unwrap_or(u32::MAX).saturating_add(2).min(MOST_WAITED_FOR);
        self.contended_at.is_some_and(|at| now.saturating_sub(at) <= self.pace.patience() * turns)
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
