use bucketdb::{Finding, LogError, Verification, VerifyProgress};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::{Output, bytes, count, message_progress, plural};
use crate::session::{Access, Store, check_options};

/// What it means that a database cannot be opened.
const OPENING_REMEDY: &str = "no process can open the database until it is mended: restore the object from a copy of the \
     bucket (object versions, a backup), or export what is left with a process that still has the database open";

pub(super) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    check_options(global)?;
    let store = Store::of(global, Access::Read).await?;
    let found = match store.open_database(global, Access::Read).await? {
        Ok(db) => {
            let progress = message_progress();
            progress.set_message("reading");
            let outcome = db.verify(|at| progress.set_message(describe(&at))).await;
            progress.finish_and_clear();
            outcome.map(|verification| (verification, Vec::new()))?
        }
        Err(bucketdb::Error::Log(error)) if is_damage(&error) => {
            let obstacle = (error.to_string(), OPENING_REMEDY);
            (Verification::default(), vec![obstacle])
        }
        Err(error) => return Err(error.into()),
    };
    report(found, output)
}

fn report(found: (Verification, Vec<(String, &'static str)>), output: &mut Output) -> Result<(), Failure> {
    let (verification, mut findings) = found;
    findings.extend(verification.findings.iter().map(|Finding { what, remedy, .. }| (what.clone(), *remedy)));
    let Verification { records, checkpoints, runs, run_bytes, compared_rows, blobs, blob_bytes, .. } = verification;
    if output.is_json() {
        let listed: Value = findings.iter().map(|(what, remedy)| json!({"what": what, "remedy": remedy})).collect();
        output.value(&json!({
            "clean": findings.is_empty(),
            "records": records,
            "checkpoints": checkpoints,
            "runs": runs,
            "run_bytes": run_bytes,
            "compared_rows": compared_rows,
            "blobs": blobs,
            "blob_bytes": blob_bytes,
            "findings": listed,
        }))?;
    } else {
        for (number, (what, remedy)) in (1..).zip(&findings) {
            output.line(format_args!("{number}. {what}"))?;
            output.line(format_args!("   {remedy}"))?;
        }
        if blobs > 0 {
            output.line(format_args!("{} ({}) read", plural(blobs, "blob"), bytes(blob_bytes)))?;
        }
        output.line(format_args!(
            "{}, {} and {} ({}) read, {} compared with the log: {}",
            plural(records, "record"),
            plural(checkpoints, "checkpoint"),
            plural(runs, "run"),
            bytes(run_bytes),
            plural(compared_rows, "row"),
            if findings.is_empty() { "nothing is wrong".to_owned() } else { plural(findings.len() as u64, "finding") }
        ))?;
    }
    if findings.is_empty() {
        return Ok(());
    }
    let message = format!("the database is not as it was written: {}", plural(findings.len() as u64, "finding"));
    Err(Failure::new("damaged", message).with("findings", findings.len()))
}

fn describe(at: &VerifyProgress) -> String {
    match at {
        VerifyProgress::Records(read, all) => format!("{} of {} records read", count(*read), count(*all)),
        VerifyProgress::Run(name) => format!("{name} read"),
        VerifyProgress::Checkpoint(covers) => format!("the checkpoint at position {covers} compared with the log"),
        VerifyProgress::Blob(name) => format!("{name} read"),
        _ => "reading".to_owned(),
    }
}

/// Whether the objects themselves keep a database from being opened.
fn is_damage(error: &LogError) -> bool {
    matches!(
        error,
        LogError::Damaged { .. }
            | LogError::Missing { .. }
            | LogError::BrokenChain { .. }
            | LogError::Forked { .. }
            | LogError::Halted { .. }
    )
}
