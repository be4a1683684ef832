mod blob_check;
mod index_check;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use bucketdb_documents::{Documents, KeyRange, TableId};
use bucketdb_log::codec::Malformed;
use bucketdb_log::{ChainHash, Freshness, LogError, Record, RecordKind, Seq, StateMachine, Stretch};
use bucketdb_lsm::Tier;
use bucketdb_runs::{Run, RunStore};
use futures::stream::{StreamExt, TryStreamExt};

use crate::moment::{Moment, Replayed};
use crate::origin::View;
use crate::retention::needed_by_names;
use crate::row_scan::RowScan;
use crate::{Database, Error, Result};

/// How far a verification has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyProgress {
    /// Records of the log: how many were read, and how many there are.
    Records(u64, u64),
    /// A sorted run was read whole: its name.
    Run(String),
    /// A checkpoint was compared with the replay of the log: the position that it covers.
    Checkpoint(Seq),
    /// A blob was read whole: its name.
    Blob(String),
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// How many records were read.
    pub records: u64,
    /// How many checkpoints.
    pub checkpoints: u64,
    /// How many sorted runs.
    pub runs: u64,
    /// How many bytes the runs have.
    pub run_bytes: u64,
    /// How many rows were compared with the replay of the log.
    pub compared_rows: u64,
    /// How many blobs that documents refer to were read.
    pub blobs: u64,
    /// How many bytes these have.
    pub blob_bytes: u64,
    /// What is wrong; empty if nothing is.
    pub findings: Vec<Finding>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What is wrong, with the object's name.
    pub what: String,
    /// What it costs, and how to get back.
    pub remedy: &'static str,
}

const HEAD_REMEDY: &str =
    "opening takes a listing more, and nothing is lost; the next checkpoint (`compact`) replaces it";
const RECORD_REMEDY: &str = "no process can follow the log past it; restore the object from a copy of the bucket (object \
     versions, a backup), or export what can still be read with a process that has the database open";
const NAMED_RECORD_REMEDY: &str = "a snapshot that has a name cannot be read, and nothing else is lost; restore the object \
     from a copy of the bucket, or drop the snapshot";
const MANIFEST_REMEDY: &str = "states of the past that begin there cannot be read; if it is the newest checkpoint, a \
     process that has the database open can make another one (`compact`)";
const RUN_REMEDY: &str = "the rows in the damaged blocks cannot be read, all others can: export the rest, or restore the \
     object from a copy of the bucket, or read an older state (`query --at`) that does not need it";
const REPLAY_REMEDY: &str = "the checkpoint says something else than the log; export from the older state (`query --at`) \
     and report it: this is a defect of the program";

const INDEX_REMEDY: &str = "queries that read by it may miss documents, and nothing is lost: drop the index and create it \
     again, and report it: this is a defect of the program";

impl Verification {
    /// Whether everything is as it was written.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, error: &Error, remedy: &'static str) {
        self.add_finding(error.to_string(), remedy);
    }

    fn add_finding(&mut self, what: String, remedy: &'static str) {
        self.findings.push(Finding { what, remedy });
    }
}

/// A checkpoint to be checked.
struct Checkpoint {
    covers: Seq,
    documents: Documents,
}

impl Database {
    /// Reads everything that the database needs and checks it: the chain of the log's records, every checkpoint with its
    /// runs, every checksum in them, each checkpoint against the replay of the log from the one before it, every index against
    /// its rows, and every blob that a document refers to at present against its hash.
    ///
    /// Damage does not end it; it is told in the end, object by object. Memory is bounded.
    ///
    /// # Errors
    /// If the store fails. What is damaged is a finding, not an error.
    pub async fn verify(&self, mut progress: impl FnMut(VerifyProgress) + Send) -> Result<Verification> {
        let mut verification = Verification::default();
        self.inner.log.refresh(Freshness::Strict).await?;
        match self.inner.log.check_head().await {
            Err(LogError::Driver(error)) => return Err(error.into()),
            Err(error) => verification.add(&error.into(), HEAD_REMEDY),
            Ok(()) => {}
        }
        self.verify_records(&mut verification, &mut progress).await?;
        let checkpoints = self.verify_checkpoints(&mut verification, &mut progress).await?;
        self.verify_replay(checkpoints, &mut verification, &mut progress).await?;
        self.verify_blobs(&mut verification, &mut progress).await?;
        Ok(verification)
    }

    async fn verify_records(
        &self,
        verification: &mut Verification,
        progress: &mut (impl FnMut(VerifyProgress) + Send),
    ) -> Result<()> {
        let log = &self.inner.log;
        let above = Stretch { first: log.floor().max(Seq::FIRST), last: log.position() };
        let spared = log.spared();
        let all = || spared.iter().map(|stretch| (stretch, NAMED_RECORD_REMEDY)).chain([(&above, RECORD_REMEDY)]);
        let count: u64 = all().map(|(stretch, _)| stretch.last.0 + 1 - stretch.first.0).sum();
        for (stretch, remedy) in all() {
            let mut chain = std::pin::pin!(log.check_records(stretch.first, stretch.last));
            while let Some(checked) = chain.next().await {
                match checked {
                    Ok(()) => verification.records += 1,
                    Err(LogError::Driver(error)) => return Err(error.into()),
                    Err(error) => verification.add(&error.into(), remedy),
                }
                progress(VerifyProgress::Records(verification.records, count));
            }
        }
        Ok(())
    }

    async fn verify_checkpoints(
        &self,
        verification: &mut Verification,
        progress: &mut (impl FnMut(VerifyProgress) + Send),
    ) -> Result<Vec<Checkpoint>> {
        let inner = &self.inner;
        let base = inner.log.read(|documents, _| documents.base().clone())?;
        let retained = base.retained.iter().map(|kept| (kept.covers, kept.manifest.clone(), ChainHash(kept.hash)));
        let last = inner.log.last_checkpoint().map(|last| (last.covers, last.manifest, last.manifest_hash));
        let mut checkpoints = Vec::new();
        let mut checked = std::collections::BTreeSet::new();
        let store = inner.runs();
        for (covers, manifest, hash) in retained.chain(last) {
            let mut documents = Documents::over_runs(inner.store_for.clone());
            documents.begin(inner.log.database());
            if manifest.is_empty() {
                // Before the first checkpoint: the log from its beginning.
                checkpoints.push(Checkpoint { covers, documents });
                continue;
            }
            verification.checkpoints += 1;
            let damaged = |malformed: Malformed| {
                let object = format!("{}{manifest}", inner.log.layout().prefix());
                Error::from(LogError::Damaged { object, detail: malformed.to_string() })
            };
            let loaded = match inner.log.manifest(&manifest, hash).await {
                Ok(saved) => documents.load(covers, saved).map_err(damaged),
                Err(LogError::Driver(error)) => return Err(error.into()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = loaded {
                verification.add(&error, MANIFEST_REMEDY);
                continue;
            }
            let mut is_whole = true;
            for run in documents.base().tree.runs() {
                let name = run.meta().name.to_string();
                if !checked.insert(name.clone()) {
                    continue;
                }
                is_whole &= self.verify_run(&store, run, verification).await?;
                progress(VerifyProgress::Run(name));
            }
            if is_whole {
                checkpoints.push(Checkpoint { covers, documents });
            }
        }
        // Bulk loads that no checkpoint covers yet.
        let loaded: Vec<Run> = inner.log.read(|documents, _| {
            let tiers = documents.ingests().flat_map(|(_, tiers)| tiers);
            tiers.flat_map(Tier::runs).map(|run| run.run().clone()).collect()
        })?;
        for run in loaded {
            let name = run.meta().name.to_string();
            if checked.insert(name.clone()) {
                self.verify_run(&store, &run, verification).await?;
                progress(VerifyProgress::Run(name));
            }
        }
        Ok(checkpoints)
    }

    /// Whether a run is as it was written.
    async fn verify_run(&self, store: &RunStore, run: &Run, verification: &mut Verification) -> Result<bool> {
        match store.verify(run.meta()).await {
            Ok(report) => {
                verification.runs += 1;
                verification.run_bytes += report.size_bytes;
                Ok(true)
            }
            Err(error) if error.is_retryable() => Err(error.into()),
            Err(error) => {
                verification.add(&error.into(), RUN_REMEDY);
                Ok(false)
            }
        }
    }

    /// Replays the log from each checkpoint to the next, and compares.
    async fn verify_replay(
        &self,
        checkpoints: Vec<Checkpoint>,
        verification: &mut Verification,
        progress: &mut (impl FnMut(VerifyProgress) + Send),
    ) -> Result<()> {
        let (oldest, names_need) = self.inner.log.read(|documents, _| {
            let base = documents.base();
            let (pinned, kept) = base.retained.split_at(base.pinned.min(base.retained.len()));
            let oldest = kept.first().map_or(base.covers, |oldest| oldest.covers);
            let named: Vec<Seq> = documents.catalogue().kept_positions().collect();
            let needed = needed_by_names(pinned, oldest, &named);
            (oldest, needed.map(|(checkpoint, records)| (checkpoint.covers, records.last)).collect())
        })?;
        let (named, checkpoints): (Vec<_>, Vec<_>) = checkpoints.into_iter().partition(|it| it.covers < oldest);
        self.verify_named(named, names_need, verification).await?;
        let mut checkpoints = checkpoints.into_iter();
        let Some(mut earlier) = checkpoints.next() else { return Ok(()) };
        for next in checkpoints {
            match self.replay(&mut earlier, next.covers).await {
                Ok(()) => {
                    let next_covers = next.covers;
                    let documents = next.documents.clone();
                    let stored = Checkpoint { covers: next_covers, documents };
                    match self.compare(earlier, stored, verification).await {
                        Ok(()) => {}
                        Err(Error::Log(LogError::Driver(error))) => return Err(error.into()),
                        // A run that was bulk-loaded between the two.
                        Err(error) => verification.add(&error, RUN_REMEDY),
                    }
                    progress(VerifyProgress::Checkpoint(next_covers));
                }
                Err(Error::Log(LogError::Driver(error))) => return Err(error.into()),
                // It was found before.
                Err(_) => {}
            }
            earlier = next;
        }
        Ok(())
    }

    /// Replays the log from each checkpoint that is kept for names to the last of these, which it tells by what the checkpoint
    /// covers, and reads what was bulk-loaded in between.
    async fn verify_named(
        &self,
        checkpoints: Vec<Checkpoint>,
        last_names: BTreeMap<Seq, Seq>,
        verification: &mut Verification,
    ) -> Result<()> {
        let store = self.inner.runs();
        for mut checkpoint in checkpoints {
            let Some(last) = last_names.get(&checkpoint.covers) else { continue };
            match self.replay(&mut checkpoint, *last).await {
                Ok(()) => {}
                Err(Error::Log(LogError::Driver(error))) => return Err(error.into()),
                // It was found before.
                Err(_) => continue,
            }
            let runs = checkpoint.documents.ingests().flat_map(|(_, tiers)| tiers).flat_map(Tier::runs);
            for run in runs.map(|run| run.run().clone()).collect::<Vec<Run>>() {
                self.verify_run(&store, &run, verification).await?;
            }
        }
        Ok(())
    }

    async fn replay(&self, from: &mut Checkpoint, up_to: Seq) -> Result<()> {
        let inner = &self.inner;
        let records =
            futures::stream::iter((from.covers.next().0..=up_to.0).map(|seq| inner.existing_record(Seq(seq))));
        let mut records = std::pin::pin!(records.buffered(32));
        while let Some(record) = records.try_next().await? {
            let record: Arc<Record> = record;
            if matches!(record.kind, RecordKind::Transactions | RecordKind::Schema | RecordKind::Ingest) {
                from.documents.apply(&record).map_err(|malformed| inner.damaged(record.seq, malformed))?;
            }
        }
        Ok(())
    }

    async fn compare(&self, replayed: Checkpoint, stored: Checkpoint, verification: &mut Verification) -> Result<()> {
        let covers = stored.covers;
        let differs = |what: String| Finding { what, remedy: REPLAY_REMEDY };
        let tables = |documents: &Documents| -> Vec<_> {
            documents
                .catalogue()
                .tables()
                .map(|entry| (entry.id, entry.versions().to_vec(), entry.migrated()))
                .collect()
        };
        if tables(&replayed.documents) != tables(&stored.documents) {
            let what = format!("the tables of the checkpoint at position {covers} are not those of the log");
            verification.findings.push(differs(what));
            return Ok(());
        }
        let mut names: Vec<_> =
            stored.documents.catalogue().tables().map(|entry| (entry.id, entry.schema().table().to_owned())).collect();
        names.push((TableId::BLOBS, "of blobs".to_owned()));
        // What had ended by then may be missing in the checkpoint.
        let ended_ms = stored.documents.base().ended_ms;
        let moment = |documents| {
            Moment::Replayed(Arc::new(Replayed { seq: covers, time_ms: ended_ms, documents, inner: Weak::new() }))
        };
        let (replayed, stored) = (moment(replayed.documents), moment(stored.documents));
        for (table, name) in names {
            let scan = |moment: &Moment| {
                RowScan::live(View { moment: moment.clone(), transaction: None }, KeyRange::all(table))
            };
            let (mut first, mut second) = (scan(&replayed)?, scan(&stored)?);
            loop {
                let (expected, found) = (first.next().await?, second.next().await?);
                if expected != found {
                    let key = expected.or(found).map(|row| row.key.to_string()).unwrap_or_default();
                    let what = format!(
                        "the document with key {key} of table {name} in the checkpoint at position {covers} is not as \
                         the log has it"
                    );
                    verification.findings.push(differs(what));
                    break;
                }
                if expected.is_none() {
                    break;
                }
                verification.compared_rows += 1;
            }
            let indexes = stored.read(|documents, _| {
                let entry = documents.catalogue().table(table);
                entry.map(|entry| (entry.layouts(), entry.ttl().cloned(), entry.indexes().to_vec()))
            })?;
            let Some((layouts, ttl, indexes)) = indexes.filter(|(_, _, indexes)| !indexes.is_empty()) else { continue };
            let wrong = index_check::wrong_indexes(&stored, (table, ttl), &layouts, &indexes).await?;
            for fields in wrong {
                let what = format!(
                    "the index of table {name} on {fields} in the checkpoint at position {covers} is not what its rows say"
                );
                verification.findings.push(Finding { what, remedy: INDEX_REMEDY });
            }
        }
        Ok(())
    }
}
