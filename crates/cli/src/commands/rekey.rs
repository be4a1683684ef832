use serde_json::json;

use crate::arguments::Global;
use crate::failure::Failure;
use crate::keys;
use crate::output::{Output, duration, message_progress, plural, requests_text};
use crate::session::{self, Access};

pub(super) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let Some(keys) = keys::of(global)? else {
        let message =
            "no key was given: name a file with --key-file that has the new key, and below it the earlier ones";
        return Err(Failure::usage(message));
    };
    let (db, store) = session::open(global, Access::Change).await?;
    let (started, before) = (store.env.monotonic(), store.meter.usage());
    let progress = message_progress();
    let outcome = db.rekey(|done| {
        let (objects, rewritten) = (plural(done.objects, "object"), plural(done.rewritten, "object"));
        progress.set_message(format!("looked at {objects}, rewrote {rewritten}"));
    });
    let outcome = outcome.await;
    progress.finish_and_clear();
    let report = outcome?;
    db.close().await?;
    let (took, used) = (store.env.monotonic().saturating_sub(started), store.used_since(&before));
    let key = keys.current().id().to_string();
    if output.is_json() {
        return Ok(output.value(&json!({
            "key": key,
            "objects": report.objects,
            "rewritten": report.rewritten,
            "removed": report.removed,
            "seconds": took.as_secs_f64(),
            "requests": used.total_requests(),
        }))?);
    }
    let (objects, rewritten) = (plural(report.objects, "object"), plural(report.rewritten, "object"));
    output.line(format_args!("looked at {objects}, and encrypted {rewritten} anew with the key {key}"))?;
    if report.removed > 0 {
        output.line(format_args!("{} removed by others meanwhile", plural(report.removed, "object")))?;
    }
    output.line(format_args!("{}, {}", duration(took), requests_text(&used)))?;
    Ok(())
}
