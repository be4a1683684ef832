use std::time::Duration;

use bucketdb_driver::ETag;

use crate::Seq;

/// So many checkpoints are remembered with the moment at which they became known.
const MAX_MOMENTS: usize = 256;

/// What this process alone knows of deletions and of `head`. Losing it costs time, never safety.
#[derive(Debug, Default)]
pub(crate) struct Housekeeping {
    /// What to replace `head` by; `None` if there is none.
    pub(crate) head_etag: Option<ETag>,
    /// `head` is known to name the checkpoint at this position, or a later one; 0 for none.
    pub(crate) head_covers: Seq,
    /// When `head` was known to cover checkpoints, in ascending order.
    covered: Moments,
    /// When checkpoints were seen in the log.
    seen: Moments,
    /// What checkpoints up to this position made superfluous was deleted.
    pub(crate) collected: Seq,
    /// Records below this position were deleted.
    pub(crate) log_begins: Seq,
    /// What the store's clock said last; `None` if this process never heard it.
    pub(crate) heard: Option<HeardTime>,
}

/// What the store's clock said, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeardTime {
    /// In milliseconds since 1970.
    pub(crate) store_ms: u64,
    pub(crate) monotonic: Duration,
}

impl HeardTime {
    /// How far a wall clock is ahead of the store's by now, in milliseconds: as far as it was, and as much more as it has gone
    /// on than time has.
    pub(crate) fn ahead_ms(&self, wall_ms: u64, monotonic: Duration) -> i64 {
        let passed_ms = monotonic.saturating_sub(self.monotonic).as_millis() as i64;
        (wall_ms as i64).saturating_sub(self.store_ms as i64).saturating_sub(passed_ms)
    }
}

/// Positions and the moments, by the monotonic clock, at which something was known of them. Both ascend.
#[derive(Debug, Default)]
struct Moments(Vec<(Seq, Duration)>);

impl Moments {
    /// Nobody asks any more for what is not behind `collected`.
    fn note(&mut self, seq: Seq, now: Duration, collected: Seq) {
        if self.0.last().is_some_and(|(last, _)| *last >= seq) {
            return;
        }
        if self.0.len() == MAX_MOMENTS {
            self.0.retain(|(known, _)| *known > collected);
        }
        if self.0.len() == MAX_MOMENTS {
            // What it said is said a little later by the next one. So all that is left lies about equally far apart, and
            // the oldest stays: where checkpoints are made so fast that a grace sees more of them than fit here, none
            // would ever become old enough otherwise.
            let spans = self.0.windows(3).map(|three| match three {
                [(_, before), _, (_, behind)] => behind.saturating_sub(*before),
                _ => Duration::MAX,
            });
            if let Some((before, _)) = spans.enumerate().min_by_key(|(_, span)| *span) {
                self.0.remove(before + 1);
            }
        }
        self.0.push((seq, now));
    }

    fn since(&self, seq: Seq) -> Option<Duration> {
        self.0.iter().find(|(known, _)| *known >= seq).map(|(_, at)| *at)
    }
}

impl Housekeeping {
    /// `head` names the checkpoint at `seq`, and had this ETag a moment ago.
    pub(crate) fn head_is(&mut self, etag: ETag, seq: Seq, now: Duration) {
        self.head_etag = Some(etag);
        self.head_covers = self.head_covers.max(seq);
        self.covered.note(seq, now, self.collected);
    }

    /// There is a checkpoint at `seq` in the log.
    pub(crate) fn saw(&mut self, seq: Seq, now: Duration) {
        self.seen.note(seq, now, self.collected);
    }

    /// Since when every opener finds the checkpoint at `seq` or a later one: by `head` where there is one, else in the log.
    pub(crate) fn known_since(&self, seq: Seq, by_head: bool) -> Option<Duration> {
        if by_head { self.covered.since(seq) } else { self.seen.since(seq) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_known_since_one_at_or_behind_it_was() {
        let mut moments = Moments::default();
        let second = Duration::from_secs;
        moments.note(Seq(10), second(1), Seq(0));
        moments.note(Seq(20), second(2), Seq(0));
        moments.note(Seq(15), second(3), Seq(0));
        assert_eq!([5, 10, 11, 20, 21].map(|seq| moments.since(Seq(seq))), {
            [Some(second(1)), Some(second(1)), Some(second(2)), Some(second(2)), None]
        });
        for seq in 21..1_000 {
            moments.note(Seq(seq), second(seq), Seq(0));
        }
        assert_eq!(moments.0.len(), MAX_MOMENTS);
        for seq in 21..1_000 {
            let since = moments.since(Seq(seq)).unwrap();
            assert!(since >= second(seq), "forgetting makes nothing due earlier");
            assert!(since <= second(seq + 20), "nor much later");
        }
    }

    #[test]
    fn what_checkpoints_made_superfluous_becomes_due_however_fast_they_are_made() {
        let (second, grace) = (Duration::from_secs, Duration::from_secs(3_600));
        let mut moments = Moments::default();
        let mut collected = 0;
        for seq in 1..20_000 {
            let now = second(seq);
            moments.note(Seq(seq), now, Seq(collected));
            while moments.since(Seq(collected + 1)).is_some_and(|since| now - since >= grace) {
                collected += 1;
            }
            assert!(seq < 4_000 || seq - collected < 4_000, "at {seq}, only {collected} were collected");
        }
    }
}
