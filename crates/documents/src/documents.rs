mod endings;
mod indexes;
mod unique;
mod validation;

use std::fmt;
use std::sync::Arc;

use bucketdb_log::codec::{self, Malformed, Reader};
use bucketdb_log::planted::{PlantedBug, is_planted};
use bucketdb_log::{DatabaseId, Record, RecordKind, Seq, StateMachine, Validated};
use bucketdb_lsm::{Tier, TierRun, Totals};
use bucketdb_runs::RunStore;
use bytes::Bytes;

use crate::NamedPosition;
use crate::epoch::{Epoch, Ingest};
use crate::overlay::{Leftover, Overlay, Replaced};
use crate::recent_writes::RecentWrites;
use crate::{
    Base, Before, Catalogue, ChangeKind, EncodedKey, Group, Loaded, Lookup, Refusal, RunLookup, Scan, TableId,
    Transaction, WrittenRow, run_key,
};

pub use endings::MOST_SKEW_MS;
pub use indexes::{IndexExtent, IndexPage, IndexState, has_any};
pub use unique::Claim;
pub use validation::{Proposal, Write};

/// Opens the runs of a database, once its id is known.
pub type RunStoreFor = Arc<dyn Fn(DatabaseId) -> RunStore + Send + Sync>;

/// The state of a database: its catalogue, the runs that hold the rows of its last checkpoint, and in memory whatever was
/// written since.
#[derive(Clone, Default)]
pub struct Documents {
    store_for: Option<RunStoreFor>,
    store: Option<RunStore>,
    catalogue: Catalogue,
    present: Epoch,
    /// Earlier bases with what was written on them, oldest first, for those who still read there.
    earlier: Vec<Epoch>,
    /// What nobody reads any more, until somebody has the time to free it.
    leftovers: Vec<Leftover>,
    recent: RecentWrites,
    /// The time in the last record, in milliseconds since 1970, as far as it brought changes.
    time_ms: u64,
    /// The last record that changed which field says when documents end: what was read before it counts no more.
    ttls_since: Seq,
}

/// So much that waits to be freed is held at most.
const MOST_LEFTOVERS: usize = 2;

/// How much a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// How many documents.
    pub documents: u64,
    /// How many bytes their keys and rows take, uncompressed.
    pub size_bytes: u64,
    /// Whether that is exact. It is not while rows are in several tiers of runs, or in runs and in memory: of a row that
    /// was written again, the older version counts too until it is merged away.
    pub is_exact: bool,
}

impl TableStats {
    /// Whether the table has no document for sure.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size_bytes == 0
    }
}

/// Rows that were written behind a base, and the base.
#[derive(Clone, Debug)]
pub struct ScanPage {
    /// The rows, in order.
    pub rows: Vec<WrittenRow>,
    /// What has the rest.
    pub base: Arc<Base>,
    /// Bulk-loaded runs behind the base, newest first.
    pub ingests: Vec<Tier>,
}

impl Documents {
    /// The tables.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Of a database whose rows may be in runs.
    #[must_use]
    pub fn over_runs(store_for: RunStoreFor) -> Self {
        // Also before the first checkpoint: the one to come may bring a row that was deleted meanwhile.
        let present = Epoch { overlay: Overlay::over_runs(), ..Epoch::default() };
        Self { store_for: Some(store_for), present, ..Self::default() }
    }

    /// The newest row of a key.
    #[must_use]
    pub fn newest(&self, table: TableId, key: &EncodedKey) -> Lookup {
        self.present.lookup(table, key, Seq(u64::MAX))
    }

    /// The row of a key as of a position that is pinned.
    #[must_use]
    pub fn at(&self, table: TableId, key: &EncodedKey, at: Seq) -> Lookup {
        self.epoch(at).map_or(Lookup::Expired, |epoch| epoch.lookup(table, key, at))
    }

    /// Rows in ascending order of their keys, as of a position that is pinned. `None` if it is not kept any more.
    #[must_use]
    pub fn scan(&self, scan: &Scan) -> Option<ScanPage> {
        let epoch = self.epoch(scan.at)?;
        let (base, ingests) = (epoch.base.clone(), epoch.ingests_at(scan.at));
        Some(ScanPage { rows: epoch.overlay.scan(scan), base, ingests })
    }

    /// What is needed to read at a position.
    fn epoch(&self, at: Seq) -> Option<&Epoch> {
        std::iter::once(&self.present).chain(self.earlier.iter().rev()).find(|epoch| epoch.base.covers <= at)
    }

    /// How much a table holds.
    #[must_use]
    pub fn stats(&self, table: TableId) -> TableStats {
        let Epoch { base, ingests, overlay, .. } = &self.present;
        let (live, live_bytes, deleted) = overlay.size(table);
        // Nothing is below what was deleted in memory.
        let deleted = if self.present.is_in_memory() { 0 } else { deleted };
        let tiers = ingests.iter().flat_map(|ingest| &ingest.tiers).chain(base.tree.tiers());
        let totals = tiers.map(|tier| tier.totals(run_key::group(table)));
        let held: Vec<Totals> = totals.filter(|totals| *totals != Totals::default()).collect();
        let size_bytes = live_bytes + held.iter().map(|totals| totals.row_bytes).sum::<u64>();
        match held.as_slice() {
            // What is deleted was here as well.
            [] => TableStats { documents: live, size_bytes, is_exact: true },
            // Every row is in one place. While tiers are merged, some are in two.
            [only] if (live, deleted, only.deletions) == (0, 0, 0) && base.tree.merging().is_none() => {
                TableStats { documents: only.rows, size_bytes, is_exact: true }
            }
            several => {
                let (rows, deletions) = several.iter().fold((live, deleted), |(rows, deletions), totals| {
                    (rows + totals.rows, deletions + totals.deletions)
                });
                TableStats { documents: rows.saturating_sub(deletions), size_bytes, is_exact: false }
            }
        }
    }

    /// Whether a row may be in runs.
    #[must_use]
    pub fn has_runs(&self) -> bool {
        !self.present.is_in_memory()
    }

    /// The rows of the last checkpoint.
    #[must_use]
    pub fn base(&self) -> &Arc<Base> {
        &self.present.base
    }

    /// Whether an object is needed to read the present state, one of the past that is kept, or for somebody who reads here.
    #[must_use]
    pub fn refers_to(&self, name: &str) -> bool {
        std::iter::once(&self.present).chain(&self.earlier).any(|epoch| epoch.refers_to(name))
    }

    /// Whether an object is needed to read the present state, or one of the past that is kept.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        self.present.refers_to(name)
    }

    /// Bulk-loaded runs behind the last checkpoint, oldest first, with the positions at which they joined.
    pub fn ingests(&self) -> impl Iterator<Item = (Seq, &[Tier])> {
        self.present.ingests.iter().map(|ingest| (ingest.seq, ingest.tiers.as_slice()))
    }

    /// The tables of which something was written since the last checkpoint, in order.
    #[must_use]
    pub fn written_tables(&self) -> Vec<TableId> {
        self.present.overlay.tables().collect()
    }

    /// What was written since the last checkpoint takes in memory, about.
    #[must_use]
    pub fn overlay_bytes(&self) -> usize {
        self.present.overlay.size_bytes()
    }

    /// What all that is in memory takes, about: what was written since the last checkpoint, what is kept for those who read
    /// earlier positions, and what is remembered of recent writes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let earlier: usize = self.earlier.iter().map(|epoch| epoch.overlay.size_bytes()).sum();
        self.overlay_bytes() + earlier + self.recent.size_bytes()
    }

    /// Forgets earlier bases, oldest first, until what is kept for those who read there takes no more than `most_bytes`;
    /// they are told that what they read is not kept any more.
    pub fn limit_earlier(&mut self, most_bytes: usize) {
        let mut kept_bytes: usize = self.earlier.iter().map(|epoch| epoch.overlay.size_bytes()).sum();
        while kept_bytes > most_bytes && !self.earlier.is_empty() {
            let oldest = self.earlier.remove(0);
            kept_bytes -= oldest.overlay.size_bytes();
            self.leave(oldest.overlay.into_leftover());
        }
    }

    /// What a checkpoint has taken the place of, to be freed where nobody waits. Whoever follows a log calls it now and then.
    #[must_use]
    pub fn take_leftovers(&mut self) -> Vec<Leftover> {
        std::mem::take(&mut self.leftovers)
    }

    /// Whether there is something to [take](Self::take_leftovers).
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        !self.leftovers.is_empty()
    }

    fn leave(&mut self, leftover: Leftover) {
        if leftover.is_small() {
            return;
        }
        if self.leftovers.len() == MOST_LEFTOVERS {
            // Nobody frees any: memory is worth more than the time.
            self.leftovers.clear();
        }
        self.leftovers.push(leftover);
    }

    /// Keeps what is visible at `seq`, which is the present position, until it is unpinned as often.
    pub fn pin(&mut self, seq: Seq) {
        self.present.overlay.pin(seq);
    }

    /// Ends one [`pin`](Self::pin).
    pub fn unpin(&mut self, seq: Seq) {
        if seq >= self.present.base.covers {
            self.present.overlay.unpin(seq);
            return;
        }
        if let Some(epoch) = self.earlier.iter_mut().rev().find(|epoch| epoch.base.covers <= seq) {
            epoch.overlay.unpin(seq);
        }
        let left: Vec<Epoch> = self.earlier.extract_if(.., |epoch| !epoch.overlay.is_pinned()).collect();
        left.into_iter().for_each(|epoch| self.leave(epoch.overlay.into_leftover()));
    }

    /// What the row of a change was before it: the change at `place`, from 0, of the record at `seq`.
    #[must_use]
    pub fn before(&self, seq: Seq, place: usize) -> Before {
        self.recent.before(seq, place)
    }

    /// Where to look for what a row was before the record at `seq` wrote it, which found it in no memory. `None` if the
    /// runs of that time are not at hand.
    #[must_use]
    pub fn lookup_before(&self, table: TableId, key: &EncodedKey, seq: Seq) -> Option<RunLookup> {
        let epoch = Some(&self.present).filter(|epoch| epoch.base.covers < seq)?;
        let ingests = epoch.ingests_at(seq);
        Some(RunLookup { key: run_key::encode(table, key), known: None, ingests, base: epoch.base.clone() })
    }

    /// What a record of a bulk load brought; nothing if the load was given up.
    ///
    /// # Errors
    /// If the record does not decode.
    pub fn loaded(&self, record: &Record) -> Result<Loaded, Malformed> {
        let payload = record.ingest()?.payload;
        if payload.is_empty() { Ok(Loaded::default()) } else { Loaded::decode(record.seq, payload, self.store()?) }
    }

    /// Whether a bulk load of runs may replace rows that are there now, if it does not make sure that there are none.
    fn may_replace<'a>(&self, mut runs: impl Iterator<Item = &'a TierRun>) -> bool {
        runs.any(|run| {
            let (first, last) = (run_key::table(&run.meta().first_key), run_key::table(&run.meta().last_key));
            first != last || first.is_none_or(|table| !self.stats(table).is_empty())
        })
    }

    /// What a manifest says of the state: the tables, and `base`, which holds the rows. Each with its size before it.
    #[must_use]
    pub fn save(catalogue: &Catalogue, base: &Base) -> Bytes {
        let mut saved = Vec::new();
        codec::put_bytes(&mut saved, &catalogue.encode());
        codec::put_bytes(&mut saved, &base.encode());
        saved.into()
    }

    fn store(&self) -> Result<&RunStore, Malformed> {
        self.store.as_ref().ok_or(Malformed("rows are in runs, and this state cannot read any"))
    }
}

impl StateMachine for Documents {
    type Proposal = Proposal;
    type Refusal = Refusal;
    type Group = Group;

    const MAKES_CHECKPOINTS: bool = true;

    fn validate(&self, group: &mut Group, proposal: &Proposal) -> Result<Validated, Refusal> {
        self.validate_proposal(group, proposal)
    }

    fn apply(&mut self, record: &Record) -> Result<(), Malformed> {
        let payload = || record.entries.first().map(|entry| entry.payload.clone()).unwrap_or_default();
        self.time_ms = record.time.unix_ms();
        match record.kind {
            RecordKind::Schema => return self.apply_schema(record.seq, payload()),
            RecordKind::Ingest => return self.apply_ingest(record.seq, record.ingest()?.payload),
            _ => {}
        }
        let transactions: Vec<Transaction> =
            record.entries.iter().map(|entry| Transaction::decode(entry.payload.clone())).collect::<Result<_, _>>()?;
        self.recent.begin(record.seq, transactions.iter().map(|transaction| transaction.changes.len()).sum());
        let last_ingest = self.present.last_ingest();
        let unknown = if self.present.is_in_memory() { Before::Absent } else { Before::InRuns };
        for change in transactions.into_iter().flat_map(|transaction| transaction.changes) {
            let row = match change.kind {
                ChangeKind::Put(row) => Some(row),
                ChangeKind::Delete => None,
            };
            let table = self.catalogue.table(change.table).filter(|table| !table.indexes().is_empty());
            let written = row.clone();
            let replaced = self.present.overlay.write(change.table, &change.key, row, record.seq);
            match (table, written) {
                (Some(table), Some(row)) => {
                    for claim in self.present.overlay.index_row(table, &row, record.seq, &replaced) {
                        self.recent.claim(claim);
                    }
                }
                (Some(table), None) => self.present.overlay.doubt_earlier(table, record.seq, &replaced),
                (None, _) => {}
            }
            let Replaced { key, version } = replaced;
            let before = match version {
                None => unknown.clone(),
                // A bulk load behind it may have replaced it.
                Some(version) if last_ingest.is_some_and(|ingest| ingest > version.seq) => Before::Unknown,
                Some(version) => version.row.map_or(Before::Absent, Before::Row),
            };
            self.recent.push(change.table, key, before);
        }
        Ok(())
    }

    fn begin(&mut self, database: DatabaseId) {
        self.store = self.store_for.as_ref().map(|store_for| store_for(database));
    }

    fn begin_behind(&mut self, genesis: Seq) {
        // There is nothing up to there, and nothing before it can be read.
        self.present.base = Arc::new(Base { covers: genesis, ..Base::default() });
    }

    fn begin_branch(&mut self, _: Seq) {
        self.catalogue.begin_branch();
        let base = Base { retained: Vec::new(), pinned: 0, ..Base::clone(&self.present.base) };
        self.present.base = Arc::new(base);
    }

    fn checkpoints_from(&self) -> Seq {
        self.catalogue.branches().iter().map(|(_, pin)| pin.since).max().unwrap_or_default()
    }

    fn branches(&self) -> Vec<String> {
        self.catalogue.branches().iter().map(|(name, _)| name.to_owned()).collect()
    }

    fn fresh(&self) -> Option<Self> {
        // Handles on tables that were opened over this state read the rows of that one.
        self.store_for.clone().map(|store_for| Self { catalogue: self.catalogue.fresh(), ..Self::over_runs(store_for) })
    }

    fn load(&mut self, covers: Seq, saved: Bytes) -> Result<(), Malformed> {
        let mut reader = Reader::new(saved);
        self.catalogue = self.catalogue.decode(reader.bytes()?)?;
        let base = Base::decode(covers, reader.bytes()?, self.store()?)?;
        reader.finish()?;
        self.time_ms = base.time_ms;
        self.present = Epoch { base, overlay: Overlay::over_runs(), ..Epoch::default() };
        self.recent.forget_up_to(covers);
        Ok(())
    }

    fn rebase(&mut self, covers: Seq, base: Bytes) -> Result<(), Malformed> {
        if covers <= self.present.base.covers {
            // What was loaded is that checkpoint, or a later one.
            return Ok(());
        }
        let base = Base::decode(covers, base, self.store()?)?;
        let (later, leftover) = self.present.overlay.split_off(covers);
        self.leave(leftover);
        let ingests = self.present.ingests.iter().filter(|ingest| ingest.seq > covers).cloned().collect();
        let next = Epoch { base, ingests, overlay: later, last_index: 0 };
        let mut earlier = std::mem::replace(&mut self.present, next);
        earlier.last_index = self.catalogue.last_index();
        if earlier.overlay.is_pinned() {
            self.earlier.push(earlier);
        }
        Ok(())
    }
}

impl Documents {
    fn apply_schema(&mut self, seq: Seq, payload: Bytes) -> Result<(), Malformed> {
        let before = self.catalogue.ttls_hash();
        let covers = self.present.base.covers;
        let added = self.catalogue.apply_at(payload, NamedPosition { seq, time_ms: self.time_ms }, covers)?;
        if before != self.catalogue.ttls_hash() {
            // What was there may be gone, and what was gone may be there.
            self.ttls_since = seq;
            self.recent.forget_up_to(seq);
        }
        for (table, index) in added {
            if let Some(table) = self.catalogue.table(table) {
                self.present.overlay.index_rows(table, &index);
            }
        }
        Ok(())
    }

    fn apply_ingest(&mut self, seq: Seq, payload: Bytes) -> Result<(), Malformed> {
        if payload.is_empty() {
            // It was given up.
            return Ok(());
        }
        let tiers = Loaded::decode(seq, payload, self.store()?)?.into_tiers();
        self.present.ingests.push(Ingest { seq, tiers });
        self.present.overlay.set_over_runs();
        // Which keys it wrote is not known here: whoever read before has to read again.
        if !is_planted(PlantedBug::LoadUnnoticed) {
            self.recent.forget_up_to(seq);
        }
        Ok(())
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Documents")
            .field("catalogue", &self.catalogue)
            .field("base", &self.present.base.covers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
