use std::pin::pin;

use futures::stream::TryStreamExt;

use crate::layout::RecordName;
use crate::planted::{PlantedBug, is_planted};
use crate::replay::Stored;
use crate::shared::Shared;
use crate::{ChainHash, Layout, LogError, Result, Seq, StateMachine, reads};

/// How often a listing is asked for that does not fit together: one that was made while others wrote.
pub(crate) const LISTING_ATTEMPTS: u32 = 6;

impl<M: StateMachine> Shared<M> {
    /// Finds out where the log ends without believing an empty slot, for whoever is outside the
    /// [window](crate::window::Window): by a listing. The log is the contiguous run of records that ends with the
    /// greatest position, since the newest record is never removed. Applies what is new.
    ///
    /// This opens the window and says nothing of freshness: a listing may lag a little, which the window has room for.
    ///
    /// If the log begins behind the next record, this starts again from the newest checkpoint.
    ///
    /// # Errors
    /// [`LogError::FellBehind`] if there is none to start from.
    /// [`LogError::Dropped`] if it is another database's by now.
    pub(crate) async fn prove_by_listing(&self) -> Result<()> {
        match self.try_prove_by_listing().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    async fn try_prove_by_listing(&self) -> Result<()> {
        let mut attempt = 1;
        loop {
            let sent = self.now();
            let outcome = self.replay_listed().await;
            if let Ok(Listing::Continues) = outcome {
                self.window.proved(sent);
                return Ok(());
            }
            if matches!(outcome, Ok(Listing::LeavesGap)) && self.start_again().await? {
                return Ok(());
            }
            // Records that are listed may be removed before they are fetched.
            let may_change = matches!(outcome, Ok(_) | Err(LogError::Missing { .. }));
            if !may_change || attempt == LISTING_ATTEMPTS {
                return match outcome? {
                    // The last record that is applied, or a later one, exists always.
                    Listing::Lags => Err(self.source().listing_lags(&Layout::slot_name(self.seq()))),
                    Listing::Continues | Listing::LeavesGap => Err(self.fell_behind().await),
                };
            }
            reads::pause(&*self.env, attempt).await;
            attempt += 1;
        }
    }

    /// Applies every record of a listing, if it continues what is applied.
    async fn replay_listed(&self) -> Result<Listing> {
        let position = self.seq();
        let names = self.list_from(position).await?;
        self.check_kinds(&names)?;
        let run = newest_run(&names);
        let Some(first) = run.first() else {
            return Ok(Listing::Lags);
        };
        if first.seq > position.next() {
            return Ok(Listing::LeavesGap);
        }
        // A reader beside this one may have gone further meanwhile.
        let position = self.seq();
        let new: Vec<RecordName> = run.iter().filter(|name| name.seq > position).cloned().collect();
        self.replay_linked(new).await
    }

    /// Applies each of the named records once the one behind it, if there is one, is known to continue it: what was
    /// created late where a record had been removed stands alone, right before those that are left.
    async fn replay_linked(&self, names: Vec<RecordName>) -> Result<Listing> {
        let mut waiting: Option<Stored> = None;
        let source = self.source();
        let mut fetched = pin!(source.records(names, self.group_base(), &self.checksums));
        while let Some(group) = fetched.try_next().await? {
            for next in group {
                if let Some(earlier) = waiting.take() {
                    let is_continued = next.record.previous == earlier.hash;
                    if !is_continued && !is_planted(PlantedBug::ListingWithoutRun) {
                        return Ok(Listing::LeavesGap);
                    }
                    self.apply(earlier)?;
                }
                waiting = Some(next);
            }
        }
        if let Some(newest) = waiting {
            self.apply(newest)?;
        }
        Ok(Listing::Continues)
    }

    async fn fell_behind(&self) -> LogError {
        let position = self.seq();
        let first = match self.list_from(Seq::FIRST).await {
            Ok(names) => newest_run(&names).first().map_or(position.next(), |name| name.seq),
            Err(_) => position.next(),
        };
        LogError::FellBehind { position, first }
    }

    /// After our record was created at `seq` outside the window: whether it became part of the log, or fell into a place
    /// whose own record had been removed.
    pub(crate) async fn is_in_log(&self, seq: Seq, hash: ChainHash) -> Result<Membership> {
        let mut attempt = 1;
        loop {
            if let Some(known) = self.hash_at(seq) {
                return Ok(if known == hash { Membership::Member } else { Membership::Passed });
            }
            let names = self.list_from(seq).await?;
            self.check_kinds(&names)?;
            let run = newest_run(&names);
            match (run.first(), run.get(1)) {
                // The newest record is never removed: were ours not it, a greater one would be there.
                (Some(ours), None) if ours.seq == seq => return Ok(Membership::Member),
                (Some(ours), Some(next)) if ours.seq == seq => {
                    let Some(bytes) = self.fetch(&next.name).await? else { return Ok(Membership::Unknown) };
                    let is_continued = self.decode(next.seq, &next.name, &bytes)?.record.previous == hash;
                    return Ok(if is_continued { Membership::Member } else { Membership::Unknown });
                }
                _ if attempt < LISTING_ATTEMPTS => reads::pause(&*self.env, attempt).await,
                _ => return Ok(Membership::Unknown),
            }
            attempt += 1;
        }
    }
}

/// What a listing says to whoever has applied the log up to some position.
enum Listing {
    /// It goes on from there, or ends there.
    Continues,
    /// The next record is gone.
    LeavesGap,
    /// It shows less than what was read before.
    Lags,
}

/// Whether a record is part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    /// It is.
    Member,
    /// It is not: another one is in its position.
    Passed,
    /// It is not known to be: the log went on, and its position is out of sight.
    Unknown,
}

/// The records that end with the greatest position and have no gap. Where each session has names of its own, two may be in
/// one position.
pub(crate) fn newest_run(names: &[RecordName]) -> &[RecordName] {
    if is_planted(PlantedBug::ListingWithoutRun) {
        return names;
    }
    let gap = names.windows(2).rposition(|pair| match pair {
        [first, second] => second.seq > first.seq.next(),
        _ => false,
    });
    names.get(gap.map_or(0, |index| index + 1)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_run_ends_at_the_greatest_position_and_has_no_gap() {
        let run = |seqs: &[u64]| {
            let names: Vec<RecordName> = seqs.iter().map(|seq| RecordName::shared(Seq(*seq))).collect();
            newest_run(&names).iter().map(|name| name.seq.0).collect::<Vec<_>>()
        };
        assert_eq!(run(&[]), [0; 0]);
        assert_eq!(run(&[4]), [4]);
        assert_eq!(run(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(run(&[2, 7, 8, 9]), [7, 8, 9]);
        assert_eq!(run(&[2, 3, 7, 9]), [9]);
    }
}
