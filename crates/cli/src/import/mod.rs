//! From a file to documents to commits.
//!
//! - `source`: which file, what it holds, whether it is compressed.
//! - `rows`: what every reader gives; `json`, `lines` and `csv` are the readers.
//! - `columns`: what the cells of a CSV column are.
//! - `target`: the table, and what a document comes to in it.
//! - `importer`: sees how many documents there are, and hands them to `commits` or to `bulk`, which keep them in a `gathered`; `seen` knows which keys came
//!   before.

mod bulk;
mod columns;
mod commits;
mod csv;
mod gathered;
mod importer;
mod json;
mod lines;
mod rows;
mod seen;
mod source;
mod target;

pub(crate) use importer::{ImportOptions, ImportReport, Importer, RowFailure, Way};
pub(crate) use rows::{ReadError, Row, RowReader};
pub(crate) use source::Source;
