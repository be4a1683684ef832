use crate::sessions::Sessions;
use crate::turns::Turns;
use crate::{ChainHash, DatabaseId, LogTime, Seq, SharedOptions};

/// What a log adds up to at one position, taken out of an [open log](crate::Log::base): another one can begin there
/// instead of at the first record.
#[derive(Clone, Debug)]
pub struct Base<M> {
    pub(crate) database: DatabaseId,
    pub(crate) seq: Seq,
    pub(crate) hash: ChainHash,
    pub(crate) time: LogTime,
    pub(crate) options: SharedOptions,
    pub(crate) floor: Seq,
    pub(crate) sessions: Sessions,
    pub(crate) turns: Turns,
    pub(crate) machine: M,
}

impl<M> Base<M> {
    /// The position that it covers.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }
}
