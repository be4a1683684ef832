use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::row::{self, RowError};

/// What is read where a document lacks a field: one value, in MessagePack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn(Vec<u8>);

impl StandIn {
    /// That value.
    ///
    /// # Errors
    /// If it does not serialise, or is nested deeper than 128 levels.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, RowError> {
        row::value_bytes(value).map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value as JSON; null if it is damaged.
    #[must_use]
    pub fn to_value(&self) -> Value {
        row::value_of_bytes(&self.0).unwrap_or(Value::Null)
    }

    /// Whether both read as the same JSON. Maps need not have their entries in one order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.to_value() == other.to_value()
    }
}

/// A field that the version before declares and this one does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedField {
    /// Its name there.
    pub name: String,
    /// What programs of earlier versions read in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<StandIn>,
}
