use bucketdb::{Database, Difference, DropReport};
use serde_json::{Value, json};

use crate::arguments::{Branch, Global};
use crate::commands::drop_database::tell_left;
use crate::failure::Failure;
use crate::output::{Output, plural, table, timestamp};
use crate::session::{self, Access, Store};

pub(super) async fn run(global: &Global, action: &Branch, output: &mut Output) -> Result<(), Failure> {
    match action {
        Branch::Create { name, at } => {
            let (db, _) = session::open(global, Access::Change).await?;
            let created = match at {
                Some(point) => db.create_branch_at(name, point.clone()).await?,
                None => db.create_branch(name).await?,
            };
            db.close().await?;
            if output.is_json() {
                return Ok(output.value(&as_json(&created))?);
            }
            Ok(output.line(format_args!(
                "created branch {name} of position {}: --branch {} opens it",
                created.fork,
                path_to(global, name)
            ))?)
        }
        Branch::List => list(global, output).await,
        Branch::Delete { name, wait } => {
            let (db, _) = session::open(global, Access::Change).await?;
            let report = if *wait { db.drop_branch_and_wait(name).await? } else { db.drop_branch(name).await? };
            db.close().await?;
            tell_deleted(name, &report, output)
        }
        Branch::Diff { name, from_parent } => diff(global, name, *from_parent, output).await,
    }
}

/// How a branch of what the arguments name is named.
fn path_to(global: &Global, name: &str) -> String {
    match &global.branch {
        Some(path) => format!("{path}/{name}"),
        None => name.to_owned(),
    }
}

fn as_json(branch: &bucketdb::Branch) -> Value {
    json!({"name": branch.name, "position": branch.fork.0, "created": timestamp(branch.time.0)})
}

async fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let (db, _) = session::open(global, Access::Read).await?;
    let branches = db.branches().await?;
    if output.is_json() {
        return Ok(output.value(&branches.iter().map(as_json).collect::<Value>())?);
    }
    if branches.is_empty() {
        return Ok(output.line("no branches")?);
    }
    let row = |branch: bucketdb::Branch| vec![branch.name, branch.fork.to_string(), timestamp(branch.time.0)];
    let shown = table(&["branch", "#position", "created"], branches.into_iter().map(row), output.width());
    Ok(output.line(shown)?)
}

fn tell_deleted(name: &str, report: &DropReport, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        let value = json!({
            "deleted": name,
            "removed": report.removed,
            "held_by": report.held_by,
            "records_left": report.records_left,
            "next_due_seconds": report.next_due.map(|left| left.as_secs_f64()),
        });
        return Ok(output.value(&value)?);
    }
    if report.held_by.is_empty() {
        output.line(format_args!("deleted branch {name}: removed {}", plural(report.removed, "object")))?;
        return tell_left(report, "`gc --sweep` of the database removes them", output);
    }
    let held_by = report.held_by.join(", ");
    Ok(output.line(format_args!(
        "deleted branch {name}; what it shares with its own branches, {held_by}, stays until they are deleted too"
    ))?)
}

/// Compares a branch with what it began as, or with the database that it is a branch of.
async fn diff(global: &Global, name: &str, from_parent: bool, output: &mut Output) -> Result<(), Failure> {
    session::check_options(global)?;
    let store = Store::of(global, Access::Read).await?;
    let parent = store.open(global, Access::Read).await?;
    let found = parent.branches().await?.into_iter().find(|branch| branch.name == name);
    let fork = found.ok_or_else(|| bucketdb::Error::UnknownBranch { name: name.to_owned() })?.fork;
    let branch: Database = store.builder(global, Access::Read)?.branch(path_to(global, name)).open().await?;
    let before = if from_parent { parent.snapshot().await? } else { parent.at(fork).await? };
    let mut differences = before.differences(&branch.snapshot().await?)?;
    let (mut added, mut changed, mut removed) = (0, 0, 0);
    while let Some(difference) = differences.next().await? {
        let (sign, counter) = match (&difference.before, &difference.after) {
            (None, _) => ("+", &mut added),
            (_, None) => ("-", &mut removed),
            _ => ("~", &mut changed),
        };
        *counter += 1;
        tell_difference(&difference, sign, output)?;
    }
    if !output.is_json() {
        output.line(format_args!("{added} added, {changed} changed, {removed} removed"))?;
    }
    Ok(())
}

fn tell_difference(difference: &Difference, sign: &str, output: &mut Output) -> Result<(), Failure> {
    let Difference { table, key, before, after, .. } = difference;
    if output.is_json() {
        return Ok(output.value(&json!({"table": table, "key": key, "before": before, "after": after}))?);
    }
    let shown = after.as_ref().or(before.as_ref()).map(Value::to_string).unwrap_or_default();
    Ok(output.line(format_args!("{sign} {table} {key} {shown}"))?)
}
