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

/// An ingest that was begun: objects that are named from here on are spared by sweeps until it ends, for ten graces at
/// most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestTicket {
    /// The position of the record that began it.
    pub seq: Seq,
}

impl<M: StateMachine> Log<M> {
    /// Begins to write objects that a later record will bring. A proposal whose [`Validated::ends`](crate::Validated)
    /// names the ticket's position ends it, or [`end_ingest`](Self::end_ingest).
    ///
    /// # Errors
    /// If the record that says so is not written by the deadline.
    pub async fn begin_ingest(&self, deadline: Duration) -> Result<IngestTicket> {
        let seq = self.control(Work::BeginIngest, deadline).await?;
        Ok(IngestTicket { seq })
    }

    /// Gives an ingest up: what was written for it is removed by the next sweep.
    ///
    /// # Errors
    /// If the record that says so is not written by the deadline.
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
        fn no_bytes_are_too_much_for_it(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Ingested::decode(payload.into());
        }
    }
}
