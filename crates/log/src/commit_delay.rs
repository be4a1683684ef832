use std::time::Duration;

/// A record waits for this part of the time that one takes to write, at most.
const PART_OF_A_RECORD: u32 = 20;

/// Or for so long, where a record takes no longer than other tasks take to come back.
const LEAST_DELAY: Duration = Duration::from_micros(200);

/// Timers of a runtime are no finer than this.
pub(crate) const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// Having waited in vain again and again, so many records at most are written without waiting before the next attempt.
const MOST_SKIPPED: u32 = 64;

/// Whether a record waits a moment for the commits of those who were answered by the record before.
///
/// Callers that commit one thing after the other come back as soon as they are answered, and just too late: the record that
/// could take their commits along is on its way, with what had waited for it, and they wait for all of it and then for their
/// own. Two halves of the callers then take turns, each commit takes twice as long as a record, and there are twice as many
/// records. So the next record waits until as many commits are there as there were callers, and for a twentieth of the time
/// that a record takes at most, or for 200 µs if that is more: a store in memory is done with a record before most of those
/// whom the one before has answered have run. Where nobody comes back in that time, fewer and fewer records wait; and a caller
/// that is alone never does.
///
/// Source: the `commit_delay` of PostgreSQL, which waits where `commit_siblings` others are at work.
#[derive(Debug, Default)]
pub(crate) struct CommitDelay {
    /// How many commits there would be if all came back.
    expected: usize,
    until: Duration,
    /// How many records are written without waiting.
    skip: u32,
    /// How many it was the last time.
    skipped: u32,
}

impl CommitDelay {
    /// A record has been written, that took `pace`, and its commits are about to be answered; others wait already.
    pub(crate) fn written(&mut self, now: Duration, pace: Duration, commits: usize, waiting: usize) {
        self.expected = commits + waiting;
        self.until = now + (pace / PART_OF_A_RECORD).max(LEAST_DELAY);
    }

    /// Whether the next record waits, where so many commits are there for it. Asked once for each.
    pub(crate) fn begins(&mut self, now: Duration, there: usize) -> bool {
        if there >= self.expected || now >= self.until {
            return false;
        }
        match self.skip.checked_sub(1) {
            Some(left) => {
                self.skip = left;
                false
            }
            None => true,
        }
    }

    /// How much longer it waits, where so many are there by now.
    pub(crate) fn left(&self, now: Duration, there: usize) -> Option<Duration> {
        let left = self.until.checked_sub(now).filter(|left| !left.is_zero())?;
        (there < self.expected).then_some(left)
    }

    /// It has waited with so many commits, and so many came.
    pub(crate) fn ended(&mut self, before: usize, came: usize) {
        // One that came would have waited for a record, while the others waited for a twentieth of one.
        let is_worth_it = came * PART_OF_A_RECORD as usize > before;
        self.skipped = if is_worth_it { 0 } else { (self.skipped * 2 + 1).min(MOST_SKIPPED) };
        self.skip = self.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(40);
    const NOW: Duration = Duration::from_secs(9);

    fn behind(commits: usize, waiting: usize) -> CommitDelay {
        let mut delay = CommitDelay::default();
        delay.written(NOW, PACE, commits, waiting);
        delay
    }

    #[test]
    fn whoever_is_alone_waits_for_nobody() {
        assert!(!behind(1, 0).begins(NOW, 1));
        assert!(!CommitDelay::default().begins(NOW, 1));
    }

    #[test]
    fn all_who_were_there_are_waited_for_and_a_twentieth_of_a_record_at_most() {
        let mut delay = behind(3, 2);
        assert!(delay.begins(NOW, 2));
        assert_eq!(delay.left(NOW, 4), Some(Duration::from_millis(2)));
        assert_eq!(delay.left(NOW, 5), None);
        assert_eq!(delay.left(NOW + Duration::from_millis(2), 4), None);
        assert!(!delay.begins(NOW + Duration::from_millis(2), 2));
    }

    #[test]
    fn where_nobody_comes_back_fewer_records_wait() {
        let mut delay = CommitDelay::default();
        let mut waited = Vec::new();
        for record in 0..200 {
            delay.written(NOW, PACE, 3, 2);
            if delay.begins(NOW, 2) {
                delay.ended(2, 0);
                waited.push(record);
            }
        }
        assert_eq!(waited, [0, 2, 6, 14, 30, 62, 126, 191]);
        delay.ended(2, 1);
        delay.written(NOW, PACE, 3, 2);
        assert!(delay.begins(NOW, 2), "somebody came back");
    }
}
