//! What it takes to copy a log to another place, and to let it go on there.

use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::Driver;
use bucketdb_env::Environment;

use crate::checkpoint::Captured;
use crate::open::{OpenOptions, Opener};
use crate::timed::TimedDriver;
use crate::{ChainHash, IngestTicket, Layout, Log, RecordKind, Result, Seq, SlotNames, StateMachine, Stretch, stretch};

impl<T> Captured<T> {
    /// The records up to `last` that the log had not given up, in order: those from the floor on, those that are spared, and
    /// those that the last checkpoint does not cover, which without one are all from `genesis` on.
    #[must_use]
    pub fn kept_records(&self, genesis: Seq, last: Seq) -> Vec<Stretch> {
        let upkeep = &self.state.upkeep;
        let uncovered = self.first_to_replay(genesis);
        let spared = stretch::without(&upkeep.spared, &[], self.state.floor);
        let behind = [self.state.floor, uncovered].map(|first| Stretch { first, last });
        stretch::union(spared.into_iter().chain(behind.into_iter().filter(|behind| behind.first <= last)))
    }

    /// The first position that has to be replayed by whoever begins with the last checkpoint, or, without one, with `genesis`:
    /// without its record, nobody can open the log.
    #[must_use]
    pub fn first_to_replay(&self, genesis: Seq) -> Seq {
        self.last_checkpoint().map_or(genesis, |checkpoint| checkpoint.covers.next())
    }

    /// Which life of the database it is of.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state.options.generation
    }
}

impl<M: StateMachine> Log<M> {
    /// The names, relative to the database, of the records in some stretches. No request where names are shared, else a listing.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn record_names(&self, stretches: &[Stretch]) -> Result<Vec<String>> {
        match self.shared.names {
            SlotNames::Shared => {
                let positions = stretches.iter().flat_map(|stretch| stretch.first.0..=stretch.last.0);
                Ok(positions.map(|seq| Layout::slot_name(Seq(seq))).collect())
            }
            SlotNames::PerSession => {
                let names = self.shared.source().list_records(None).await?;
                let wanted = names.into_iter().filter(|name| stretch::contain(stretches, name.seq));
                Ok(wanted.map(|name| name.name).collect())
            }
        }
    }

    /// Whether everything behind `seq`, up to `last`, changed only what the state machine holds: so the log's own state at
    /// `seq` was what it was at `last`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn is_unchanged_between(&self, seq: Seq, last: Seq) -> Result<bool> {
        for seq in seq.next().0..=last.0 {
            let kind = self.record(Seq(seq)).await?.map(|record| record.kind);
            if !matches!(kind, Some(RecordKind::Transactions | RecordKind::Schema)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The hash of the record at a position that is not given up, where there is a later one or this process knows it. One get at
    /// most.
    ///
    /// # Errors
    /// If the store fails, or if the record behind it cannot be read.
    pub async fn hash_of(&self, seq: Seq) -> Result<Option<ChainHash>> {
        match self.shared.hash_at(seq) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.record(seq.next()).await?.map(|behind| behind.previous)),
        }
    }

    /// Begins another life of the database: cursors of feeds that are of an earlier one are refused from then on.
    ///
    /// # Errors
    /// If the record that says so is not written by the deadline.
    pub async fn begin_generation(&self, generation: u64, deadline: Duration) -> Result<()> {
        self.change_options(deadline, move |current| {
            let mut changed = current.clone();
            changed.generation = changed.generation.max(generation);
            changed
        })
        .await
    }

    /// The ingests that were begun and not ended.
    #[must_use]
    pub fn ingests_under_way(&self) -> Vec<IngestTicket> {
        let applied = self.shared.applied.read();
        applied.upkeep.ingests.keys().map(|seq| IngestTicket { seq: *seq }).collect()
    }
}

/// Refuses a place that lies inside a database. One request for every part of the prefix.
///
/// # Errors
/// [`LogError::Nested`](crate::LogError::Nested), or if the store fails.
pub async fn check_not_nested(driver: Arc<dyn Driver>, env: Arc<dyn Environment>, prefix: &str) -> Result<()> {
    let options = OpenOptions { prefix: prefix.to_owned(), ..OpenOptions::default() };
    let layout = Layout::new(prefix)?;
    let store: Arc<dyn Driver> = Arc::new(TimedDriver::new(driver.clone(), env.clone(), options.request_timeout));
    Opener { store, driver, env, layout, options: &options }.check_not_inside().await
}
