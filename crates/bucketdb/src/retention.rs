//! Which earlier checkpoints are kept, and for what.

use std::collections::VecDeque;
use std::time::Duration;

use bucketdb_documents::{Base, Retained};
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_log::{CheckpointRef, Seq, Stretch};

/// Of the time for which the past is kept, so many earlier checkpoints are kept, about; positions between them are made
/// from the log.
const KEPT_CHECKPOINTS: u64 = 32;

/// What is kept of the past by a checkpoint that covers a position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Oldest first.
    pub(crate) retained: Vec<Retained>,
    /// So many of them, the oldest, are kept for positions that have a name only.
    pub(crate) pinned: usize,
    /// The lowest position that may be read without having a name.
    pub(crate) floor: Seq,
    /// The records below that from which the named ones are made.
    pub(crate) spared: Vec<Stretch>,
}

/// What is kept of a base once another one follows it; `loaded` are the runs that were bulk-loaded between the two.
pub(crate) fn retained_as(base: &Base, checkpoint: Option<&CheckpointRef>, loaded: Vec<String>) -> Retained {
    Retained {
        covers: base.covers,
        time_ms: base.time_ms,
        ttls: base.ttls,
        manifest: checkpoint.map(|checkpoint| checkpoint.manifest.clone()).unwrap_or_default(),
        hash: checkpoint.map(|checkpoint| checkpoint.manifest_hash.0).unwrap_or_default(),
        runs: base.tree.runs().map(|run| run.meta().name.to_string()).collect(),
        loaded,
    }
}

/// What is to be kept of the past.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Positions younger than this.
    pub(crate) keep: Duration,
    /// Positions that have a name, or at which a branch forks.
    pub(crate) named: &'a [Seq],
    /// What the checkpoints cover that branches begin with.
    pub(crate) begun_with: &'a [Seq],
}

impl Retention {
    /// What a checkpoint that covers `covers`, at that time, keeps, if the one before it kept `earlier` (the first `pinned` for
    /// names only) and is `last` itself: those from which young enough positions can be made, and the nearest one before each
    /// position that has a name.
    pub(crate) fn new(
        (earlier, pinned): (&[Retained], usize),
        last: Retained,
        (covers, now_ms): (Seq, u64),
        Wanted { keep, named, begun_with }: Wanted<'_>,
    ) -> Self {
        let keep_ms = keep.as_millis() as u64;
        let (before, earlier) = earlier.split_at(pinned.min(earlier.len()));
        let mut given_up = before.to_vec();
        let mut kept: VecDeque<Retained> = earlier.iter().cloned().collect();
        kept.push_back(last);
        // One is for the positions up to the next.
        while let (Some(_), next) = (kept.front(), kept.get(1).map_or(now_ms, |next| next.time_ms)) {
            if next.saturating_add(keep_ms) > now_ms && keep_ms > 0 {
                break;
            }
            given_up.extend(kept.pop_front());
        }
        thin_out(&mut kept, keep_ms / KEPT_CHECKPOINTS, begun_with);
        let floor = kept.front().map_or(covers, |oldest| oldest.covers);
        let named = if is_planted(PlantedBug::NameForgotten) { &[] } else { named };
        let (mut retained, spared): (Vec<_>, Vec<_>) =
            needed_by_names(&given_up, floor, named).map(|(checkpoint, stretch)| (checkpoint.clone(), stretch)).unzip();
        let pinned = retained.len();
        retained.extend(kept);
        Self { retained, pinned, floor: floor.max(Seq::FIRST), spared }
    }
}

/// Which of the checkpoints that are not kept otherwise, the next of which covers `next`, named positions are made from, and the
/// records that this takes. Those are made from a checkpoint that lie behind it and before the one that follows it.
pub(crate) fn needed_by_names<'a>(
    checkpoints: &'a [Retained],
    next: Seq,
    named: &'a [Seq],
) -> impl Iterator<Item = (&'a Retained, Stretch)> {
    let ends = checkpoints.iter().skip(1).map(|next| next.covers).chain([next]);
    checkpoints.iter().zip(ends).filter_map(|(checkpoint, end)| {
        let made_from_it = || named.iter().filter(|seq| checkpoint.covers <= **seq && **seq < end).copied();
        // The record of a named position is read for its time.
        let first = made_from_it().fold(checkpoint.covers.next(), Seq::min);
        Some((checkpoint, Stretch { first, last: made_from_it().max()? }))
    })
}

/// Leaves of those that are less apart than this the first, and those that branches begin with, whose logs do not lead on from
/// earlier ones.
fn thin_out(kept: &mut VecDeque<Retained>, apart_ms: u64, begun_with: &[Seq]) {
    let mut index = 1;
    while let (Some(before), Some(after)) = (kept.get(index - 1), kept.get(index + 1)) {
        // Where another field came to say when documents end, the log does not lead from the one before to the one behind.
        let says_the_same = kept.get(index).is_some_and(|it| it.ttls == before.ttls && it.ttls == after.ttls);
        // The log before the first checkpoint holds none.
        let is_needed = before.manifest.is_empty() || kept.get(index).is_some_and(|it| begun_with.contains(&it.covers));
        if after.time_ms.saturating_sub(before.time_ms) >= apart_ms || !says_the_same || is_needed {
            index += 1;
            continue;
        }
        // Its positions are made from the one before it from now on, and that takes what was bulk-loaded here.
        let removed = kept.remove(index).map(|removed| removed.loaded).unwrap_or_default();
        if let Some(before) = kept.get_mut(index - 1) {
            before.loaded.extend(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn checkpoint(covers: u64, time_s: u64, loaded: &[&str]) -> Retained {
        Retained {
            covers: Seq(covers),
            time_ms: time_s * 1_000,
            ttls: 0,
            manifest: format!("manifest/{covers}"),
            hash: [0; 16],
            runs: vec![format!("run/{covers}")],
            loaded: loaded.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn wanted(keep: Duration, named: &[Seq]) -> Wanted<'_> {
        Wanted { keep, named, begun_with: &[] }
    }

    fn covers(retention: &Retention) -> Vec<u64> {
        retention.retained.iter().map(|kept| kept.covers.0).collect()
    }

    #[test]
    fn what_was_bulk_loaded_is_kept_for_as_long_as_a_position_is_made_from_before_it() {
        let retain = |kept: &[Retained], last: Retained, now_ms| {
            Retention::new((kept, 0), last, (Seq(99), now_ms), wanted(HOUR, &[])).retained
        };
        let mut kept = Vec::new();
        // A load behind the second one, which is not kept because the others are so near.
        for (covers, time_s, loaded) in [(10, 1_000, [].as_slice()), (20, 1_010, &["run/load"]), (30, 1_020, &[])] {
            kept = retain(&kept, checkpoint(covers, time_s, loaded), time_s * 1_000);
        }
        let kept_of = |kept: &[Retained]| -> Vec<(u64, Vec<String>)> {
            kept.iter().map(|kept| (kept.covers.0, kept.loaded.clone())).collect()
        };
        assert_eq!(kept_of(&kept), [(10, vec!["run/load".to_owned()]), (30, Vec::new())]);
        // All are younger than an hour for as long as what follows the first one is.
        let later = retain(&kept, checkpoint(40, 4_619, &[]), 4_619_000);
        assert_eq!(kept_of(&later).first(), kept_of(&kept).first());
        let later = retain(&kept, checkpoint(40, 4_620, &[]), 4_620_000);
        assert_eq!(kept_of(&later), [(30, Vec::new()), (40, Vec::new())]);
    }

    #[test]
    fn of_what_is_given_up_the_nearest_checkpoint_before_each_name_stays_with_the_records_between() {
        let day = 24 * 3_600;
        let stretch = |first, last| Stretch { first: Seq(first), last: Seq(last) };
        let earlier = [checkpoint(0, 0, &[]), checkpoint(10, day, &[]), checkpoint(20, 2 * day, &[])];
        let now = (Seq(40), 5 * day * 1_000);
        let last = || checkpoint(30, 4 * day, &[]);
        // History reaches to the last one before this; names: before any checkpoint, at one, behind one, and in the history.
        let named = [Seq(4), Seq(7), Seq(20), Seq(25), Seq(33)];
        let retention = Retention::new((&earlier, 0), last(), now, wanted(HOUR, &named));
        assert_eq!((covers(&retention), retention.pinned, retention.floor), (vec![0, 20, 30], 2, Seq(30)));
        assert_eq!(retention.spared, [stretch(1, 7), stretch(20, 25)]);
        // The next one: what has no name any more goes, and what was history is kept for its name.
        let next = checkpoint(40, 6 * day, &[]);
        let now = (Seq(50), 7 * day * 1_000);
        let later = Retention::new((&retention.retained, 2), next, now, wanted(HOUR, &[Seq(20), Seq(33)]));
        assert_eq!((covers(&later), later.pinned, later.floor), (vec![20, 30, 40], 2, Seq(40)));
        assert_eq!(later.spared, [stretch(20, 20), stretch(31, 33)]);
    }

    #[test]
    fn what_a_branch_begins_with_is_not_thinned_out() {
        let close = |begun_with: &[Seq]| {
            let earlier = [checkpoint(10, 1_000, &[]), checkpoint(20, 1_010, &[]), checkpoint(30, 1_020, &[])];
            let wanted = Wanted { keep: HOUR, named: &[Seq(25)], begun_with };
            covers(&Retention::new((&earlier, 0), checkpoint(40, 1_030, &[]), (Seq(50), 1_040_000), wanted))
        };
        assert_eq!(close(&[]), [10, 40]);
        assert_eq!(close(&[Seq(20)]), [10, 20, 40]);
    }

    #[test]
    fn without_a_history_names_are_kept_all_the_same() {
        let retention =
            Retention::new((&[], 0), checkpoint(10, 5, &[]), (Seq(20), 9_000), wanted(Duration::ZERO, &[Seq(12)]));
        assert_eq!((covers(&retention), retention.pinned, retention.floor), (vec![10], 1, Seq(20)));
        let retention =
            Retention::new((&[], 0), checkpoint(10, 5, &[]), (Seq(20), 9_000), wanted(Duration::ZERO, &[Seq(20)]));
        assert_eq!((covers(&retention), retention.pinned, retention.floor), (vec![], 0, Seq(20)));
    }
}
