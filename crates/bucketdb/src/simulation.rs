//! What only the simulator may do: plant bugs, and set limits that are too small to be sensible.

pub use bucketdb_log::planted::{PlantedBug, plant};
