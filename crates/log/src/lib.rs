//! A totally ordered log of immutable records in an object store, with many writers.
