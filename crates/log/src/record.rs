use bytes::Bytes;

use crate::codec::Malformed;
use crate::ingest::Ingested;
use crate::{ChainHash, CommitId, LogTime, NodeId, Seq, SessionId};

/// What a record is about. The numbers are stored and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A group of transactions, one entry each. The state machine knows what they mean.
    Transactions = 1,
    /// The first record of a database: its id and the options that all nodes share.
    Genesis = 2,
    /// A change of the catalogue, one entry. The state machine knows what it means.
    Schema = 3,
    /// Options that all nodes share were changed, or a store was found fit.
    Options = 4,
    /// A node found the log broken; nobody writes behind this record.
    Halt = 5,
    /// Positions below the one that its entry says are given up: nothing there is read any more.
    Floor = 6,
    /// The log up to a position is in other objects, which the entry names.
    Checkpoint = 7,
    /// Objects that nothing refers to and that are named below the position in the entry are removed behind this record.
    Sweep = 8,
    /// Objects for a later ingest are being written: sweeps spare what is named from here on.
    IngestBegin = 9,
    /// Objects that were written beside the log are part of it from here on. See [`Record::ingest`].
    Ingest = 10,
    /// The database was dropped: nothing is written behind this record but the first one of another database.
    Drop = 11,
    /// The first record of a branch that is its own: what the log had up to here, it has in common with its parent.
    Branch = 12,
}

impl RecordKind {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let known = [
            Self::Transactions,
            Self::Genesis,
            Self::Schema,
            Self::Options,
            Self::Halt,
            Self::Floor,
            Self::Checkpoint,
            Self::Sweep,
            Self::IngestBegin,
            Self::Ingest,
            Self::Drop,
            Self::Branch,
        ];
        known.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is about.
    pub kind: RecordKind,
    /// Its position.
    pub seq: Seq,
    /// When it was written, by the writer's hybrid logical clock.
    pub time: LogTime,
    /// The node that wrote it.
    pub node: NodeId,
    /// The session that wrote it.
    pub session: SessionId,
    /// The hash of the record before it; zero for the first.
    pub previous: ChainHash,
    /// Its transactions, or the one entry of a control record.
    pub entries: Vec<Entry>,
}

/// One transaction or control entry of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which of its session's proposals this is.
    pub counter: u64,
    /// What it says, for the state machine.
    pub payload: Bytes,
}

impl Record {
    /// What a record of kind [`RecordKind::Ingest`] says.
    ///
    /// # Errors
    /// If its payload does not decode.
    pub fn ingest(&self) -> Result<Ingested, Malformed> {
        Ingested::decode(self.payload())
    }

    /// The payload of the only entry.
    pub(crate) fn payload(&self) -> Bytes {
        self.entries.first().map(|entry| entry.payload.clone()).unwrap_or_default()
    }

    /// The id of an entry of this record.
    #[must_use]
    pub fn commit_id(&self, entry: &Entry) -> CommitId {
        CommitId { session: self.session, counter: entry.counter }
    }
}
