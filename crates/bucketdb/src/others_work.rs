use std::time::Duration;

use bucketdb_log::Seq;
use parking_lot::Mutex;

/// Whether another process is at work on the database: what one builds piece by piece, two would build twice.
///
/// Nothing that must be safe rests on it: of two checkpoints on the same one, the log takes one.
#[derive(Debug, Default)]
pub(crate) struct OthersWork(Mutex<Option<Last>>);

/// The last checkpoint that is known of.
#[derive(Debug)]
struct Last {
    seq: Option<Seq>,
    /// When another process was seen to have made it. `None` if this one did, and for what was there at the beginning.
    seen: Option<Duration>,
}

impl OthersWork {
    /// Notes a checkpoint of this process, by the position of its record.
    pub(crate) fn note_own(&self, seq: Seq) {
        *self.0.lock() = Some(Last { seq: Some(seq), seen: None });
    }

    /// For how long to wait for another process that has made the newest checkpoint, which has this position, and will make
    /// the next one within `patience` if it is still there. `None` if there is none.
    pub(crate) fn wait(&self, newest: Option<Seq>, now: Duration, patience: Duration) -> Option<Duration> {
        let mut last = self.0.lock();
        match &mut *last {
            None => *last = Some(Last { seq: newest, seen: None }),
            Some(last) if last.seq != newest => *last = Last { seq: newest, seen: Some(now) },
            Some(_) => (),
        }
        let seen = last.as_ref().and_then(|last| last.seen)?;
        (seen + patience).checked_sub(now).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn who_made_the_newest_checkpoint_is_given_time_for_the_next() {
        let others = OthersWork::default();
        assert_eq!(others.wait(Some(Seq(5)), S, 10 * S), None, "it was there before");
        assert_eq!(others.wait(Some(Seq(9)), 3 * S, 10 * S), Some(10 * S));
        assert_eq!(others.wait(Some(Seq(9)), 7 * S, 10 * S), Some(6 * S));
        assert_eq!(others.wait(Some(Seq(9)), 13 * S, 10 * S), None, "it does not go on");
        assert_eq!(others.wait(Some(Seq(12)), 14 * S, 10 * S), Some(10 * S), "it does");
        others.note_own(Seq(15));
        assert_eq!(others.wait(Some(Seq(15)), 15 * S, 10 * S), None);
    }
}
