use std::sync::Arc;

use bucketdb_documents::Documents;
use bucketdb_log::codec::Malformed;
use bucketdb_log::{ChainHash, Freshness, LogError, LogTime, Record, RecordKind, Seq, StateMachine};
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;

use crate::database::Inner;
use crate::moment::{Moment, Replayed};
use crate::{Error, Point, Result};

/// How many records are fetched at the same time.
const FETCH_AHEAD: usize = 32;

/// How often a state of the past is made anew because what it was made from was given up.
const ATTEMPTS: u32 = 4;

/// How many states of the past are kept for whoever asks for them again.
const MAX_KEPT: usize = 2;

/// The states of the past that were asked for last, newest use last.
#[derive(Debug, Default)]
pub(crate) struct Past {
    kept: Mutex<Vec<Arc<Replayed>>>,
}

impl Past {
    /// The state at that position, if it is kept.
    fn find(&self, seq: Seq) -> Option<Arc<Replayed>> {
        let mut kept = self.kept.lock();
        let index = kept.iter().position(|replayed| replayed.seq == seq)?;
        let found = kept.remove(index);
        kept.push(found.clone());
        Some(found)
    }

    /// The nearest state that is kept before that position.
    fn before(&self, seq: Seq) -> Option<Arc<Replayed>> {
        let kept = self.kept.lock();
        kept.iter().filter(|replayed| replayed.seq < seq).max_by_key(|replayed| replayed.seq).cloned()
    }

    fn keep(&self, replayed: Arc<Replayed>) {
        let mut kept = self.kept.lock();
        kept.retain(|earlier| earlier.seq != replayed.seq);
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        kept.push(replayed);
    }
}

impl Inner {
    /// The position that a point stands for.
    pub(crate) async fn resolve(&self, point: Point) -> Result<Seq> {
        match point {
            Point::Seq(seq) => {
                if seq > self.log.position() {
                    self.log.refresh(Freshness::Strict).await?;
                }
                if seq > self.log.position() {
                    let reason = format!("the log ends at position {}, before {seq}", self.log.position());
                    return Err(Error::InvalidPoint { reason });
                }
                if seq < Seq::FIRST {
                    return Err(Error::InvalidPoint { reason: "positions begin at 1".to_owned() });
                }
                Ok(seq)
            }
            Point::Time(time) => self.position_at(time).await,
            Point::Name(name) => self.named_position(&name).await,
        }
    }

    /// The last position whose time is not later. Times strictly rise with positions.
    async fn position_at(&self, time: LogTime) -> Result<Seq> {
        self.log.refresh(Freshness::Strict).await?;
        let last = self.log.position();
        if self.existing_record(last).await?.time <= time {
            if time.unix_ms() > self.log.env().wall_clock().0 {
                let reason = "the time lies in the future: what will have been committed by then is not known";
                return Err(Error::InvalidPoint { reason: reason.to_owned() });
            }
            return Ok(last);
        }
        let mut earlier = self.log.floor().max(Seq::FIRST);
        if self.existing_record(earlier).await?.time > time {
            return Err(if earlier == Seq::FIRST {
                Error::InvalidPoint { reason: "the database was created after that time".to_owned() }
            } else {
                Error::SnapshotExpired { floor: earlier }
            });
        }
        let mut later = last;
        while earlier.next() < later {
            let middle = Seq(earlier.0.midpoint(later.0));
            if self.existing_record(middle).await?.time <= time {
                earlier = middle;
            } else {
                later = middle;
            }
        }
        Ok(earlier)
    }

    /// Everything at a position that the log reaches.
    pub(crate) async fn moment_at(self: &Arc<Self>, seq: Seq) -> Result<Moment> {
        let mut attempt = 1;
        loop {
            match self.try_moment_at(seq).await {
                // The checkpoint that it began with was given up meanwhile; a later one reaches as far. What has a name is kept below
                // the floor, too.
                Err(Error::SnapshotExpired { .. }) if attempt < ATTEMPTS && self.keeps(seq)? => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    async fn try_moment_at(self: &Arc<Self>, seq: Seq) -> Result<Moment> {
        if self.log.position() == seq {
            let time_ms = self.existing_record(seq).await?.time.unix_ms();
            if let Some(present) = self.pin_at(seq, time_ms)? {
                return Ok(present);
            }
        }
        if !self.keeps(seq)? {
            return Err(self.expired());
        }
        self.keep_in_step().await?;
        if let Some(known) = self.past.find(seq) {
            return Ok(Moment::Replayed(known));
        }
        let (first, mut documents) = match self.past.before(seq) {
            Some(kept) if kept.seq >= self.nearest_checkpoint(seq)?.0 => (kept.seq.next(), kept.documents.clone()),
            _ => self.load_before(seq).await?,
        };
        let records = stream::iter((first.0..=seq.0).map(|seq| self.existing_record(Seq(seq))));
        let mut records = records.buffered(FETCH_AHEAD);
        let mut time_ms = documents.base().time_ms;
        while let Some(record) = records.try_next().await? {
            time_ms = record.time.unix_ms();
            if matches!(record.kind, RecordKind::Transactions | RecordKind::Schema | RecordKind::Ingest) {
                documents.apply(&record).map_err(|malformed| self.damaged(record.seq, malformed))?;
            }
        }
        let replayed = Arc::new(Replayed { seq, time_ms, documents, inner: Arc::downgrade(self) });
        self.past.keep(replayed.clone());
        Ok(Moment::Replayed(replayed))
    }

    /// Whether it is kept what it takes to read at a position.
    pub(crate) fn keeps(&self, seq: Seq) -> Result<bool> {
        let (nearest, _) = self.nearest_checkpoint(seq)?;
        Ok(self.log.keeps(seq) && (nearest == seq || self.log.keeps(nearest.next())))
    }

    /// The last checkpoint that is kept and covers no more than the position: what it covers, and its manifest.
    pub(crate) fn nearest_checkpoint(&self, seq: Seq) -> Result<(Seq, Option<(String, ChainHash)>)> {
        let last = self.log.last_checkpoint().map(|last| (last.covers, last.manifest, last.manifest_hash));
        let base = self.log.read(|documents, _| documents.base().clone())?;
        let retained = base.retained.iter().map(|kept| (kept.covers, kept.manifest.clone(), ChainHash(kept.hash)));
        let nearest = retained.chain(last).filter(|(covers, ..)| *covers <= seq).max_by_key(|(covers, ..)| *covers);
        Ok(nearest.map_or((base.covers, None), |(covers, manifest, hash)| {
            (covers, Some((manifest, hash)).filter(|(manifest, _)| !manifest.is_empty()))
        }))
    }

    /// The state of the last checkpoint that is kept and covers no more than the position, and where to go on.
    async fn load_before(&self, seq: Seq) -> Result<(Seq, Documents)> {
        let mut documents = Documents::over_runs(self.store_for.clone());
        documents.begin(self.log.database());
        let (covers, manifest) = self.nearest_checkpoint(seq)?;
        if let Some((manifest, hash)) = manifest {
            let saved = match self.log.manifest(&manifest, hash).await {
                Err(LogError::Missing { .. }) if covers < self.log.floor() => return Err(self.expired()),
                saved => saved?,
            };
            let object = || format!("{}{manifest}", self.log.layout().prefix());
            let damaged = |malformed: Malformed| LogError::Damaged { object: object(), detail: malformed.to_string() };
            documents.load(covers, saved).map_err(damaged)?;
        }
        Ok((covers.next(), documents))
    }

    /// A record that the log has.
    pub(crate) async fn existing_record(&self, seq: Seq) -> Result<Arc<Record>> {
        match self.log.record(seq).await {
            Ok(Some(record)) => Ok(record),
            Ok(None) => {
                let reason = format!("the log ends at position {}, before {seq}", self.log.position());
                Err(Error::InvalidPoint { reason })
            }
            Err(LogError::BelowFloor { floor, .. }) => Err(Error::SnapshotExpired { floor }),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn damaged(&self, seq: Seq, detail: impl ToString) -> Error {
        let object = format!("{}{seq}", self.log.layout().log_prefix());
        LogError::Damaged { object, detail: detail.to_string() }.into()
    }
}
