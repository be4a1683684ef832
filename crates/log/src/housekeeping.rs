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
}

/// Positions and the moments, by the monotonic clock, at which something was known of them. Both ascend.
#[derive(Debug, Default)]
struct Moments(Vec<(Seq, Duration)>);

impl Moments {
    fn note(&mut self, seq: Seq, now: Duration) {
        if self.0.last().is_none_or(|(last, _)| *last < seq) {
            if self.0.len() == MAX_MOMENTS {
                // What it said is said a little later by the next one.
                self.0.remove(0);
            }
            self.0.push((seq, now));
        }
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
        self.covered.note(seq, now);
    }

    /// There is a checkpoint at `seq` in the log.
    pub(crate) fn saw(&mut self, seq: Seq, now: Duration) {
        self.seen.note(seq, now);
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
        moments.note(Seq(10), second(1));
        moments.note(Seq(20), second(2));
        moments.note(Seq(15), second(3));
        assert_eq!([5, 10, 11, 20, 21].map(|seq| moments.since(Seq(seq))), {
            [Some(second(1)), Some(second(1)), Some(second(2)), Some(second(2)), None]
        });
        for seq in 21..1_000 {
            moments.note(Seq(seq), second(seq));
        }
        assert_eq!(moments.0.len(), MAX_MOMENTS);
        assert!(moments.since(Seq(5)) > Some(second(2)), "forgetting makes nothing due earlier");
    }
}
