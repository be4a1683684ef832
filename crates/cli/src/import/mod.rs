//! From a file to documents to commits.
//!
//! - `source`: which file, what it holds, whether it is compressed.
//! - `rows`: what every reader gives; `json`, `lines` and `csv` are the readers.
//! - `columns`: what the cells of a CSV column are.
//! - `importer`: gathers documents into commits.

mod columns;
mod csv;
mod importer;
mod json;
mod lines;
mod rows;
mod source;

pub(crate) use importer::{ImportOptions, ImportReport, Importer};
pub(crate) use rows::{ReadError, Row, RowReader};
pub(crate) use source::Source;
