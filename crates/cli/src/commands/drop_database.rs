use std::io::{self, BufRead, IsTerminal, Write};

use bucketdb::DropReport;
use serde_json::json;

use crate::arguments::{Drop, Global};
use crate::failure::Failure;
use crate::output::{Output, long_duration, message_progress, plural};
use crate::session::{self, Access, Store};

pub(super) async fn run(global: &Global, options: &Drop, output: &mut Output) -> Result<(), Failure> {
    session::check_options(global)?;
    let store = Store::of(global, Access::Change).await?;
    let mut builder = store.builder(global, Access::Change)?;
    let name = match &options.name {
        Some(name) => name.clone(),
        None => ask(&builder.database_name().await?, &store.describe(), output.is_json())?,
    };
    let progress = message_progress();
    if options.wait {
        progress.set_message("waiting until nobody can write to it any more");
    }
    let dropped = builder.drop_database(&name, options.wait).await;
    progress.finish_and_clear();
    let report = dropped?;
    if output.is_json() {
        return Ok(output.value(&json!({
            "dropped": name,
            "removed": report.removed,
            "held_by": report.held_by,
            "records_left": report.records_left,
            "next_due_seconds": report.next_due.map(|left| left.as_secs_f64()),
            "by_store_clock": report.is_dated,
        }))?);
    }
    if !report.held_by.is_empty() {
        let held_by = report.held_by.join(", ");
        return Ok(output.line(format_args!(
            "dropped {name}; what it shares with its branches, {held_by}, stays until they are dropped too"
        ))?);
    }
    output.line(format_args!("dropped {name}: removed {}", plural(report.removed, "object")))?;
    tell_left(&report, "the next database in this place removes them, or `drop` once more", output)
}

/// Says what stays for now, and who removes it: by the time it may go, or by waiting for that.
pub(super) fn tell_left(report: &DropReport, remover: &str, output: &mut Output) -> Result<(), Failure> {
    Ok(left_line(report, remover).map_or(Ok(()), |line| output.line(line))?)
}

fn left_line(report: &DropReport, remover: &str) -> Option<String> {
    let (records, left) = (plural(report.records_left, "log record"), long_duration(report.next_due?));
    let when = if report.is_dated { "after that, or with --wait" } else { "with --wait" };
    Some(format!("{records} must stay for {left}, for processes that write at this moment: {remover} {when}"))
}

/// Asks whoever sits at the terminal to type the name.
fn ask(name: &str, place: &str, is_json: bool) -> Result<String, Failure> {
    let input = io::stdin();
    if is_json || !input.is_terminal() {
        return Err(Failure::usage(format!(
            "dropping cannot be taken back, and nobody can be asked here: say which database is meant, with --name {name}"
        )));
    }
    let mut prompt = io::stderr();
    write!(prompt, "This removes everything in {place}.\nType the name of the database, {name}, to drop it: ")?;
    prompt.flush()?;
    let mut typed = String::new();
    input.lock().read_line(&mut typed)?;
    Ok(typed.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_has_to_wait_is_told_of_it() {
        let mut report =
            DropReport { records_left: 3, next_due: Some(Duration::from_secs(90)), ..DropReport::default() };
        let line = |report: &DropReport| left_line(report, "`drop` once more").unwrap_or_default();
        assert!(line(&report).starts_with("3 log records must stay for "), "{}", line(&report));
        assert!(line(&report).ends_with(": `drop` once more with --wait"), "{}", line(&report));
        report.is_dated = true;
        assert!(line(&report).ends_with(": `drop` once more after that, or with --wait"), "{}", line(&report));
        assert_eq!(left_line(&DropReport::default(), "`drop` once more"), None);
    }
}
