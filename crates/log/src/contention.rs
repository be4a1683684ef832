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

impl<M: StateMachine> Committer<M> {
    /// Waits while others write whose turn it is, reading what they add. Returns at once if nobody else does.
    ///
    /// Errors are left to the request that follows: it meets them too.
    pub(crate) async fn await_turn(&mut self) {
        let mut joining_at = None;
        loop {
            let (turn, since) = {
                let applied = self.shared.applied.read();
                (applied.turns.of(applied.session, self.pace.mean()), applied.since)
            };
            let now = self.shared.env.monotonic();
            let (due, pause) = match turn {
                Turn::Now => return,
                Turn::After { writers, records } => {
                    // Only the records before the last one can be slept through.
                    let sure = self.pace.mean() * (records - 1) * SLEPT_PER_CENT / 100;
                    let pause = if records > 1 { sure } else { self.pace.mean() / 4 };
                    (since + self.pace.patience() * writers, pause)
                }
                // The first attempt is made at once: most often nobody else is writing just now.
                Turn::Joining if self.losses == 0 => return,
                Turn::Joining => {
                    let due = *joining_at.get_or_insert_with(|| now + self.back_off());
                    (due, self.pace.mean() / 2)
                }
            };
            if now >= due {
                return;
            }
            let pause = pause.clamp(SHORTEST_POLL, LONGEST_WAIT).min(due - now);
            self.shared.env.sleep(pause).await;
            let before = self.shared.seq();
            if self.shared.catch_up().await.is_err() || self.shared.failure.check().is_err() {
                return;
            }
            // Whoever joins does so right behind a record, when the slot has just become free.
            let has_grown = self.shared.seq() > before;
            if has_grown && joining_at.is_some_and(|due| self.shared.env.monotonic() >= due) {
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
        Duration::from_micros(self.shared.env.random_below(most.min(LONGEST_WAIT).as_micros() as u64))
    }
}
