use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::checkpoint_record::CheckpointRecord;
use crate::codec::{self, Malformed, Reader};
use crate::ingest::IngestBegin;
use crate::planted::{PlantedBug, is_planted};
use crate::stretch::{self, Stretch};
use crate::{ChainHash, Layout, LogTime, Seq};

/// An ingest whose last record is so many graces old, by the time in records, does not hold up sweeps any more.
const INGEST_GRACES: u64 = 10;

/// A checkpoint, as its record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRef {
    /// The position of its record.
    pub seq: Seq,
    /// The hash of that record.
    pub hash: ChainHash,
    /// The position up to which the log is in it.
    pub covers: Seq,
    /// The name of its manifest, relative to the database.
    pub manifest: String,
    /// The hash of the manifest's bytes.
    pub manifest_hash: ChainHash,
}

impl CheckpointRef {
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        codec::put_varint(buffer, self.seq.0);
        buffer.extend_from_slice(&self.hash.0);
        codec::put_varint(buffer, self.covers.0);
        codec::put_bytes(buffer, self.manifest.as_bytes());
        buffer.extend_from_slice(&self.manifest_hash.0);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let checkpoint = Self {
            seq: Seq(reader.varint()?),
            hash: ChainHash(reader.array()?),
            covers: Seq(reader.varint()?),
            manifest: reader.text()?,
            manifest_hash: ChainHash(reader.array()?),
        };
        let named_for = Layout::parse_unique(&checkpoint.manifest);
        if checkpoint.covers >= checkpoint.seq || named_for != Some(checkpoint.covers) {
            return Err(Malformed("a checkpoint contradicts itself"));
        }
        Ok(checkpoint)
    }
}

/// What a checkpoint made superfluous, until it is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The position of the checkpoint's record.
    pub(crate) seq: Seq,
    /// The time in that record.
    pub(crate) time: LogTime,
    /// Objects, by their names relative to the database.
    pub(crate) names: Vec<String>,
    /// The records below this position.
    pub(crate) records_below: Seq,
    /// Records that were spared until then.
    pub(crate) released: Vec<Stretch>,
    /// A moment, by the store's clock in Unix milliseconds, at which `head` was known to cover the checkpoint.
    pub(crate) covered_ms: Option<u64>,
}

/// An ingest that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ingest {
    /// The position of the record that began it: what is named from there on is spared.
    pub(crate) since: Seq,
    /// The time in its last record.
    pub(crate) time: LogTime,
    /// Empty if it has none.
    pub(crate) name: String,
    pub(crate) progress: Bytes,
}

/// What the log knows of its own objects. Every node that is at the same position knows the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upkeep {
    /// The newest checkpoint.
    pub(crate) checkpoint: Option<CheckpointRef>,
    /// Earlier ones whose manifests were not said to be obsolete.
    pub(crate) earlier: Vec<CheckpointRef>,
    /// In ascending order.
    pub(crate) garbage: Vec<Mark>,
    /// Records below this position were removed.
    pub(crate) log_begins: Seq,
    /// Records below the floor that are needed all the same.
    pub(crate) spared: Vec<Stretch>,
    /// No record may bring an object that is named below this position.
    pub(crate) swept: Seq,
    /// The ingests that were begun and not ended, by their last records.
    pub(crate) ingests: BTreeMap<Seq, Ingest>,
    /// What ingests brought, by the positions of their records, as far as no checkpoint covers them.
    pub(crate) brought: Vec<(Seq, Vec<String>)>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            checkpoint: None,
            earlier: Vec::new(),
            garbage: Vec::new(),
            log_begins: Seq::FIRST,
            spared: Vec::new(),
            swept: Seq(0),
            ingests: BTreeMap::new(),
            brought: Vec::new(),
        }
    }
}

/// Why a record may not be written in this state. No record that is in the log has such a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The checkpoint at this position is newer than the one that it is based on.
    Superseded(Seq),
    /// It brings this object, which a sweep may have removed.
    Swept(String),
    /// The ingest whose last record was at this position is over.
    IngestEnded(Seq),
}

impl Upkeep {
    /// Whether the record may follow now, where checkpoints have to cover `from`.
    pub(crate) fn check_checkpoint(&self, content: &CheckpointRecord, from: Seq) -> Result<(), Obstacle> {
        if content.covers < from && !is_planted(PlantedBug::BranchUnnoticed) {
            return Err(Obstacle::Superseded(from));
        }
        let newest = self.checkpoint.as_ref().map_or(Seq(0), |checkpoint| checkpoint.seq);
        if content.based_on != newest && !is_planted(PlantedBug::AcceptStaleCheckpoint) {
            return Err(Obstacle::Superseded(newest));
        }
        self.check_brought(content.brings.iter().chain(std::iter::once(&content.manifest)))
    }

    /// Whether these objects are safe from every sweep that is in the log (H1).
    pub(crate) fn check_brought<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Result<(), Obstacle> {
        let is_swept = |name: &&String| Layout::parse_unique(name).is_none_or(|seq| seq < self.swept);
        match names.into_iter().find(is_swept) {
            Some(name) if !is_planted(PlantedBug::SweepFirst) => Err(Obstacle::Swept(name.clone())),
            _ => Ok(()),
        }
    }

    /// Takes in a checkpoint whose record has this position, hash and time. `floor` is the log's from then on.
    pub(crate) fn checkpoint(
        &mut self,
        seq: Seq,
        hash: ChainHash,
        time: LogTime,
        floor: Seq,
        content: CheckpointRecord,
    ) {
        let newest = CheckpointRef {
            seq,
            hash,
            covers: content.covers,
            manifest: content.manifest,
            manifest_hash: content.manifest_hash,
        };
        self.earlier.extend(self.checkpoint.replace(newest));
        self.earlier.retain(|earlier| !content.obsolete.contains(&earlier.manifest));
        self.log_begins = self.log_begins.max(content.log_begins);
        self.garbage.retain(|mark| mark.seq > content.collected);
        if let Some(store_time_ms) = content.store_time_ms {
            for mark in self.garbage.iter_mut().filter(|mark| mark.seq <= content.head_covers) {
                mark.covered_ms.get_or_insert(store_time_ms);
            }
        }
        let may_go = if is_planted(PlantedBug::FloorIgnored) { Seq(u64::MAX) } else { floor };
        let records_below = may_go.min(content.covers.next());
        let marked = self.garbage.last().map_or(self.log_begins, |mark| mark.records_below).max(self.log_begins);
        // Behind that, what is not spared goes with the others.
        let released = stretch::without(&self.spared, &content.spared, marked);
        if records_below > marked || !content.obsolete.is_empty() || !released.is_empty() {
            let (names, records_below) = (content.obsolete, records_below.max(marked));
            self.garbage.push(Mark { seq, time, names, records_below, released, covered_ms: None });
        }
        self.spared = content.spared;
        self.brought.retain(|(position, _)| *position > content.covers);
    }

    /// Takes in that the log goes on as a branch: what the parent has to remove, and what it writes beside its log, is its own
    /// affair.
    pub(crate) fn begin_branch(&mut self, seq: Seq, checkpoint: Option<CheckpointRef>) {
        let brought = std::mem::take(&mut self.brought);
        *self = Self { checkpoint, log_begins: seq, swept: seq, brought, ..Self::default() };
    }

    /// Whether a record below the floor is needed all the same.
    pub(crate) fn spares(&self, seq: Seq) -> bool {
        stretch::contain(&self.spared, seq)
    }

    /// The records that are not to go with what a checkpoint at `seq` made superfluous: those that are spared still, and those
    /// that a later checkpoint spared no more, whose own time comes later.
    pub(crate) fn spared_by(&self, seq: Seq) -> Vec<Stretch> {
        let later = self.garbage.iter().filter(|mark| mark.seq > seq).flat_map(|mark| &mark.released);
        stretch::union(self.spared.iter().chain(later).copied())
    }

    /// All checkpoints whose manifests may be there, the newest last.
    pub(crate) fn checkpoints(&self) -> impl Iterator<Item = &CheckpointRef> {
        self.earlier.iter().chain(&self.checkpoint)
    }

    /// Below which position a sweep may look for orphans that is written at `seq` behind a record of time `time`.
    pub(crate) fn sweep_bound(&self, seq: Seq, time: LogTime, grace: Duration) -> Seq {
        let living = self.ingests.values().filter(|ingest| ingest.is_living(time, grace));
        living.map(|ingest| ingest.since).fold(seq, Seq::min)
    }

    /// Takes in a sweep.
    pub(crate) fn sweep(&mut self, bound: Seq, time: LogTime, grace: Duration) {
        self.swept = self.swept.max(bound);
        self.ingests.retain(|_, ingest| ingest.is_living(time, grace));
    }

    /// Whether an ingest, if it was begun at all, is not over.
    pub(crate) fn check_lasts(&self, begun: Option<Seq>) -> Result<(), Obstacle> {
        match begun {
            Some(seq) if !self.ingests.contains_key(&seq) => Err(Obstacle::IngestEnded(seq)),
            _ => Ok(()),
        }
    }

    /// Takes in that an ingest began or went on. There is one of every name: of two that were begun at the same time, the
    /// second lasts.
    pub(crate) fn begin_ingest(&mut self, seq: Seq, time: LogTime, begin: IngestBegin) {
        let earlier = begin.replaces.and_then(|replaced| self.ingests.remove(&replaced));
        let since = earlier.map_or(seq, |earlier| earlier.since);
        let IngestBegin { name, progress, .. } = begin;
        self.ingests.retain(|_, ingest| name.is_empty() || ingest.name != name);
        self.ingests.insert(seq, Ingest { since, time, name, progress });
    }

    /// Takes in that an ingest ended, and what it brought.
    pub(crate) fn ingest(&mut self, seq: Seq, begun: Seq, brings: Vec<String>) {
        self.ingests.remove(&begun);
        if !brings.is_empty() {
            self.brought.push((seq, brings));
        }
    }

    /// Whether the log itself needs the object, or will remove it in due time.
    pub(crate) fn refers_to(&self, name: &str) -> bool {
        let is_manifest = |checkpoint: &CheckpointRef| checkpoint.manifest == name;
        self.checkpoints().any(is_manifest)
            || self.garbage.iter().any(|mark| mark.names.iter().any(|known| known == name))
            || self.brought.iter().any(|(_, names)| names.iter().any(|known| known == name))
    }

    pub(crate) fn encode(&self, buffer: &mut Vec<u8>) {
        let checkpoints: Vec<&CheckpointRef> = self.checkpoints().collect();
        codec::put_varint(buffer, checkpoints.len() as u64);
        for checkpoint in checkpoints {
            checkpoint.encode(buffer);
        }
        codec::put_varint(buffer, self.garbage.len() as u64);
        for mark in &self.garbage {
            codec::put_varint(buffer, mark.seq.0);
            codec::put_varint(buffer, mark.time.0);
            codec::put_texts(buffer, &mark.names);
            codec::put_varint(buffer, mark.records_below.0);
            stretch::encode(buffer, &mark.released);
            codec::put_option(buffer, mark.covered_ms);
        }
        codec::put_varint(buffer, self.log_begins.0);
        stretch::encode(buffer, &self.spared);
        codec::put_varint(buffer, self.swept.0);
        codec::put_varint(buffer, self.ingests.len() as u64);
        for (seq, ingest) in &self.ingests {
            codec::put_varint(buffer, seq.0);
            codec::put_varint(buffer, ingest.since.0);
            codec::put_varint(buffer, ingest.time.0);
            codec::put_bytes(buffer, ingest.name.as_bytes());
            codec::put_bytes(buffer, &ingest.progress);
        }
        codec::put_varint(buffer, self.brought.len() as u64);
        for (seq, names) in &self.brought {
            codec::put_varint(buffer, seq.0);
            codec::put_texts(buffer, names);
        }
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut earlier = Vec::new();
        for _ in 0..reader.varint()? {
            earlier.push(CheckpointRef::decode(reader)?);
        }
        let checkpoint = earlier.pop();
        let mut garbage = Vec::new();
        for _ in 0..reader.varint()? {
            garbage.push(Mark {
                seq: Seq(reader.varint()?),
                time: LogTime(reader.varint()?),
                names: reader.texts()?,
                records_below: Seq(reader.varint()?),
                released: stretch::decode(reader)?,
                covered_ms: reader.option()?,
            });
        }
        let log_begins = Seq(reader.varint()?);
        let spared = stretch::decode(reader)?;
        let swept = Seq(reader.varint()?);
        let mut ingests = BTreeMap::new();
        for _ in 0..reader.varint()? {
            let seq = Seq(reader.varint()?);
            let (since, time) = (Seq(reader.varint()?), LogTime(reader.varint()?));
            if since > seq {
                return Err(Malformed("an ingest goes on before it begins"));
            }
            ingests.insert(seq, Ingest { since, time, name: reader.text()?, progress: reader.bytes()? });
        }
        let mut brought = Vec::new();
        for _ in 0..reader.varint()? {
            brought.push((Seq(reader.varint()?), reader.texts()?));
        }
        Ok(Self { checkpoint, earlier, garbage, log_begins, spared, swept, ingests, brought })
    }
}

impl Ingest {
    fn is_living(&self, now: LogTime, grace: Duration) -> bool {
        let lifetime_ms = (grace.as_millis() as u64).saturating_mul(INGEST_GRACES);
        now.unix_ms().saturating_sub(self.time.unix_ms()) <= lifetime_ms
    }
}
