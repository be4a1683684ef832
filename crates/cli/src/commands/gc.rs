use std::time::Duration;

use bucketdb::{Database, Environment, GarbageReport, SweepReport};
use serde_json::json;

use crate::arguments::{Gc, Global};
use crate::failure::Failure;
use crate::output::{Output, long_duration, message_progress, plural};
use crate::session::{self, Access, Store};

/// Clocks of a process and a store need not agree to the moment.
const SLACK: Duration = Duration::from_secs(1);

pub(super) async fn run(global: &Global, options: &Gc, output: &mut Output) -> Result<(), Failure> {
    let (db, store) = session::open(global, Access::Change).await?;
    // What a first sweep finds that has to stay for a grace, a second one removes.
    let first = if options.sweep && options.wait { Some((db.sweep().await?, store.env.monotonic())) } else { None };
    let collected = if options.wait { wait(&db, &store).await? } else { db.collect_garbage().await? };
    let swept = if options.sweep { Some(sweep(&db, &store, first).await?) } else { None };
    db.close().await?;
    if output.is_json() {
        return Ok(output.value(&json!({
            "objects": collected.objects,
            "records": collected.records,
            "next_due_seconds": collected.next_due.map(|left| left.as_secs_f64()),
            "swept": swept.map(|swept| json!({
                "looked_at": swept.looked_at,
                "removed": swept.removed,
                "next_due_seconds": swept.next_due.map(|left| left.as_secs_f64()),
            })),
        }))?);
    }
    let removed = match (collected.objects, collected.records) {
        (0, 0) => "nothing removed".to_owned(),
        (objects, records) => format!("removed {} and {}", plural(objects, "object"), plural(records, "log record")),
    };
    let next = match collected.next_due {
        None => "nothing is left that nobody needs".to_owned(),
        Some(left) if options.wait => format!("what was given up since is due in {}", long_duration(left)),
        Some(left) => format!("more is due in {}: --wait waits for it", long_duration(left)),
    };
    output.line(format_args!("{removed}; {next}"))?;
    if let Some(swept) = swept {
        let (looked_at, removed) = (plural(swept.looked_at, "object"), plural(swept.removed, "object"));
        output.line(format_args!("looked at {looked_at}, and removed {removed} that belonged to nothing"))?;
        if let Some(left) = swept.next_due {
            let left = long_duration(left);
            output.line(format_args!(
                "log records of branches that were deleted must stay for {left}: --sweep removes them after that, or with --wait"
            ))?;
        }
    }
    Ok(())
}

/// Removes what belongs to nothing, once that has passed which the `first` sweep said, if there was one, and when.
async fn sweep(db: &Database, store: &Store, first: Option<(SweepReport, Duration)>) -> Result<SweepReport, Failure> {
    let Some((first, at)) = first else { return Ok(db.sweep().await?) };
    let due = at + first.next_due.unwrap_or_default();
    store.env.sleep(due.saturating_sub(store.env.monotonic())).await;
    let mut swept = db.sweep().await?;
    swept.removed += first.removed;
    swept.looked_at += first.removed;
    Ok(swept)
}

/// Removes everything that is not needed now, as soon as it may be removed: at the latest after the grace, measured from
/// when this process knows of it (H20). What others give up meanwhile is not waited for, or it might never end.
async fn wait(db: &Database, store: &Store) -> Result<GarbageReport, Failure> {
    let end = store.env.monotonic() + db.stats()?.grace + SLACK;
    let progress = message_progress();
    let mut sum = GarbageReport::default();
    loop {
        let report = db.collect_garbage().await?;
        sum.objects += report.objects;
        sum.records += report.records;
        sum.next_due = report.next_due;
        let Some(left) = report.next_due else { break };
        if store.env.monotonic() + left > end {
            break;
        }
        let removed = plural(sum.objects + sum.records, "object");
        progress.set_message(format!("{removed} removed, the next in {}", long_duration(left)));
        store.env.sleep(left).await;
    }
    progress.finish_and_clear();
    Ok(sum)
}
