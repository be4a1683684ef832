//! Finding the newest checkpoint, and with it the point where reading the log begins.

use std::ops::ControlFlow;
use std::pin::pin;

use bytes::Bytes;
use futures::future;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::branch::BranchRecord;
use crate::checkpoint_record::CheckpointRecord;
use crate::codec::Malformed;
use crate::format::{self, Checksums};
use crate::head::Head;
use crate::layout::{ObjectKind, RecordName};
use crate::manifest::Manifest;
use crate::planted::{PlantedBug, is_planted};
use crate::prove::newest_run;
use crate::replay::Stored;
use crate::source::{MAX_FETCH_AHEAD, RECORDS_PER_GROUP, Source, groups};
use crate::upkeep::CheckpointRef;
use crate::{ChainHash, DatabaseId, Layout, LogError, Record, RecordKind, Result, Seq, reads};

/// The most records between what a checkpoint covers and its record that are read on the word of `head`.
const MAX_RECORDS_IN_HEAD: u64 = 65_536;

/// A checkpoint and what is behind it. The state, the records up to that of the checkpoint, and the hashes that bind
/// them together were checked.
pub(crate) struct Start {
    pub(crate) database: DatabaseId,
    pub(crate) checkpoint: CheckpointRef,
    pub(crate) manifest: Manifest,
    /// Behind what the manifest covers, up to the record of the checkpoint.
    pub(crate) records: Vec<Stored>,
    /// Behind that record, up to the end of the log.
    pub(crate) tail: Vec<RecordName>,
}

/// A record that says with which checkpoint reading can begin.
struct FoundStart {
    name: RecordName,
    bytes: Bytes,
    /// Whether it is the first one of a branch, and not that of a checkpoint.
    is_branch: bool,
}

impl Source<'_> {
    /// The checkpoint that `head` names; `None` if that does not fit what is in the store: it is stale, or of another log
    /// (H4).
    ///
    /// That the record of the checkpoint is there shows that `head` is not stale beyond use; a listing shows what is
    /// behind it.
    pub(crate) async fn start_from_head(&self, head: &Head) -> Result<Option<Start>> {
        let checkpoint = &head.checkpoint;
        if checkpoint.seq.0 - checkpoint.covers.0 > MAX_RECORDS_IN_HEAD {
            return Ok(None);
        }
        let inline = match &head.manifest {
            none if none.is_empty() => None,
            bytes => self.read_manifest(checkpoint, Some(bytes.clone())).await.ok(),
        };
        // Small records are in groups that are counted from the checkpoint before.
        let before = inline.as_ref().map(|manifest| manifest.state.upkeep.checkpoint.as_ref());
        let base = before.map_or(checkpoint.covers, |before| before.map_or(Seq::FIRST, |before| before.seq));
        let checksums = Checksums::new(head.database);
        let manifest = async {
            match inline {
                Some(manifest) => Ok(manifest),
                None => self.read_manifest(checkpoint, None).await,
            }
        };
        let (manifest, records, names) = future::join3(
            manifest,
            self.read_covered(checkpoint, base, &checksums),
            self.list_records(Some(checkpoint.seq)),
        )
        .await;
        let (records, names) = (records?, names?);
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(error @ LogError::Driver(_)) => return Err(error),
            Err(_) => return Ok(None),
        };
        let is_whole = is_chain(&manifest, &records)
            && records.last().is_some_and(|last| last.record.seq == checkpoint.seq && last.hash == checkpoint.hash);
        let run = newest_run(&names);
        let (first, last) = (run.first().map(|name| name.seq), run.last().map(|name| name.seq));
        let is_continued = first.is_some_and(|first| first <= checkpoint.seq.next()) && last >= Some(checkpoint.seq);
        let fits = is_whole && is_continued && manifest.database == head.database;
        if !fits && !is_planted(PlantedBug::HeadWithoutCheck) {
            return Ok(None);
        }
        let tail = run.iter().filter(|name| fits && name.seq > checkpoint.seq).cloned().collect();
        let checkpoint = checkpoint.clone();
        Ok(Some(Start { database: head.database, checkpoint, manifest, records, tail }))
    }

    /// The records from behind what the checkpoint covers up to its own, as far as they are there and can be read.
    async fn read_covered(&self, checkpoint: &CheckpointRef, base: Seq, checksums: &Checksums) -> Result<Vec<Stored>> {
        let seqs = checkpoint.covers.next().0..=checkpoint.seq.0;
        let names = seqs.map(|seq| RecordName::shared(Seq(seq))).collect();
        let mut fetched = pin!(self.records(names, base, checksums));
        let mut records = Vec::new();
        loop {
            match fetched.try_next().await {
                Ok(Some(group)) => records.extend(group),
                Err(error @ LogError::Driver(_)) => return Err(error),
                Ok(None) | Err(_) => return Ok(records),
            }
        }
    }

    /// The newest checkpoint whose record is among those named, which follow one another and end where the log does.
    pub(crate) async fn start_from_run(&self, run: &[RecordName]) -> Result<Option<Start>> {
        let twice = |(first, second): &(&RecordName, &RecordName)| first.seq == second.seq;
        if let Some((first, second)) = run.iter().zip(run.iter().skip(1)).find(twice) {
            let (first, second, seq) = (self.object(&first.name), self.object(&second.name), first.seq);
            return Err(LogError::Forked { seq, first, second });
        }
        let Some(found) = self.newest_checkpoint(run).await? else { return Ok(None) };
        let object = self.object(&found.name.name);
        let Some((record, database, checkpoint)) = self.decode_start(&found)? else { return Ok(None) };
        if record.seq != found.name.seq || Layout::parse_unique(&checkpoint.manifest) != Some(checkpoint.covers) {
            return Err(LogError::Damaged { object, detail: "it contradicts its name or itself".to_owned() });
        }
        let between = |name: &&RecordName| name.seq > checkpoint.covers && name.seq <= checkpoint.seq;
        let covered: Vec<RecordName> = run.iter().filter(between).cloned().collect();
        if covered.first().is_none_or(|first| first.seq != checkpoint.covers.next()) {
            // A newer one may have been spoilt.
            self.diagnose(run, Some(database)).await?;
            let missing = Layout::slot_name(Seq(run.first().map_or(0, |first| first.seq.0.saturating_sub(1))));
            let detail = format!("the checkpoint at position {} does not cover it", checkpoint.seq);
            return Err(self.missing(&missing, detail));
        }
        let checksums = Checksums::new(database);
        let (manifest, records) = future::join(
            self.read_manifest(&checkpoint, None),
            self.records(covered, checkpoint.covers, &checksums).try_concat(),
        )
        .await;
        let (manifest, records): (Manifest, Vec<Stored>) = (manifest?, records?);
        if manifest.database != database || !is_chain(&manifest, &records) {
            return Err(LogError::BrokenChain { object });
        }
        let tail = run.iter().filter(|name| name.seq > checkpoint.seq).cloned().collect();
        Ok(Some(Start { database, checkpoint, manifest, records, tail }))
    }

    /// The checkpoint that a record is about; `None` if it is the first one of a branch that begins with none.
    fn decode_start(&self, found: &FoundStart) -> Result<Option<(Record, DatabaseId, CheckpointRef)>> {
        let FoundStart { name: RecordName { seq, name, .. }, bytes, is_branch } = found;
        let of_format = |error| LogError::of_format(self.object(name), error);
        let malformed = |error: Malformed| LogError::Damaged { object: self.object(name), detail: error.to_string() };
        let (record, database, named) = if *is_branch {
            let (record, database) = format::decode_branch(bytes, name).map_err(of_format)?;
            let content = BranchRecord::decode(record.payload()).map_err(malformed)?;
            let Some(named) = content.manifest else { return Ok(None) };
            (record, database, named)
        } else {
            let (record, database) = format::decode_checkpoint(bytes, name).map_err(of_format)?;
            let content = CheckpointRecord::decode(record.payload()).map_err(malformed)?;
            (record, database, (content.covers, content.manifest, content.manifest_hash))
        };
        let (covers, manifest, manifest_hash) = named;
        let hash = format::chain_hash(bytes);
        Ok(Some((record, database, CheckpointRef { seq: *seq, hash, covers, manifest, manifest_hash })))
    }

    /// Looks from the end backwards, at twice as much each time.
    async fn newest_checkpoint(&self, run: &[RecordName]) -> Result<Option<FoundStart>> {
        let mut width = RECORDS_PER_GROUP as usize;
        let mut left = run;
        while !left.is_empty() {
            let (before, looked) = left.split_at(left.len().saturating_sub(width));
            left = before;
            let end = looked.last().map_or(Seq(0), |last| last.seq);
            // Where checkpoints are is what is looked for: groups are only guessed.
            let guessed = groups(looked.to_vec(), end, self.thorough);
            let fetch = |group| self.fetch_unchecked(group);
            let fetched: Vec<Vec<(RecordName, Bytes)>> =
                stream::iter(guessed.into_iter().map(fetch)).buffered(MAX_FETCH_AHEAD).try_collect().await?;
            let start = |(name, bytes): (RecordName, Bytes)| match format::peek(&bytes)? {
                (RecordKind::Checkpoint, _) => Some(FoundStart { name, bytes, is_branch: false }),
                (RecordKind::Branch, _) => Some(FoundStart { name, bytes, is_branch: true }),
                _ => None,
            };
            if let Some(newest) = fetched.into_iter().flatten().rev().find_map(start) {
                return Ok(Some(newest));
            }
            width = (width * 2).min(MAX_FETCH_AHEAD * RECORDS_PER_GROUP as usize);
        }
        Ok(None)
    }

    /// Reads the manifest of a checkpoint, unless its bytes are at hand.
    async fn read_manifest(&self, checkpoint: &CheckpointRef, bytes: Option<Bytes>) -> Result<Manifest> {
        let object = self.object(&checkpoint.manifest);
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => {
                let detail = format!("the checkpoint at position {} names it", checkpoint.seq);
                self.fetch(&checkpoint.manifest)
                    .await?
                    .ok_or_else(|| LogError::Missing { object: object.clone(), detail })?
            }
        };
        let damaged = |detail: &str| LogError::Damaged { object: object.clone(), detail: detail.to_owned() };
        if format::chain_hash(&bytes) != checkpoint.manifest_hash {
            return Err(damaged("it is not what the record of its checkpoint names"));
        }
        let manifest = Manifest::decode(&bytes, &checkpoint.manifest)
            .map_err(|error| LogError::of_format(object.as_str(), error))?;
        if manifest.state.seq != checkpoint.covers {
            return Err(damaged("it covers another position than the record of its checkpoint says"));
        }
        Ok(manifest)
    }

    /// Whether there is a manifest: else no checkpoint was ever made.
    pub(crate) async fn has_manifest(&self) -> Result<bool> {
        let mut found = false;
        let prefix = self.object(ObjectKind::Manifest.folder());
        reads::list(self.store, self.env, &prefix, None, |_| {
            found = true;
            ControlFlow::Break(())
        })
        .await?;
        Ok(found)
    }
}

/// Whether the records follow the manifest and one another.
fn is_chain(manifest: &Manifest, records: &[Stored]) -> bool {
    let mut before: ChainHash = manifest.state.hash;
    records.iter().all(|stored| {
        let follows = stored.record.previous == before;
        before = stored.hash;
        follows
    })
}
