use std::io::{self, Write};

use bucketdb_history::HistoryWriter;

use crate::Report;
use crate::check::history_of;

/// Writes what clients did as JSON lines, in the format of `bucketdb-history`.
///
/// # Errors
/// If the output fails.
pub fn write_history(report: &Report, output: &mut impl Write) -> io::Result<()> {
    let mut writer = HistoryWriter::new(output);
    for transaction in &history_of(&report.history).0 {
        writer.write(transaction)?;
    }
    writer.flush()
}
