mod load;

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::time::Duration;

use bucketdb_documents::{self as documents, Before, Documents, EncodedKey, TableId, Transaction};
use bucketdb_log::{Freshness, LogError, LogTime, Record, RecordKind, Seq};
use bucketdb_runs::RunError;
use futures::future::{self, Either};
use futures::stream::{self, Stream};

use self::load::FollowedLoad;
use crate::rows::{Stored, TableRef};
use crate::{Cursor, Database, Error, Result, Since};

/// How often a feed asks the store for news unless told otherwise.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// One change of one document.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<T> {
    /// Where to go on behind this change.
    pub cursor: Cursor,
    /// The position of its commit in the log.
    pub seq: Seq,
    /// When it was committed.
    pub time: LogTime,
    /// The table.
    pub table: String,
    /// The document's key.
    pub key: EncodedKey,
    /// What happened.
    pub kind: ChangeKind<T>,
    /// What the document was before.
    pub previous: Previous<T>,
}

/// What a document was before a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Previous<T> {
    /// The change is too old to tell: a process remembers the newest 100,000 that it has read, up to 16 MiB. Or a bulk load
    /// wrote it, which was to replace whatever its table had.
    Unknown,
    /// There was none.
    Absent,
    /// This.
    Document(T),
}

/// What happened to a document.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeKind<T> {
    /// It was written, and is this now.
    Put(T),
    /// It was removed.
    Delete,
}

/// The changes of a table, or of a whole database, in the order of their commits, each exactly once.
///
/// A feed reads the log itself: changes that were committed while nobody followed are there too. Changes of this
/// process appear at once; for those of others it asks the store once in every [`interval`](Self::interval), and all
/// feeds of a process share what is found.
///
/// A [bulk load](crate::BulkLoad) is a change for every document, in the order of the keys. The feed reads them from what the
/// load wrote, a few megabytes at a time, also from a cursor in the middle on.
#[derive(Debug)]
pub struct Feed<T> {
    source: Source,
    interval: Duration,
    /// The next record to read.
    next: Seq,
    /// Changes of that record that were given already.
    given: u64,
    pending: VecDeque<Change<T>>,
    /// The bulk load in that record, once it was begun to be read.
    load: Option<FollowedLoad>,
    documents: PhantomData<fn() -> T>,
}

/// Whose changes they are.
#[derive(Debug)]
struct Source {
    db: Database,
    /// `None` for all tables.
    table: Option<TableRef>,
    generation: u64,
}

impl<T: Stored> Feed<T> {
    pub(crate) async fn open(db: Database, table: Option<TableRef>, since: Since) -> Result<Self> {
        let log = &db.inner.log;
        let generation = log.options().generation;
        let (next, given) = match since {
            Since::Beginning => (log.floor().max(Seq::FIRST), 0),
            Since::Now => {
                log.refresh(Freshness::Strict).await?;
                (log.position().next(), 0)
            }
            Since::Seq(seq) => (seq.next(), 0),
            Since::Cursor(cursor) if cursor.generation != generation => {
                let reason = format!(
                    "it is of generation {} of the database, and this is generation {generation}",
                    cursor.generation
                );
                return Err(Error::InvalidCursor { reason });
            }
            Since::Cursor(cursor) => (cursor.seq.max(Seq::FIRST), cursor.place),
        };
        if next > log.position().next() {
            log.refresh(Freshness::Strict).await?;
        }
        if next > log.position().next() {
            let reason = format!("the log ends at position {}, and the cursor lies beyond", log.position());
            return Err(Error::InvalidCursor { reason });
        }
        let interval = DEFAULT_INTERVAL;
        let source = Source { db, table, generation };
        Ok(Self { source, interval, next, given, pending: VecDeque::new(), load: None, documents: PhantomData })
    }

    /// How often the store is asked for news of other processes: at most one get in every interval, shared by all feeds
    /// of the process. One second by default; it is also about how late a change is seen.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Where to go on behind what was given so far.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { generation: self.source.generation, seq: self.next, place: self.given }
    }

    /// The next change; waits for it.
    ///
    /// # Errors
    /// If the store fails, or if a document has not the shape of the type. The feed can be asked again.
    pub async fn next(&mut self) -> Result<Change<T>> {
        loop {
            if let Some(change) = self.next_known().await? {
                return Ok(change);
            }
            let mut positions = self.source.db.inner.log.positions();
            if *positions.borrow_and_update() >= self.next {
                continue;
            }
            let grown = std::pin::pin!(positions.changed());
            let waited = self.source.db.inner.log.env().sleep(self.interval);
            if let Either::Right(((), _)) = future::select(grown, waited).await {
                self.source.db.inner.log.refresh(Freshness::Bounded(self.interval)).await?;
            }
        }
    }

    /// The next change that the store has now; `None` if this was the last. One get at the end of the log.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn try_next(&mut self) -> Result<Option<Change<T>>> {
        if let Some(change) = self.next_known().await? {
            return Ok(Some(change));
        }
        self.source.db.inner.log.refresh(Freshness::Strict).await?;
        self.next_known().await
    }

    /// The changes as a stream that ends with the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Change<T>>> + Send {
        stream::try_unfold(self, |mut feed| async move { feed.next().await.map(|change| Some((change, feed))) })
    }

    async fn next_known(&mut self) -> Result<Option<Change<T>>> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                (self.next, self.given) = (change.cursor.seq, change.cursor.place);
                return Ok(Some(change));
            }
            if let Some(load) = &mut self.load {
                match load.next(&self.source).await {
                    Ok(Some(change)) => {
                        (self.next, self.given) = (change.cursor.seq, change.cursor.place);
                        return Ok(Some(change));
                    }
                    Ok(None) => (self.next, self.given, self.load) = (self.next.next(), 0, None),
                    Err(error) => {
                        // Whoever asks again begins at the cursor, and hears it again if it is given up.
                        if matches!(error, Error::FeedExpired { .. }) {
                            self.load = None;
                        }
                        return Err(error);
                    }
                }
            }
            let record = match self.source.db.inner.log.record(self.next).await {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(None),
                Err(LogError::BelowFloor { floor, .. }) => return Err(self.source.expired(floor)),
                Err(error) => return Err(error.into()),
            };
            if record.kind == RecordKind::Ingest {
                self.load = Some(FollowedLoad::new(&self.source, &record, self.given)?);
                continue;
            }
            let changes = self.source.changes(&record).await?;
            let given = self.given;
            self.pending = changes.into_iter().filter(|change| change.cursor.place > given).collect();
            if self.pending.is_empty() {
                (self.next, self.given) = (record.seq.next(), 0);
            }
        }
    }
}

/// All changes of a record.
#[cfg(feature = "simulation")]
pub(crate) async fn changes_of(db: &Database, record: &Record) -> Result<Vec<Change<serde_json::Value>>> {
    let generation = db.inner.log.options().generation;
    Source { db: db.clone(), table: None, generation }.changes(record).await
}

impl Source {
    /// The changes of a record that this feed is about.
    async fn changes<T: Stored>(&self, record: &Record) -> Result<Vec<Change<T>>> {
        let mut changes = Vec::new();
        if record.kind != RecordKind::Transactions {
            return Ok(changes);
        }
        let mut place = 0;
        for entry in &record.entries {
            let transaction = Transaction::decode(entry.payload.clone());
            let transaction = transaction.map_err(|malformed| self.db.inner.damaged(record.seq, malformed))?;
            for change in transaction.changes {
                let cursor = Cursor { generation: self.generation, seq: record.seq, place: place as u64 + 1 };
                changes.extend(self.change(record, cursor, place, change).await?);
                place += 1;
            }
        }
        Ok(changes)
    }

    /// That what it is about to read is not kept any more, and where what is kept begins.
    fn expired(&self, floor: Seq) -> Error {
        Error::FeedExpired { resume_from: Cursor { generation: self.generation, seq: floor, place: 0 } }
    }

    /// A table, if this feed is about it.
    fn table(&self, id: TableId) -> Result<Option<TableRef>> {
        match &self.table {
            Some(table) => Ok(Some(table).filter(|table| table.id == id).cloned()),
            None => {
                let find = |documents: &Documents, _| documents.catalogue().table(id).map(TableRef::from);
                Ok(self.db.inner.log.read(find)?)
            }
        }
    }

    /// The change at a place, counted from 0, of a record.
    async fn change<T: Stored>(
        &self,
        record: &Record,
        cursor: Cursor,
        place: usize,
        change: documents::Change,
    ) -> Result<Option<Change<T>>> {
        let Some(table) = self.table(change.table)? else { return Ok(None) };
        let kind = match &change.kind {
            documents::ChangeKind::Put(row) => ChangeKind::Put(table.decode(&change.key, row)?),
            documents::ChangeKind::Delete => ChangeKind::Delete,
        };
        let previous = match self.before(record.seq, place, &table, &change.key).await? {
            Before::Unknown | Before::InRuns => Previous::Unknown,
            Before::Absent => Previous::Absent,
            Before::Row(row) => Previous::Document(table.decode(&change.key, &row)?),
        };
        let name = table.name().to_owned();
        Ok(Some(Change { cursor, seq: record.seq, time: record.time, table: name, key: change.key, kind, previous }))
    }

    /// What the row of a change was before it.
    async fn before(&self, seq: Seq, place: usize, table: &TableRef, key: &EncodedKey) -> Result<Before> {
        let (before, runs) = self.db.inner.log.read(|documents, _| match documents.before(seq, place) {
            Before::InRuns => (Before::Unknown, documents.lookup_before(table.id, key, seq)),
            before => (before, None),
        })?;
        let Some(runs) = runs else { return Ok(before) };
        match runs.get().await {
            Ok(found) => Ok(found.map_or(Before::Absent, |found| Before::Row(found.row))),
            Err(RunError::Missing { .. }) => Ok(Before::Unknown),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
