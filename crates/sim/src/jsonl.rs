use std::io::{self, Write};

use serde_json::json;

use crate::Report;
use crate::workload::{Outcome, Seen};

/// Writes what clients did as JSON lines, one operation each.
///
/// # Errors
/// If the output fails.
pub fn write_history(report: &Report, output: &mut impl Write) -> io::Result<()> {
    for operation in &report.history {
        let kind = match operation.outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Failed(_) | Outcome::Broken(_) => "fail",
            Outcome::Unknown(_) | Outcome::Open => "info",
        };
        let reads: Vec<_> = operation
            .reads
            .iter()
            .map(|read| {
                let seen = match read.seen {
                    Seen::Token(token) => json!(token),
                    Seen::Absent => json!(null),
                    Seen::Present => json!("something"),
                };
                json!(["r", format!("{}/{}", read.table, read.key), seen])
            })
            .collect();
        let line = json!({
            "type": kind,
            "process": operation.process.0,
            "what": operation.what,
            "start": operation.began.event,
            "end": operation.ended.map(|ended| ended.event),
            "ops": reads,
            "outcome": operation.outcome.to_string(),
        });
        writeln!(output, "{line}")?;
    }
    Ok(())
}
