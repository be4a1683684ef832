//! What is left of a database that was dropped (H17).
//!
//! A database is dropped by a record. Nothing is written behind it but the first record of another database, at the next
//! position, so that whoever still writes to the one that was dropped finds its positions taken, reads on, and learns of it.
//! Where each session has names of its own, one position between the two stays empty: there, nothing keeps a process that
//! stood still from writing behind the last record that it saw.
//!
//! The payload: database id (16), generation (varint), grace in milliseconds (varint), and if there are branches, how many and
//! their names: what they share stays until they are gone. A record that drops a database carries
//! no other one: it may be all that is left, and must not keep what was in there.

use std::ops::ControlFlow;
use std::time::Duration;

use bucketdb_driver::Key;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::codec::{self, Malformed, Reader};
use crate::layout::RecordName;
use crate::prove::{LISTING_ATTEMPTS, newest_run};
use crate::shared::Shared;
use crate::source::{MAX_FETCH_AHEAD, Source};
use crate::submission::Work;
use crate::{
    ChainHash, DatabaseId, Log, LogError, LogTime, RecordKind, Result, Seq, SharedOptions, SlotNames, StateMachine,
    format, reads,
};

/// A database that was dropped, by the record that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The database.
    pub database: DatabaseId,
    /// Which life of a database at its prefix it was, from 1.
    pub generation: u64,
    /// The position of the record.
    pub seq: Seq,
    /// For how long nothing of its log is removed that somebody may be about to write behind.
    pub grace: Duration,
    pub(crate) hash: ChainHash,
    pub(crate) time: LogTime,
    pub(crate) names: SlotNames,
    /// The branches that it had.
    pub(crate) branches: Vec<String>,
    /// The oldest record before it that nothing is missing behind.
    pub(crate) log_begins: Seq,
}

impl Tombstone {
    /// Where the next database at this prefix begins.
    pub(crate) fn next_genesis(&self) -> Seq {
        match self.names {
            SlotNames::Shared => self.seq.next(),
            SlotNames::PerSession => self.seq.next().next(),
        }
    }

    fn decode(bytes: &Bytes, name: &RecordName, log_begins: Seq) -> Result<Self, format::FormatError> {
        let (record, database) = format::decode_drop(bytes, &name.name)?;
        if record.seq != name.seq {
            return Err(format::FormatError::Damaged("it says that it is at another position"));
        }
        let DropRecord { generation, grace, branches } = DropRecord::decode(record.payload())?;
        let hash = format::chain_hash(bytes);
        let (seq, time) = (record.seq, record.time);
        Ok(Self { database, generation, seq, grace, hash, time, names: name.names, branches, log_begins })
    }
}

/// What the record says beside the database id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DropRecord {
    generation: u64,
    grace: Duration,
    branches: Vec<String>,
}

impl DropRecord {
    pub(crate) fn encode(database: DatabaseId, options: &SharedOptions, branches: &[String]) -> Bytes {
        let mut payload = database.0.to_vec();
        codec::put_varint(&mut payload, options.generation);
        codec::put_varint(&mut payload, options.grace.as_millis() as u64);
        if !branches.is_empty() {
            codec::put_texts(&mut payload, branches);
        }
        payload.into()
    }

    pub(crate) fn decode(payload: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        reader.take(16)?;
        let (generation, grace) = (reader.varint()?, Duration::from_millis(reader.varint()?));
        let branches = if reader.remaining() > 0 { reader.texts()? } else { Vec::new() };
        reader.finish()?;
        if !branches.iter().all(|name| crate::is_branch_name(name)) {
            return Err(Malformed("a branch has a name that none can have"));
        }
        Ok(Self { generation, grace, branches })
    }
}

/// Where one database ends and another one may begin: the newest such place in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The last database was dropped.
    Dropped(Tombstone),
    /// A database begins here, behind one that was dropped.
    Began(Seq, DatabaseId),
}

impl Source<'_> {
    /// That the database was dropped, by the record at `seq`.
    pub(crate) fn dropped(&self, seq: Seq) -> LogError {
        LogError::Dropped { place: self.store.fingerprint(), prefix: self.layout.prefix().to_owned(), seq }
    }

    /// Looks for the newest place at which a database was dropped or begun behind a dropped one: for whoever found the log not
    /// to be what it should be. One listing as a rule, and the records behind that place. Nothing before `first` is looked at.
    pub(crate) async fn find_cut(&self, first: Seq) -> Result<Option<Cut>> {
        self.look_for_cut(None, first).await
    }

    /// As [`find_cut`](Self::find_cut), for whoever failed with this: what could not be read may be of another database.
    pub(crate) async fn find_cut_behind(&self, error: &LogError, first: Seq) -> Result<Option<Cut>> {
        let unread = match error {
            LogError::Damaged { object, .. } => Key::new(object.as_str()).ok(),
            _ => None,
        };
        let unread = unread.and_then(|key| self.layout.parse_record(&key));
        self.look_for_cut(unread.filter(|name| name.seq >= first), first).await
    }

    /// A listing says nothing if it lags so far behind that it does not show what was read a moment ago, or is so old by now
    /// that records of its newest run are gone: another listing shows what came behind them.
    async fn look_for_cut(&self, read: Option<RecordName>, first: Seq) -> Result<Option<Cut>> {
        for attempt in 1..=LISTING_ATTEMPTS {
            let names = self.list_records(Some(first)).await?;
            let is_shown = read.as_ref().is_none_or(|read| names.contains(read));
            if is_shown && let ControlFlow::Break(found) = self.find_cut_among(&names).await? {
                return Ok(found);
            }
            if attempt < LISTING_ATTEMPTS {
                reads::pause(self.env, attempt).await;
            }
        }
        read.map_or(Ok(None), |read| Err(self.listing_lags(&read.name)))
    }

    /// Goes on if one of the records is not there.
    async fn find_cut_among(&self, names: &[RecordName]) -> Result<ControlFlow<Option<Cut>>> {
        let run = newest_run(names);
        let Some(newest) = run.last().map(|last| last.seq) else { return Ok(ControlFlow::Break(None)) };
        let log_begins = run.first().map_or(Seq::FIRST, |first| first.seq);
        let (mut left, mut width) = (run, 2);
        while !left.is_empty() {
            let (before, looked) = left.split_at(left.len().saturating_sub(width));
            let fetch = |name: RecordName| async move {
                match self.fetch(&name.name).await {
                    // What cannot be read is no such place.
                    Err(LogError::Damaged { .. }) => Ok((name, Some(Bytes::new()))),
                    bytes => bytes.map(|bytes| (name, bytes)),
                }
            };
            let fetched: Vec<(RecordName, Option<Bytes>)> =
                stream::iter(looked.iter().cloned().map(fetch)).buffered(MAX_FETCH_AHEAD).try_collect().await?;
            for (name, bytes) in fetched.into_iter().rev() {
                let Some(bytes) = bytes else { return Ok(ControlFlow::Continue(())) };
                match format::peek(&bytes) {
                    Some((RecordKind::Drop, _)) => {
                        if let Ok(tombstone) = Tombstone::decode(&bytes, &name, log_begins) {
                            // Else somebody went on beside it, on a store that cannot keep two apart: that is a fork.
                            let is_in_force = newest < tombstone.next_genesis();
                            return Ok(ControlFlow::Break(is_in_force.then_some(Cut::Dropped(tombstone))));
                        }
                    }
                    Some((RecordKind::Genesis, _)) => {
                        if let Ok((record, database)) = format::decode_genesis(&bytes, &name.name) {
                            let is_later = record.seq == name.seq && name.seq > Seq::FIRST;
                            return Ok(ControlFlow::Break(is_later.then_some(Cut::Began(name.seq, database))));
                        }
                    }
                    _ => {}
                }
            }
            (left, width) = (before, (width * 2).min(MAX_FETCH_AHEAD));
        }
        Ok(ControlFlow::Break(None))
    }
}

/// Whether an error may come of a database having been dropped, so that it is worth a look.
pub(crate) fn may_tell_of_drop(error: &LogError) -> bool {
    matches!(
        error,
        LogError::Dropped { .. }
            | LogError::Missing { .. }
            | LogError::Damaged { .. }
            | LogError::BrokenChain { .. }
            | LogError::Forked { .. }
            | LogError::FellBehind { .. }
    )
}

impl<M: StateMachine> Shared<M> {
    pub(crate) fn dropped(&self, seq: Seq) -> LogError {
        self.source().dropped(seq)
    }

    /// The error, or that the database was dropped if that is what it comes of; why that cannot be told, if it cannot.
    /// Remembers it if nothing can go on after it.
    pub(crate) async fn explain(&self, error: LogError) -> LogError {
        let error = match self.find_drop(&error).await {
            Ok(dropped) => dropped.unwrap_or(error),
            // Asked again, it may turn out to be nothing worse.
            Err(unknown) => unknown,
        };
        self.failure.note(&error);
        error
    }

    /// That the database was dropped, if an error comes of that.
    pub(crate) async fn find_drop(&self, error: &LogError) -> Result<Option<LogError>> {
        if !may_tell_of_drop(error) || matches!(error, LogError::Dropped { .. }) {
            return Ok(None);
        }
        Ok(match self.source().find_cut_behind(error, self.seq()).await? {
            Some(Cut::Dropped(tombstone)) => Some(self.dropped(tombstone.seq)),
            Some(Cut::Began(seq, database)) if database != self.checksums.database() => {
                Some(self.dropped(Seq(seq.0 - 1)))
            }
            _ => None,
        })
    }
}

impl<M: StateMachine> Log<M> {
    /// Drops the database: one record. From then on, every process that reads on answers [`LogError::Dropped`], this one
    /// too. [`remove_dropped`](crate::remove_dropped) removes what is left. One that somebody else dropped is dropped.
    ///
    /// # Errors
    /// If the record is not written by the deadline; [`LogError::Dropped`] if it was, and another one is in its place.
    pub async fn drop_database(&self, deadline: Duration) -> Result<Tombstone> {
        let outcome = match self.refresh(crate::Freshness::Strict).await {
            Ok(()) => self.control(Work::Drop, deadline).await.map(|_| ()),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) | Err(LogError::Dropped { .. }) => {}
            Err(error) => return Err(error),
        }
        match self.shared.source().find_cut(Seq::FIRST).await? {
            Some(Cut::Dropped(tombstone)) if tombstone.database == self.database() => Ok(tombstone),
            // There is another one by now.
            _ => Err(self.shared.dropped(self.position().next())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{CHECKSUM_BYTES, Checksums};
    use crate::{Entry, NodeId, Record, SessionId};

    #[test]
    fn golden_bytes() {
        let database = DatabaseId([0xcc; 16]);
        let mut options = SharedOptions::new(1, Duration::from_millis(300)).unwrap();
        options.generation = 2;
        let payload = DropRecord::encode(database, &options, &[]);
        assert_eq!(payload, [&[0xcc; 16][..], &[2, 0xac, 2]].concat());
        let name = RecordName::shared(Seq(9));
        let record = Record {
            kind: RecordKind::Drop,
            seq: Seq(9),
            time: LogTime(5),
            node: NodeId(0),
            session: SessionId([7; 16]),
            previous: ChainHash([8; 16]),
            entries: vec![Entry { counter: 3, payload }],
        };
        let bytes = format::encode(&record, &name.name, &Checksums::new(database));
        assert_eq!(bytes[6], 11);
        let tombstone = Tombstone::decode(&bytes, &name, Seq(4)).unwrap();
        let expected = Tombstone {
            database,
            generation: 2,
            seq: Seq(9),
            grace: Duration::from_millis(300),
            hash: format::chain_hash(&bytes),
            time: LogTime(5),
            names: SlotNames::Shared,
            branches: Vec::new(),
            log_begins: Seq(4),
        };
        assert_eq!(tombstone, expected);
        // Computed once by this code: it may never change while format version 1 is read.
        let checksum = u128::from_be_bytes(bytes[bytes.len() - CHECKSUM_BYTES..].try_into().unwrap());
        assert_eq!(format!("{checksum:032x}"), "ff966b9099dc5cdb32573ff13ab07885");
        for cut in 0..bytes.len() {
            assert!(Tombstone::decode(&bytes.slice(..cut), &name, Seq(4)).is_err(), "{cut}");
        }
        for cut in 0..record.payload().len() {
            assert!(DropRecord::decode(record.payload().slice(..cut)).is_err(), "{cut}");
        }
        assert!(Tombstone::decode(&bytes, &RecordName::shared(Seq(10)), Seq(4)).is_err());
        let branches = ["one".to_owned(), "two".to_owned()];
        let payload = DropRecord::encode(database, &options, &branches);
        assert_eq!(DropRecord::decode(payload.clone()).unwrap().branches, branches);
        // With nothing behind the grace, it is one of a database without branches.
        for cut in (0..payload.len()).filter(|cut| *cut != record.payload().len()) {
            assert!(DropRecord::decode(payload.slice(..cut)).is_err(), "{cut}");
        }
        let payload = DropRecord::encode(database, &options, &["../x".to_owned()]);
        assert!(DropRecord::decode(payload).is_err());
    }
}
