use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bucketdb_documents::{Documents, Expiry, Index, IndexExtent, IndexPage, IndexRange, TableEntry, TableId, Ttl};
use bucketdb_driver::Usage;
use bucketdb_log::{Log, Seq};

use crate::database::Inner;
use crate::{Error, Result};

/// One position of a database that can be read for as long as this is held. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Moment {
    /// One that this process has passed, or is at: its versions are kept in the live state.
    Pinned(Arc<Pin>),
    /// One in the past, made once more from the log.
    Replayed(Arc<Replayed>),
}

/// What the log added up to at a position.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) seq: Seq,
    /// The time there, in milliseconds since 1970: what had ended by then is not seen.
    pub(crate) time_ms: u64,
    pub(crate) documents: Documents,
    /// The database, for whoever wants to know whether the position was given up meanwhile.
    pub(crate) inner: Weak<Inner>,
}

impl Moment {
    /// Its position.
    pub(crate) fn seq(&self) -> Seq {
        match self {
            Self::Pinned(pin) => pin.seq,
            Self::Replayed(replayed) => replayed.seq,
        }
    }

    /// The database, unless it is gone and this was made from its log.
    pub(crate) fn inner(&self) -> Option<Arc<Inner>> {
        match self {
            Self::Pinned(pin) => Some(pin.inner.clone()),
            Self::Replayed(replayed) => replayed.inner.upgrade(),
        }
    }

    /// Which rows of a table have ended at this moment; `None` if they have no end.
    pub(crate) fn expiry(&self, table: TableId) -> Result<Option<Expiry>> {
        match self {
            Self::Pinned(pin) => {
                let Some(ttl) = pin.ttl(table) else { return Ok(None) };
                let ended_ms = self.read(|documents, at| documents.ended_ms(at))?.ok_or_else(|| self.expired())?;
                Ok(Some(Expiry::new(ttl.clone(), pin.now_ms.max(ended_ms))))
            }
            Self::Replayed(replayed) => Ok(replayed.documents.expiry(table, replayed.seq, replayed.time_ms)),
        }
    }

    /// That it is not kept any more.
    pub(crate) fn expired(&self) -> Error {
        match self {
            Self::Pinned(pin) => {
                pin.has_expired.store(true, Ordering::Relaxed);
                pin.inner.expired()
            }
            Self::Replayed(replayed) => match self.inner() {
                Some(inner) => inner.expired(),
                None => Error::SnapshotExpired { floor: replayed.seq.next() },
            },
        }
    }

    /// Whether somebody was told that it is not kept any more.
    pub(crate) fn has_expired(&self) -> bool {
        matches!(self, Self::Pinned(pin) if pin.has_expired.load(Ordering::Relaxed))
    }

    /// Whether what it takes to read here may be removed by now.
    pub(crate) fn is_given_up(&self) -> bool {
        self.inner().is_some_and(|inner| !inner.keeps(self.seq()).unwrap_or(true))
    }

    /// Whether the database still needs an object, by its full key, for its present or for a past that it keeps.
    pub(crate) fn keeps(&self, object: &str) -> bool {
        let Some(inner) = self.inner() else { return true };
        let name = object.strip_prefix(inner.log.layout().prefix()).unwrap_or(object);
        inner.log.read(|documents, _| documents.keeps(name)).unwrap_or(true)
    }

    /// Reads a state that holds this position, to be read at the position given.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Documents, Seq) -> T) -> Result<T> {
        match self {
            Self::Pinned(pin) => Ok(pin.log().read(|documents, _| read(documents, pin.seq))?),
            Self::Replayed(replayed) => Ok(read(&replayed.documents, replayed.seq)),
        }
    }

    /// Reads what a state has of indexes of a table for this position; `None` if they say of documents when they end by another
    /// field than the one that counts here, since that was changed.
    pub(crate) fn read_indexes<T>(
        &self,
        table: TableId,
        read: impl FnOnce(&Documents, Seq) -> Option<T>,
    ) -> Result<Option<T>> {
        self.read(|documents, at| {
            let is_in_step = match self {
                Self::Pinned(pin) => documents.catalogue().table(table).is_some_and(|entry| pin.ends_as(entry)),
                Self::Replayed(_) => true,
            };
            if is_in_step { read(documents, at) } else { None }
        })
    }

    /// What an index has in a range of values; `None` if it is of no use here.
    pub(crate) fn index_page(&self, table: TableId, index: &Index, range: &IndexRange) -> Result<Option<IndexPage>> {
        self.read_indexes(table, |documents, at| documents.index_page(table, index, range, at))
    }

    /// How much an index has in a range of values, about: see [`Documents::index_extent`]. `None` if it is of no use here.
    pub(crate) fn index_extent(
        &self,
        table: TableId,
        index: &Index,
        range: &IndexRange,
        most: usize,
    ) -> Result<Option<IndexExtent>> {
        self.read_indexes(table, |documents, at| documents.index_extent(table, index, range, at, most))
    }

    /// Reads what is known only of the newest position of a state; `None` if that is not this one.
    pub(crate) fn present<T>(&self, read: impl FnOnce(&Documents) -> T) -> Result<Option<T>> {
        match self {
            Self::Pinned(pin) => Ok(pin.log().read(|documents, seq| (seq == pin.seq).then(|| read(documents)))?),
            Self::Replayed(replayed) => Ok(Some(read(&replayed.documents))),
        }
    }

    /// What this process has used of the store.
    pub(crate) fn usage(&self) -> Usage {
        self.inner().map(|inner| inner.meter.usage()).unwrap_or_default()
    }

    /// How long blocks of rows are, in bytes, before they are compressed: as they are written now.
    pub(crate) fn block_bytes(&self) -> f64 {
        self.inner().map_or(65_536.0, |inner| f64::from(inner.log.options().block_bytes))
    }

    /// How many bytes the groups of a query may take, or the documents that it puts in order: a quarter of what the database
    /// may.
    pub(crate) fn most_held_bytes(&self) -> usize {
        self.inner().map_or(usize::MAX, |inner| inner.memory.load_bytes)
    }
}

/// Keeps one position of the live state readable while it lives.
pub(crate) struct Pin {
    inner: Arc<Inner>,
    seq: Seq,
    /// The time when it was made, in milliseconds since 1970: what had ended by then is not seen, however long it is held.
    now_ms: u64,
    /// By which fields that is told, whatever is changed about it.
    ttls: Vec<(TableId, Arc<Ttl>)>,
    has_expired: AtomicBool,
}

impl Pin {
    /// Takes over a pin that was made in the state already, to read all that is there, be it that it has ended.
    pub(crate) fn adopt(inner: Arc<Inner>, seq: Seq) -> Self {
        Self { inner, seq, now_ms: 0, ttls: Vec::new(), has_expired: AtomicBool::new(false) }
    }

    fn log(&self) -> &Log<Documents> {
        &self.inner.log
    }

    fn ttl(&self, table: TableId) -> Option<&Arc<Ttl>> {
        self.ttls.iter().find(|(of, _)| *of == table).map(|(_, ttl)| ttl)
    }

    /// Whether the documents of a table end by the same field now as when this was made.
    fn ends_as(&self, now: &TableEntry) -> bool {
        self.ttl(now.id).map(|ttl| ttl.field()) == now.ttl().map(|ttl| ttl.field())
    }
}

impl Inner {
    /// Holds on to the present state for a reader that takes its time.
    pub(crate) fn pin(self: &Arc<Self>) -> Result<Moment> {
        Ok(Moment::Pinned(Arc::new(self.new_pin()?)))
    }

    fn new_pin(self: &Arc<Self>) -> Result<Pin> {
        // A broken log is an error here, not at the first page.
        self.log.read(|_, _| ())?;
        let most_bytes = self.memory.earlier_bytes;
        let wall_ms = self.wall_ms();
        let (seq, now_ms, ttls) = self.log.adjust(|documents, seq| {
            // A process that only reads makes no checkpoint of its own at whose end this would be done.
            documents.limit_earlier(most_bytes);
            documents.pin(seq);
            (seq, documents.now_ms(wall_ms), documents.ttls())
        });
        let mut pin = Pin::adopt(self.clone(), seq);
        (pin.now_ms, pin.ttls) = (now_ms, ttls);
        Ok(pin)
    }

    /// As [`pin`](Self::pin), if the database is at that position, in whose record is that time: what had ended later than
    /// that is seen.
    pub(crate) fn pin_at(self: &Arc<Self>, wanted: Seq, time_ms: u64) -> Result<Option<Moment>> {
        // The database goes on at any moment; a pin of a later position than the one wanted is simply dropped.
        if self.log.position() != wanted {
            return Ok(None);
        }
        let mut pin = self.new_pin()?;
        pin.now_ms = time_ms;
        Ok(Some(Moment::Pinned(Arc::new(pin))).filter(|moment| moment.seq() == wanted))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.inner.log.adjust(|documents, _| documents.unpin(self.seq));
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Pin").field(&self.seq).finish()
    }
}
