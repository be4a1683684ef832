//! What only the simulator may do: plant bugs, set limits that are too small to be sensible, and give up the beginning of
//! a log as maintenance will do.

use std::time::Duration;

use bucketdb_documents::Documents;
use bucketdb_log::Seq;
pub use bucketdb_log::planted::{PlantedBug, plant, set_remembered_positions};

use crate::{Database, DatabaseBuilder, Result};

/// What a database adds up to at one position; another process can begin there.
#[derive(Clone, Debug)]
pub struct Base(bucketdb_log::Base<Documents>);

impl Base {
    /// Takes it out of an open database.
    ///
    /// # Errors
    /// If the log was found broken.
    pub fn of(db: &Database) -> Result<Self> {
        Ok(Self(db.inner.log.base()?))
    }

    /// The position that it covers.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.0.seq()
    }
}

/// Opens a database from `base`, whether or not the records up to there still exist.
///
/// # Errors
/// As [`DatabaseBuilder::open`].
pub async fn open_at(builder: DatabaseBuilder, base: Base) -> Result<Database> {
    builder.open_from(Some(base.0)).await
}

/// Gives up the positions below `floor`.
///
/// # Errors
/// If the record that says so is not written by the deadline.
pub async fn raise_floor(db: &Database, floor: Seq, deadline: Duration) -> Result<()> {
    Ok(db.inner.log.raise_floor(floor, deadline).await?)
}
