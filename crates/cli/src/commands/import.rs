use std::path::Path;

use bucketdb::{Database, Environment};
use serde_json::json;

use super::import_database;
use crate::arguments::{Global, Import};
use crate::failure::Failure;
use crate::import::{ImportOptions, ImportReport, Importer, ReadError, RowReader, Source, Way};
use crate::output::{Output, byte_progress, count, duration, plural, requests_text};
use crate::session::{self, Access};

/// How long the name of a load may be.
const MAX_NAME_BYTES: usize = 256;

pub(super) async fn run(global: &Global, options: &Import, output: &mut Output) -> Result<(), Failure> {
    match (&options.table, &options.file, &options.database) {
        (Some(_), Some(_), _) if options.blobs.is_some() => Err(Failure::usage("--blobs goes with --database")),
        (Some(table), Some(file), _) => import_table(global, options, table, file, output).await,
        (_, _, Some(file)) => import_database::run(global, options, file, output).await,
        _ => Err(Failure::usage("name the table and the file to import")),
    }
}

async fn import_table(
    global: &Global,
    options: &Import,
    table: &str,
    file: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let source = Source::of(file, options.input_format, options.csv_types)?;
    let (db, store) = session::open(global, Access::Create).await?;
    let (started, before) = (store.env.monotonic(), store.meter.usage());
    let way = match options.batch_size {
        Some(batch_size) => Way::Commits(usize::try_from(batch_size).unwrap_or(usize::MAX)),
        None if options.bulk => Way::Bulk,
        None => Way::Fitting,
    };
    let resume = match &options.resume {
        Some(name) => Some(name.clone()),
        None => {
            let identity = source.identity().map_err(|error| Failure::of_io("read", &source.name, &error))?;
            identity.map(|identity| format!("import {identity:016x} {:?} {}", options.mode, table))
        }
    };
    // A name that is too long for the database is none.
    let resume = resume.filter(|name| options.resume.is_some() || name.len() <= MAX_NAME_BYTES);
    let import_options = ImportOptions { key: options.key.clone(), mode: options.mode, way, resume };
    let mut importer = Importer::new(&db, table, import_options).await?;
    let progress = byte_progress(source.size_bytes);
    let outcome = match source.read(importer.schema(), importer.key(), &progress) {
        Ok(mut reader) => import_all(&mut *reader, &mut importer, &source.name).await,
        Err(error) => Err(explain(error, &source.name)),
    };
    progress.finish_and_clear();
    let report = importer.report().clone();
    let outcome = match outcome {
        Ok(done) => index(&db, table, options).await.map(|()| done),
        Err(failure) => Err(failure),
    };
    outcome.map_err(|failure| {
        let stored = report.imported + report.replaced + report.unchanged;
        let failure = failure.with("stored", stored);
        match stored {
            0 => failure,
            1 => failure.and("the document before it is stored"),
            _ => failure.and(&format!("{} before it are stored", plural(stored, "document"))),
        }
    })?;
    db.close().await?;
    let (took, used) = (store.env.monotonic().saturating_sub(started), store.used_since(&before));
    if output.is_json() {
        let mut value = json!({"table": table, "seconds": took.as_secs_f64(), "requests": used.total_requests()});
        if let (Some(value), Ok(serde_json::Value::Object(report))) =
            (value.as_object_mut(), serde_json::to_value(&report))
        {
            value.extend(report);
        }
        return Ok(output.value(&value)?);
    }
    output.line(describe(table, &report))?;
    if report.resumed > 0 {
        output.line(format_args!(
            "{} of them had been loaded by an import that was cut off",
            plural(report.resumed, "document")
        ))?;
    }
    output.line(format_args!(
        "{}{} in {}, {}",
        plural(report.commits, "commit"),
        if report.bulk && report.commits > 0 { " of all at once" } else { "" },
        duration(took),
        requests_text(&used)
    ))?;
    Ok(())
}

/// One sentence about what an import did.
pub(super) fn describe(table: &str, report: &ImportReport) -> String {
    let ImportReport { read, imported, replaced, unchanged, duplicates, .. } = report;
    let mut text = format!(
        "read {} for {table}: {} new, {} replaced, {} unchanged",
        plural(*read, "document"),
        count(*imported),
        count(*replaced),
        count(*unchanged)
    );
    if *duplicates > 0 {
        text.push_str(&format!(", {} with a key that came before (the last one counts)", count(*duplicates)));
    }
    text
}

/// Imports everything that can be read. Whatever stands before a mistake is committed.
pub(super) async fn import_all(reader: &mut dyn RowReader, importer: &mut Importer, name: &str) -> Result<(), Failure> {
    let mut stopped = None;
    while stopped.is_none() {
        match reader.next_row() {
            Ok(None) => break,
            Ok(Some(row)) => {
                if let Err(failed) = importer.add(row).await {
                    stopped = Some((failed.line, *failed.failure));
                }
            }
            Err(error) => stopped = Some((None, explain(error, name))),
        }
    }
    let at = |line: Option<u64>, failure: Failure| match line {
        Some(line) => failure.about(&format!("{name}, line {line}")).with("file", name).with("line", line),
        None => failure,
    };
    // What comes out of the rest stands before what stopped us.
    importer.finish().await.map_err(|failed| at(failed.line, *failed.failure))?;
    stopped.map_or(Ok(()), |(line, failure)| Err(at(line, failure)))
}

/// Gives the table the indexes that it is to have. Behind the documents: so each is built once.
async fn index(db: &Database, table: &str, options: &Import) -> Result<(), Failure> {
    for fields in &options.indexes {
        db.create_index(table, fields).await?;
    }
    if !options.indexes.is_empty() {
        db.build_indexes().await?;
    }
    Ok(())
}

pub(super) fn explain(error: ReadError, name: &str) -> Failure {
    match error {
        ReadError::Io(error) => Failure::of_io("read", name, &error),
        ReadError::Malformed { line, column, reason } => {
            let place = match column {
                Some(column) => format!("{name}, line {line}, column {column}"),
                None => format!("{name}, line {line}"),
            };
            let failure = Failure::new("malformed_input", format!("{place}: {reason}"));
            failure.with("file", name).with("line", line).with("column", column)
        }
    }
}
