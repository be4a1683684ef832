use bucketdb::{BackupMoment, Backups, CopyProgress};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::arguments::{Backup, Global, Restore};
use crate::failure::Failure;
use crate::output::{Output, bytes, count, duration, message_progress, plural, requests_text, table, timestamp};
use crate::session::{self, Access, Store, check_options};

pub(super) async fn run(global: &Global, options: &Backup, output: &mut Output) -> Result<(), Failure> {
    if options.list {
        return list(&options.to, output).await;
    }
    if options.verify {
        return verify(&options.to, output).await;
    }
    let (db, store) = session::open(global, Access::Change).await?;
    let target = Store::at(&options.to, None, Access::Create).await?;
    let (started, read, written) = (store.env.monotonic(), store.meter.usage(), target.meter.usage());
    let progress = message_progress();
    let outcome = db.backup(&target.place(), |at| show(&progress, &at)).await;
    progress.finish_and_clear();
    let report = outcome?;
    db.close().await?;
    let took = store.env.monotonic().saturating_sub(started);
    if output.is_json() {
        return Ok(output.value(&json!({
            "position": report.seq.0,
            "time": timestamp(report.time.0),
            "objects": report.objects,
            "bytes": report.bytes,
            "copied_objects": report.copied_objects,
            "copied_bytes": report.copied_bytes,
            "seconds": took.as_secs_f64(),
            "requests": store.used_since(&read).total_requests() + target.used_since(&written).total_requests(),
        }))?);
    }
    output.line(format_args!(
        "backed up position {} of {} to {}: {}, {}",
        report.seq,
        timestamp(report.time.0),
        target.describe(),
        plural(report.objects, "object"),
        bytes(report.bytes)
    ))?;
    let there = report.objects.saturating_sub(report.copied_objects);
    output.line(format_args!(
        "copied and compared {}, {}; {} there already",
        plural(report.copied_objects, "object"),
        bytes(report.copied_bytes),
        plural(there, "object"),
    ))?;
    let (read, written) = (requests_text(&store.used_since(&read)), requests_text(&target.used_since(&written)));
    Ok(output.line(format_args!("{}; of the database {read}, of the backup {written}", duration(took)))?)
}

pub(super) async fn restore(global: &Global, options: &Restore, output: &mut Output) -> Result<(), Failure> {
    check_options(global)?;
    let source = existing(&options.from).await?;
    let backups = Backups::at(&source.place())?;
    let store = Store::of(global, Access::Create).await?;
    let started = store.env.monotonic();
    let progress = message_progress();
    let builder = store.builder(global, Access::Create)?;
    let outcome = Box::pin(builder.restore(&backups, options.at.clone(), |at| show(&progress, &at))).await;
    progress.finish_and_clear();
    let (db, report) = outcome?;
    db.close().await?;
    let took = store.env.monotonic().saturating_sub(started);
    if output.is_json() {
        return Ok(output.value(&json!({
            "position": report.seq.0,
            "time": timestamp(report.time.0),
            "objects": report.objects,
            "bytes": report.bytes,
            "copied_objects": report.copied_objects,
            "seconds": took.as_secs_f64(),
        }))?);
    }
    let (position, time, place) = (report.seq, timestamp(report.time.0), store.describe());
    let (objects, size) = (plural(report.objects, "object"), bytes(report.bytes));
    output.line(format_args!("restored position {position} of {time} to {place}: {objects}, {size}"))?;
    Ok(output.line(format_args!("every object is as it was copied; {}", duration(took)))?)
}

/// A store that has to be there.
async fn existing(url: &str) -> Result<Store, Failure> {
    match Store::at(url, None, Access::Read).await {
        Err(failure) if failure.kind() == "no_database" => {
            Err(Failure::new("no_backup", format!("there is no backup at {url}")))
        }
        found => found,
    }
}

async fn list(url: &str, output: &mut Output) -> Result<(), Failure> {
    let moments = Backups::at(&existing(url).await?.place())?.moments().await?;
    if output.is_json() {
        return Ok(output.value(&moments.iter().map(as_json).collect::<Value>())?);
    }
    if moments.is_empty() {
        return Ok(output.line("no backups")?);
    }
    let row = |moment: BackupMoment| {
        vec![moment.seq.to_string(), timestamp(moment.time.0), count(moment.objects), bytes(moment.bytes)]
    };
    let shown = table(&["#position", "time", "#objects", "#size"], moments.into_iter().map(row), output.width());
    Ok(output.line(shown)?)
}

fn as_json(moment: &BackupMoment) -> Value {
    let BackupMoment { seq, time, objects, bytes, .. } = moment;
    json!({"position": seq.0, "time": timestamp(time.0), "objects": objects, "bytes": bytes})
}

async fn verify(url: &str, output: &mut Output) -> Result<(), Failure> {
    let backups = Backups::at(&existing(url).await?.place())?;
    let progress = message_progress();
    let mut read = 0;
    let outcome = backups.verify(|at| {
        read = at.done;
        progress.set_message(format!("{} of {} read", count(at.done), plural(at.objects, "object")));
    });
    let outcome = outcome.await;
    progress.finish_and_clear();
    let findings = outcome?;
    if output.is_json() {
        let listed: Value = findings.iter().map(|it| json!({"what": it.what, "remedy": it.remedy})).collect();
        output.value(&json!({"clean": findings.is_empty(), "objects": read, "findings": listed}))?;
    } else {
        for (number, finding) in (1..).zip(&findings) {
            output.line(format_args!("{number}. {}", finding.what))?;
            output.line(format_args!("   {}", finding.remedy))?;
        }
        let found = plural(findings.len() as u64, "finding");
        let wrong = if findings.is_empty() { "nothing is wrong".to_owned() } else { found };
        output.line(format_args!("{} read: {wrong}", plural(read, "object")))?;
    }
    if findings.is_empty() {
        return Ok(());
    }
    let message = format!("the backup is not as it was copied: {}", plural(findings.len() as u64, "finding"));
    Err(Failure::new("damaged", message).with("findings", findings.len()))
}

fn show(progress: &ProgressBar, at: &CopyProgress) {
    let (done, copied) = (count(at.done), bytes(at.copied_bytes));
    progress.set_message(format!("{done} of {}, {copied} copied", plural(at.objects, "object")));
}
