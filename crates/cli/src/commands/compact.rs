use serde_json::json;

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, bytes, duration, message_progress, plural, requests_text};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let (db, store) = session::open(global, Access::Change).await?;
    let (started, before) = (store.env.monotonic(), store.meter.usage());
    let progress = message_progress();
    progress.set_message("reading what there is");
    let outcome = db.compact_with(|done| {
        let (pieces, read, written) = (plural(done.pieces, "piece"), bytes(done.read_bytes), bytes(done.written_bytes));
        progress.set_message(format!("{pieces} done, {read} read, {written} written"));
    });
    let outcome = outcome.await;
    progress.finish_and_clear();
    let report = outcome?;
    let stats = db.stats()?;
    db.close().await?;
    let (took, used) = (store.env.monotonic().saturating_sub(started), store.used_since(&before));
    let runs: u64 = stats.tiers.iter().map(|tier| tier.runs).sum();
    let run_bytes: u64 = stats.tiers.iter().map(|tier| tier.size_bytes).sum();
    if output.is_json() {
        return Ok(output.value(&json!({
            "pieces": report.pieces,
            "read_bytes": report.read_bytes,
            "written_bytes": report.written_bytes,
            "runs": runs,
            "run_bytes": run_bytes,
            "checkpoint": stats.checkpoint.map(|covers| covers.0),
            "seconds": took.as_secs_f64(),
            "requests": used.total_requests(),
        }))?);
    }
    output.line(format_args!(
        "compacted in {}: {} read, {} written; now {}, {}",
        plural(report.pieces, "piece"),
        bytes(report.read_bytes),
        bytes(report.written_bytes),
        plural(runs, "run"),
        bytes(run_bytes)
    ))?;
    output.line(format_args!("{}, {}", duration(took), requests_text(&used)))?;
    Ok(())
}
