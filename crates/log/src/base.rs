use crate::state::LogState;
use crate::{DatabaseId, Seq};

/// What a log adds up to at one position, taken out of an [open log](crate::Log::base): another one can begin there
/// instead of at the first record.
#[derive(Clone, Debug)]
pub struct Base<M> {
    pub(crate) database: DatabaseId,
    pub(crate) state: LogState,
    pub(crate) machine: M,
}

impl<M> Base<M> {
    /// The position that it covers.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.state.seq
    }
}
