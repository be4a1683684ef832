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

/// So many records that are expected to be there are asked for at the same time.
const MOST_RECORDS_AT_ONCE: u64 = 64;

/// So many records at a time does a writer read that wants to join: it must not lag behind those who write.
const RECORDS_AHEAD: u64 = 3;

/// After so many records without a pause, a writer that is alone leaves a gap for whoever wants to join. Where a get takes
/// as long as a put, nobody else would ever see its last record in time.
const RECORDS_BETWEEN_GAPS: u32 = 64;

/// How many records a writer has added by itself, one right behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streak {
    records: u32,
    last: Duration,
}

impl Streak {
    /// A record was added at `now`.
    pub(crate) fn add(&mut self, now: Duration, pace: Duration) {
        let has_paused = now.saturating_sub(self.last) > pace * 2;
        self.records = if has_paused { 1 } else { self.records + 1 };
        self.last = now;
    }
}

impl<M: StateMachine> Committer<M> {
    /// Waits while others write whose turn it is, reading what they add. Returns at once if nobody else does.
    ///
    /// Errors are left to the request that follows: it meets them too.
    pub(crate) async fn await_turn(&mut self) {
        let mut joining = None;
        let mut position = self.shared.seq();
        loop {
            let (turn, is_gap, since) = {
                let applied = self.shared.applied.read();
                (applied.turns.of(applied.session, self.pace.mean()), applied.turns.is_gap(), applied.since)
            };
            let now = self.shared.env.monotonic();
            let (due, pause, width) = match turn {
                Turn::Now if !is_gap => return,
                Turn::Now => (since + self.pace.mean() * 3 / 4, self.pace.mean(), 1),
                Turn::Alone => {
                    let has_paused = now.saturating_sub(since) > self.pace.mean();
                    if self.streak.records >= RECORDS_BETWEEN_GAPS && !has_paused {
                        self.shared.env.sleep(self.pace.mean() * 3 / 2).await;
                        // Whether somebody came is seen by the put itself.
                        self.streak = Streak::default();
                    }
                    return;
                }
                Turn::After { writers, records } => {
                    // Only the records before the last one can be slept through.
                    let sure = self.pace.mean() * (records - 1) * SLEPT_PER_CENT / 100;
                    let pause = if records > 1 { sure } else { self.pace.mean() / 8 };
                    (since + self.pace.patience() * writers, pause, u64::from(records))
                }
                // The first attempt is made at once: most often nobody else is writing just now.
                Turn::Joining if self.losses == 0 => return,
                Turn::Joining => {
                    // Whoever joins does so right behind a record, when the slot has just become free, and where those who
                    // write leave room.
                    let drawn = || (now + self.back_off(), self.random_up_to(self.pace.mean() * 2));
                    let (joins_from, jitter) = *joining.get_or_insert_with(drawn);
                    if now >= joins_from && is_gap && self.shared.seq() > position {
                        return;
                    }
                    position = self.shared.seq();
                    (since + self.pace.patience() * 2 + jitter, self.pace.mean() / 4, RECORDS_AHEAD)
                }
            };
            if now >= due {
                return;
            }
            let pause = pause.clamp(SHORTEST_POLL, LONGEST_WAIT).min(due - now);
            self.shared.env.sleep(pause).await;
            let looked = match width {
                near @ 0..=MOST_RECORDS_AT_ONCE => self.shared.look_ahead(near).await,
                _ => self.shared.catch_up().await,
            };
            if looked.is_err() || self.shared.failure.check().is_err() {
                return;
            }
        }
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
