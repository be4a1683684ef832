use std::io::{self, BufRead, IsTerminal, Write};

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
        }))?);
    }
    if !report.held_by.is_empty() {
        let held_by = report.held_by.join(", ");
        return Ok(output.line(format_args!(
            "dropped {name}; what it shares with its branches, {held_by}, stays until they are dropped too"
        ))?);
    }
    output.line(format_args!("dropped {name}: removed {}", plural(report.removed, "object")))?;
    if let Some(left) = report.next_due {
        let (records, left) = (plural(report.records_left, "log record"), long_duration(left));
        output.line(format_args!(
            "{records} must stay for {left}, for processes that write at this moment: the next database in this place \
             removes them, or `drop` once more with --wait"
        ))?;
    }
    Ok(())
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
