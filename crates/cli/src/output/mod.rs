//! What the user sees.

mod documents;
mod format;
mod printer;
mod progress;
mod table;
mod time;
mod usage;

pub(crate) use documents::{Columns, DocumentFormat, DocumentWriter, csv_columns};
pub(crate) use format::{bytes, count, document_count, duration, long_duration, plural, stored_size};
pub(crate) use printer::Output;
pub(crate) use progress::{byte_progress, message_progress};
pub(crate) use table::{document_table, table};
pub(crate) use time::{parse_timestamp, timestamp};
pub(crate) use usage::{price_table, prices_json, requests_text, usage_json, usage_table};
