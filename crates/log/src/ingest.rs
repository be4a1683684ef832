use std::time::Duration;

use bytes::Bytes;

use crate::codec::{self, Malformed, Reader};
use crate::submission::Work;
use crate::{Log, Result, Seq, StateMachine};

/// What a record of an ingest says: objects that were written beside the log are part of it from there on.
///
/// ```text
/// size   what, numbers as varints
///    …   position of the record that began it; 0 for none
///    …   number of objects, their names relative to the database
///    …   size, and what the state machine is to know
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// The position of the record that began it, and is ended by this one.
    pub begun: Option<Seq>,
    /// The objects, by their names relative to the database. None if the ingest was given up.
    pub brings: Vec<String>,
    /// What the state machine is to know.
    pub payload: Bytes,
}

impl Ingested {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.payload.len() + 32);
        codec::put_varint(&mut bytes, self.begun.map_or(0, |begun| begun.0));
        codec::put_texts(&mut bytes, &self.brings);
        codec::put_bytes(&mut bytes, &self.payload);
        bytes.into()
    }

    pub(crate) fn decode(payload: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let ingested = Self {
            begun: Some(Seq(reader.varint()?)).filter(|begun| begun.0 > 0),
            brings: reader.texts()?,
            payload: reader.bytes()?,
        };
        reader.finish()?;
        Ok(ingested)
    }

    /// Whether it says only that an ingest was given up.
    pub(crate) fn is_end(&self) -> bool {
        self.brings.is_empty() && self.payload.is_empty()
    }
}

/// What a record says that begins an ingest, or goes on with one.
///
/// ```text
/// size   what, numbers as varints
///    …   size, and the name; empty if it has none
///    …   position of the record in whose place this one is; 0 for none
///    …   size, and what it takes to go on
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IngestBegin {
    pub(crate) name: String,
    /// The record that began it, or went on with it, before. Nobody else can go on from there any more.
    pub(crate) replaces: Option<Seq>,
    pub(crate) progress: Bytes,
}

impl IngestBegin {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.name.len() + self.progress.len() + 16);
        codec::put_bytes(&mut bytes, self.name.as_bytes());
        codec::put_varint(&mut bytes, self.replaces.map_or(0, |seq| seq.0));
        codec::put_bytes(&mut bytes, &self.progress);
        bytes.into()
    }

    pub(crate) fn decode(payload: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let begin = Self {
            name: reader.text()?,
            replaces: Some(Seq(reader.varint()?)).filter(|seq| seq.0 > 0),
            progress: reader.bytes()?,
        };
        reader.finish()?;
        Ok(begin)
    }
}

/// An ingest that was begun: objects that are named from its beginning on are spared by sweeps until it ends, for ten graces
/// behind its last record at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestTicket {
    /// The position of the record that began it, or went on with it last.
    pub seq: Seq,
}

/// An ingest that somebody began by a name and did not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedIngest {
    /// Whoever goes on from here takes it over.
    pub ticket: IngestTicket,
    /// What was saved last; empty if nothing was.
    pub progress: Bytes,
}

impl<M: StateMachine> Log<M> {
    /// Begins to write objects that a later record will bring. A proposal whose [`Validated::ends`](crate::Validated)
    /// names the ticket's position ends it, or [`end_ingest`](Self::end_ingest).
    ///
    /// # Errors
    /// If the record that says so is not written by the deadline.
    pub async fn begin_ingest(&self, deadline: Duration) -> Result<IngestTicket> {
        self.begin_ingest_record(IngestBegin::default(), deadline).await
    }

    /// As [`begin_ingest`](Self::begin_ingest), by a name under which [`saved_ingest`](Self::saved_ingest) finds it. With a
    /// ticket, goes on with that ingest, which spares its objects for longer, and saves what it takes to go on from here. The
    /// ticket ends then, whoever holds it, as does any other ingest of the name.
    ///
    /// # Errors
    /// [`LogError::IngestEnded`](crate::LogError::IngestEnded) if the ticket has ended; otherwise if the record that says so
    /// is not written by the deadline.
    pub async fn save_ingest(
        &self,
        name: &str,
        ticket: Option<IngestTicket>,
        progress: Bytes,
        deadline: Duration,
    ) -> Result<IngestTicket> {
        let replaces = ticket.map(|ticket| ticket.seq);
        self.begin_ingest_record(IngestBegin { name: name.to_owned(), replaces, progress }, deadline).await
    }

    async fn begin_ingest_record(&self, begin: IngestBegin, deadline: Duration) -> Result<IngestTicket> {
        let seq = self.control(Work::BeginIngest(begin), deadline).await?;
        Ok(IngestTicket { seq })
    }

    /// The ingest of that name, as far as this process knows.
    #[must_use]
    pub fn saved_ingest(&self, name: &str) -> Option<SavedIngest> {
        let applied = self.shared.applied.read();
        let mut ingests = applied.upkeep.ingests.iter();
        let (seq, ingest) = ingests.find(|(_, ingest)| !name.is_empty() && ingest.name == name)?;
        Some(SavedIngest { ticket: IngestTicket { seq: *seq }, progress: ingest.progress.clone() })
    }

    /// Gives an ingest up: what was written for it is removed by the next sweep.
    ///
    /// # Errors
    /// [`LogError::IngestEnded`](crate::LogError::IngestEnded) if somebody else took it over, or if it lapsed; otherwise if
    /// the record that says so is not written by the deadline.
    pub async fn end_ingest(&self, ticket: IngestTicket, deadline: Duration) -> Result<()> {
        self.control(Work::EndIngest(ticket.seq), deadline).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_round_trips(begun in 0u64..3, brings in prop::collection::vec("[a-z/]{0,9}", 0..4), payload in prop::collection::vec(any::<u8>(), 0..9)) {
            let begun = Some(Seq(begun)).filter(|begun| begun.0 > 0);
            let ingested = Ingested { begun, brings, payload: payload.into() };
            prop_assert_eq!(Ingested::decode(ingested.encode()), Ok(ingested));
        }

        #[test]
        fn a_beginning_round_trips(name in "[a-z]{0,9}", seq in 0u64..3, progress in prop::collection::vec(any::<u8>(), 0..9)) {
            let replaces = Some(Seq(seq)).filter(|seq| seq.0 > 0);
            let begin = IngestBegin { name, replaces, progress: progress.into() };
            prop_assert_eq!(IngestBegin::decode(begin.encode()), Ok(begin));
        }

        #[test]
        fn no_bytes_are_too_much_for_it(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            let payload = Bytes::from(payload);
            let _ = IngestBegin::decode(payload.clone());
            let _ = Ingested::decode(payload);
        }
    }
}
