use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bucketdb_driver::{DriverError, ErrorKind, Operation};
use bucketdb_env::Environment;
use bytes::Bytes;
use futures::future;
use futures::stream::TryStreamExt;

use crate::layout::RecordName;
use crate::planted::{PlantedBug, is_planted};
use crate::probes::Ask;
use crate::shared::Shared;
use crate::source::{HOLE_ATTEMPTS, Source};
use crate::{Layout, LogError, Record, Result, Seq, SlotNames, StateMachine, reads};

/// The most records that are asked for at the same time without knowing that they are there.
const MAX_WIDTH: u64 = 32;

/// How often a listing is made whose answer is too old when it comes, at least,
const MAX_PROOFS: u32 = 4;

/// and for how long: with a short grace, a store that has much to do for a moment is too slow a few times in a row.
const PROOF_PATIENCE: Duration = Duration::from_secs(10);

impl<M: StateMachine> Shared<M> {
    /// Makes the state as fresh as `ask` wants it. Those who wait at the same time share one request.
    pub(crate) async fn refresh(&self, ask: Ask) -> Result<()> {
        self.failure.check()?;
        if self.probes.satisfied(&ask, self.env.monotonic()) {
            return Ok(());
        }
        let _running = self.probes.running.lock().await;
        if self.probes.satisfied(&ask, self.env.monotonic()) {
            return self.failure.check();
        }
        if let Some(outcome) = self.probes.outcome(&ask) {
            return outcome;
        }
        self.probe().await
    }

    /// As a strict [`refresh`](Self::refresh), without waiting for anybody: whoever holds up a probe, by not polling
    /// what it waits with, must not hold up the one that writes.
    pub(crate) async fn probe(&self) -> Result<()> {
        let sent = self.probes.about_to_send(self.now());
        let outcome = self.catch_up().await;
        self.probes.finished(sent, &outcome);
        outcome
    }

    /// Applies every record that the store has.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        let outcome = match self.names {
            SlotNames::Shared => self.catch_up_by_name().await,
            SlotNames::PerSession => self.catch_up_by_listing().await,
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(self.cannot_follow(error).await),
        }
    }

    /// Why the log cannot be followed any further; others are told as well, if it is broken.
    async fn cannot_follow(&self, error: LogError) -> LogError {
        let error = self.explain(error).await;
        self.raise_halt(&error).await;
        error
    }

    /// Applies the next records, up to `width`, as far as they exist, at one get each, all at once: for whoever waits for
    /// them and has no time for the answer that there is none behind them.
    pub(crate) async fn look_ahead(&self, width: u64) -> Result<()> {
        let (proof, next) = (self.window.proof(), self.seq().next());
        if !self.holds(&proof) {
            return self.catch_up().await;
        }
        let sent = self.probes.about_to_send(self.now());
        let fetched = self.fetch_ahead(next, width).await?;
        if !self.holds(&proof) {
            return self.catch_up().await;
        }
        let is_end = matches!(fetched.first(), Some((_, _, None)));
        let outcome =
            fetched.into_iter().map_while(|(seq, name, bytes)| bytes.map(|bytes| (seq, name, bytes))).try_for_each(
                |(seq, name, bytes)| self.decode(seq, &name, &bytes).and_then(|stored| self.apply(stored)).map(|_| ()),
            );
        if let Err(error) = outcome {
            return Err(self.cannot_follow(error).await);
        }
        // A reader may have found more meanwhile: then this answer is old.
        if is_end && self.seq().next() == next {
            self.window.proved(sent.at);
            self.probes.proved_fresh(sent);
        }
        Ok(())
    }

    /// What the store has at `width` positions from `first` on.
    async fn fetch_ahead(&self, first: Seq, width: u64) -> Result<Vec<(Seq, String, Option<Bytes>)>> {
        let ahead = (first.0..first.0.saturating_add(width)).map(|seq| async move {
            let name = Layout::slot_name(Seq(seq));
            self.fetch(&name).await.map(|bytes| (Seq(seq), name, bytes))
        });
        future::try_join_all(ahead).await
    }

    /// Asks for the next record, once more for the next one, and then for twice as many each time that all were there:
    /// most often there is one, and what was asked for behind the end was in vain. Outside the window no answer is
    /// believed: neither that nothing is there, nor what is.
    async fn catch_up_by_name(&self) -> Result<()> {
        let mut width = 1;
        let mut found_all = false;
        let mut hole_attempts = 0;
        let (mut proofs, begun) = (0, self.env.monotonic());
        let mut first = self.seq().next();
        loop {
            let proof = self.window.proof();
            let next = self.seq().next();
            if next > first {
                // Others go on appending while this reads: only a hole that stays is one.
                hole_attempts = 0;
            }
            first = next;
            if !self.holds(&proof) {
                self.prove_again(&mut proofs, begun).await?;
                continue;
            }
            let sent = self.probes.about_to_send(self.now());
            let mut hole = None;
            let mut found_behind_hole = false;
            let fetched = self.fetch_ahead(first, width).await?;
            if !self.holds(&proof) {
                continue;
            }
            for (seq, name, bytes) in fetched {
                match bytes {
                    Some(bytes) if hole.is_none() => {
                        self.apply(self.decode(seq, &name, &bytes)?)?;
                    }
                    Some(_) => found_behind_hole = true,
                    None => hole = hole.or(Some(name)),
                }
            }
            match hole {
                None => {
                    width = if found_all { (width * 2).min(MAX_WIDTH) } else { 1 };
                    found_all = true;
                }
                Some(_) if !found_behind_hole => {
                    self.window.proved(sent.at);
                    self.probes.proved_fresh(sent);
                    return Ok(());
                }
                Some(name) => {
                    hole_attempts += 1;
                    if hole_attempts == HOLE_ATTEMPTS {
                        let detail = "a later record exists".to_owned();
                        return Err(LogError::Missing { object: self.object(&name), detail });
                    }
                    reads::pause(&*self.env, hole_attempts).await;
                }
            }
        }
    }

    /// Finds out by a listing where the log ends; not for ever, on a store that is so slow that this is old news at once.
    async fn prove_again(&self, proofs: &mut u32, begun: Duration) -> Result<()> {
        *proofs += 1;
        if *proofs > MAX_PROOFS && self.env.monotonic().saturating_sub(begun) > PROOF_PATIENCE {
            let grace = self.applied.read().options.grace;
            let detail = format!("the store is too slow for a grace of {grace:?}");
            let subject = self.layout.log_prefix();
            return Err(DriverError::new(ErrorKind::Transient, Operation::List, subject, detail).into());
        }
        self.prove_by_listing().await
    }

    /// Lists from the last record on, which shows whether anybody else wrote into its position.
    async fn catch_up_by_listing(&self) -> Result<()> {
        let sent = self.probes.about_to_send(self.now());
        let (last_seq, last_name) = {
            let applied = self.applied.read();
            (applied.seq, applied.name.clone())
        };
        let names = self.list_from(last_seq).await?;
        let is_gone = names.first().is_some_and(|first| first.seq > last_seq);
        if is_gone && self.start_again().await? {
            self.probes.proved_fresh(sent);
            return Ok(());
        }
        self.check_continues(&names, last_seq, &last_name)?;
        self.replay(names.into_iter().skip(1).collect()).await?;
        self.window.proved(sent.at);
        self.probes.proved_fresh(sent);
        Ok(())
    }

    /// Checks that `names`, listed from the position of the last record on, begin with that record and go on from it.
    pub(crate) fn check_continues(&self, names: &[RecordName], last_seq: Seq, last_name: &str) -> Result<()> {
        self.check_names(names)?;
        match names.first() {
            Some(first) if first.seq == last_seq && first.name == last_name => Ok(()),
            Some(first) if first.seq == last_seq => Err(self.forked(last_seq, last_name, &first.name)),
            _ => Err(self.gone(last_name)),
        }
    }

    fn gone(&self, name: &str) -> LogError {
        let detail = "it was read before, and log records are never removed".to_owned();
        LogError::Missing { object: self.object(name), detail }
    }

    /// The records from `seq` on, by their names.
    pub(crate) async fn list_from(&self, seq: Seq) -> Result<Vec<RecordName>> {
        self.source().list_records(Some(seq)).await
    }

    /// The records at `seq`, by their names.
    async fn list_at(&self, seq: Seq) -> Result<Vec<RecordName>> {
        let mut names = Vec::new();
        reads::list(&*self.store, &*self.env, &self.object(&Layout::slot_name(seq)), None, |object| {
            names.extend(self.layout.parse_record(&object.key));
            ControlFlow::Continue(())
        })
        .await?;
        Ok(names)
    }

    /// Checks that names are of this log's kind.
    pub(crate) fn check_kinds(&self, names: &[RecordName]) -> Result<()> {
        match names.iter().find(|name| name.names != self.names) {
            None => Ok(()),
            Some(name) => {
                let detail = "it is named as in a log of another kind".to_owned();
                Err(LogError::Damaged { object: self.object(&name.name), detail })
            }
        }
    }

    /// Checks that names in ascending order are one for each position, without a gap, and of this log's kind.
    pub(crate) fn check_names(&self, names: &[RecordName]) -> Result<()> {
        self.check_kinds(names)?;
        for (first, second) in names.iter().zip(names.iter().skip(1)) {
            if first.seq == second.seq {
                return Err(self.forked(first.seq, &first.name, &second.name));
            }
            if second.seq != first.seq.next() {
                let object = self.object(&Layout::slot_name(first.seq.next()));
                let detail = format!("there is a record at position {} behind it", second.seq);
                return Err(LogError::Missing { object, detail });
            }
        }
        Ok(())
    }

    pub(crate) fn forked(&self, seq: Seq, first: &str, second: &str) -> LogError {
        LogError::Forked { seq, first: self.object(first), second: self.object(second) }
    }

    /// Applies the named records, which follow the last one applied.
    pub(crate) async fn replay(&self, names: Vec<RecordName>) -> Result<()> {
        self.replay_from(self.source(), names).await
    }

    pub(crate) async fn replay_from(&self, source: Source<'_>, names: Vec<RecordName>) -> Result<()> {
        let mut fetched = pin!(source.records(names, self.group_base(), &self.checksums));
        while let Some(group) = fetched.try_next().await? {
            group.into_iter().try_for_each(|stored| self.apply(stored).map(|_| ()))?;
        }
        Ok(())
    }

    /// From where on records are counted into groups that travel together.
    pub(crate) fn group_base(&self) -> Seq {
        self.applied.read().upkeep.checkpoint.as_ref().map_or(Seq::FIRST, |checkpoint| checkpoint.seq)
    }

    /// The record at `seq`, from memory if it is recent; `None` if the log does not reach so far.
    ///
    /// # Errors
    /// [`LogError::BelowFloor`] if the position was given up.
    pub(crate) async fn record(&self, seq: Seq) -> Result<Option<Arc<Record>>> {
        if seq < Seq::FIRST || seq > self.seq() {
            return Ok(None);
        }
        loop {
            self.check_floor(seq)?;
            if let Some(record) = self.recent.lock().get(seq) {
                return Ok(Some(record));
            }
            let fetched = self.fetch_record(seq).await;
            if self.is_window_open() {
                // It may have been given up while it was on its way.
                self.check_floor(seq)?;
                return fetched.map(Some);
            }
            // The floor may have passed the position long ago, and anything may be there.
            self.catch_up().await?;
        }
    }

    /// # Errors
    /// If the position was given up (H22).
    fn check_floor(&self, seq: Seq) -> Result<()> {
        let applied = self.applied.read();
        let floor = applied.floor;
        if seq < floor && !applied.upkeep.spares(seq) && !is_planted(PlantedBug::ReadBelowFloor) {
            return Err(LogError::BelowFloor { seq, floor });
        }
        Ok(())
    }

    async fn fetch_record(&self, seq: Seq) -> Result<Arc<Record>> {
        Ok(Arc::new(self.fetch_own_object(seq).await?.record))
    }

    /// The record at a position that was applied, from its own object.
    pub(crate) async fn fetch_own_object(&self, seq: Seq) -> Result<crate::replay::Stored> {
        let name = match self.names {
            SlotNames::Shared => Layout::slot_name(seq),
            SlotNames::PerSession => {
                let names = self.list_at(seq).await?;
                self.check_names(&names).inspect_err(|error| self.failure.note(error))?;
                match names.into_iter().next() {
                    Some(name) => name.name,
                    None => return Err(self.gone(&Layout::slot_name(seq))),
                }
            }
        };
        match self.fetch(&name).await? {
            Some(bytes) if seq == Seq::FIRST => {
                let (record, _) = crate::format::decode_genesis(&bytes, &name)
                    .map_err(|error| LogError::of_format(self.object(&name), error))?;
                let hash = crate::format::chain_hash(&bytes);
                Ok(crate::replay::Stored { record, hash, name, bytes })
            }
            Some(bytes) => self.decode(seq, &name, &bytes),
            None => Err(self.gone(&name)),
        }
    }

    /// The bytes of an object named relative to the database; `None` if there is none. Passing faults are tried again.
    pub(crate) async fn fetch(&self, name: &str) -> Result<Option<Bytes>> {
        self.source().fetch(name).await
    }
}
