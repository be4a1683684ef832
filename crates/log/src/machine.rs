use bytes::Bytes;

use crate::codec::Malformed;
use crate::{Record, RecordKind};

/// What the records of a log add up to.
///
/// Every node replays the same records into the same state, so both methods must be deterministic and total: no clock,
/// no chance, no error that depends on anything but the state and the argument.
pub trait StateMachine: Send + Sync + 'static {
    /// A change that somebody wants to commit.
    type Proposal: Send + Sync + 'static;

    /// Why a proposal is not valid in a state.
    type Refusal: Send + 'static;

    /// What the members of a group would change, so that later members are validated against earlier ones.
    type Group: Default + Send;

    /// Whether `proposal` is valid now, behind what `group` holds already. If so, `group` takes in its effects.
    ///
    /// # Errors
    /// The refusal. `group` is unchanged then.
    fn validate(&self, group: &mut Self::Group, proposal: &Self::Proposal) -> Result<Validated, Self::Refusal>;

    /// Takes in a record of kind [`RecordKind::Transactions`] or [`RecordKind::Schema`]. No other kind comes here.
    ///
    /// # Errors
    /// If a payload does not decode; the state is as before then.
    fn apply(&mut self, record: &Record) -> Result<(), Malformed>;
}

/// A proposal that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// What kind of record it belongs in. Only transactions share a record.
    pub kind: RecordKind,
    /// What the record will hold of it.
    pub payload: Bytes,
}
