//! What only the simulator may do: plant bugs, set limits that are too small to be sensible, and give up the beginning of
//! a log as maintenance will do.

use std::time::Duration;

use bucketdb_log::Seq;
pub use bucketdb_log::planted::{PlantedBug, plant, set_remembered_positions};

use crate::{Database, Result};

/// Gives up the positions below `floor`.
///
/// # Errors
/// If the record that says so is not written by the deadline.
pub async fn raise_floor(db: &Database, floor: Seq, deadline: Duration) -> Result<()> {
    Ok(db.inner.log.raise_floor(floor, deadline).await?)
}
