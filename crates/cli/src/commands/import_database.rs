//! Brings a whole database back from what `export` wrote of one.

use bucketdb::{Database, Environment, Freshness, Schema};
use serde_json::{Value, json};

use super::export_database::FORM;
use super::import::explain;
use crate::arguments::{CsvTypes, Global, Import, InputFormat, Mode};
use crate::failure::Failure;
use crate::import::{ImportOptions, Importer, Row, RowReader, Source, Way};
use crate::output::{Output, byte_progress, duration, plural, requests_text};
use crate::session::{self, Access};

/// What follows the documents of a table.
struct Ending {
    table: String,
    indexes: Vec<(String, bool)>,
    ttl: Option<String>,
}

pub(super) async fn run(
    global: &Global,
    options: &Import,
    file: &std::path::Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let format = options.input_format.unwrap_or(InputFormat::Ndjson);
    if format != InputFormat::Ndjson || options.key.is_some() || !options.indexes.is_empty() {
        return Err(Failure::usage(
            "--database takes what `export` wrote of a whole database, and nothing is said of it",
        ));
    }
    let source = Source::of(file, Some(format), CsvTypes::Text)?;
    let (db, store) = session::open(global, Access::Create).await?;
    db.refresh(Freshness::Strict).await?;
    if let Some(table) = db.stats()?.tables.first() {
        let message =
            format!("a whole database is imported into an empty one, and this one has a table {}", table.name);
        return Err(Failure::new("already_exists", message));
    }
    let (started, before) = (store.env.monotonic(), store.meter.usage());
    let progress = byte_progress(source.size_bytes);
    let outcome = match source.read(None, &[], &progress) {
        Ok(mut reader) => Restoring::new(&db, &source.name).run(&mut *reader).await,
        Err(error) => Err(explain(error, &source.name)),
    };
    progress.finish_and_clear();
    let (tables, documents) = outcome.map_err(|failure| match db.stats() {
        Ok(stats) if stats.tables.is_empty() => failure,
        _ => failure.and("drop the database before you try again: a part of it is there"),
    })?;
    db.close().await?;
    let (took, used) = (store.env.monotonic().saturating_sub(started), store.used_since(&before));
    if output.is_json() {
        return Ok(output.value(&json!({
            "tables": tables,
            "documents": documents,
            "seconds": took.as_secs_f64(),
            "requests": used.total_requests(),
        }))?);
    }
    let (tables, documents) = (plural(tables.len() as u64, "table"), plural(documents, "document"));
    Ok(output.line(format_args!(
        "imported {tables} with {documents} in {}, {}",
        duration(took),
        requests_text(&used)
    ))?)
}

struct Restoring<'a> {
    db: &'a Database,
    /// For messages.
    name: &'a str,
    /// Those that the first line names.
    expected: Vec<String>,
    endings: Vec<Ending>,
    importer: Option<Importer>,
    documents: u64,
}

impl<'a> Restoring<'a> {
    fn new(db: &'a Database, name: &'a str) -> Self {
        Self { db, name, expected: Vec::new(), endings: Vec::new(), importer: None, documents: 0 }
    }

    /// Tells the tables, and how many documents they have.
    async fn run(mut self, reader: &mut dyn RowReader) -> Result<(Vec<String>, u64), Failure> {
        let first = self.next(reader)?.ok_or_else(|| self.malformed(1, "it is empty"))?;
        match first.document.get("bucketdb_export").and_then(Value::as_u64) {
            Some(FORM) => {}
            Some(_) => return Err(self.malformed(first.line, "it was written by a newer version of this program")),
            None => return Err(self.malformed(first.line, "it is not what `export` writes of a whole database")),
        }
        let tables = first.document.get("tables").and_then(Value::as_array).cloned().unwrap_or_default();
        self.expected = tables.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let mut is_complete = false;
        while let Some(row) = self.next(reader)? {
            if is_complete {
                return Err(self.malformed(row.line, "it goes on behind its end"));
            }
            is_complete = self.take(row).await?;
        }
        if !is_complete {
            return Err(Failure::new(
                "malformed_input",
                format!("{} ends too early: its last line is missing", self.name),
            ));
        }
        for Ending { table, indexes, ttl } in &self.endings {
            for (fields, is_unique) in indexes {
                match is_unique {
                    true => self.db.create_unique_index(table, fields).await?,
                    false => self.db.create_index(table, fields).await?,
                }
            }
            if ttl.is_some() {
                self.db.set_ttl(table, ttl.as_deref()).await?;
            }
        }
        if self.endings.iter().any(|ending| !ending.indexes.is_empty()) {
            self.db.build_indexes().await?;
        }
        Ok((self.expected, self.documents))
    }

    fn next(&self, reader: &mut dyn RowReader) -> Result<Option<Row>, Failure> {
        reader.next_row().map_err(|error| explain(error, self.name))
    }

    /// Takes in a line; tells whether it is the last.
    async fn take(&mut self, row: Row) -> Result<bool, Failure> {
        let Row { line, document: mut entry } = row;
        if let Some(documents) = entry.get("documents").and_then(Value::as_u64) {
            self.finish_table().await?;
            let found: Vec<&str> = self.endings.iter().map(|ending| ending.table.as_str()).collect();
            if documents != self.documents || found != self.expected {
                return Err(self.malformed(line, "tables or documents are missing before it"));
            }
            return Ok(true);
        }
        let table = entry.get("table").and_then(Value::as_str).map(str::to_owned);
        let table = table.ok_or_else(|| self.malformed(line, "it names no table"))?;
        if entry.get("schema").is_some() {
            self.begin_table(line, table, &mut entry).await?;
            return Ok(false);
        }
        let is_current = self.endings.last().is_some_and(|ending| ending.table == table);
        let document = entry.get_mut("document").map(Value::take);
        match (document, self.importer.as_mut().filter(|_| is_current)) {
            (Some(document), Some(importer)) => {
                let added = importer.add(Row { line, document }).await;
                added.map_err(|failed| self.at(failed.line, *failed.failure))?;
                self.documents += 1;
                Ok(false)
            }
            _ => Err(self.malformed(line, "it is neither a table nor a document of the table before it")),
        }
    }

    async fn begin_table(&mut self, line: u64, table: String, entry: &mut Value) -> Result<(), Failure> {
        self.finish_table().await?;
        let schema = entry.get_mut("schema").map(Value::take).unwrap_or_default();
        let schema: Schema =
            serde_json::from_value(schema).map_err(|error| self.malformed(line, &format!("its schema: {error}")))?;
        if schema.table() != table {
            return Err(self.malformed(line, "its schema is of another table"));
        }
        let index = |index: &Value| Some((index.get("fields")?.as_str()?.to_owned(), index.get("unique")?.as_bool()?));
        let indexes = entry.get("indexes").and_then(Value::as_array).into_iter().flatten();
        let indexes: Option<Vec<(String, bool)>> = indexes.map(index).collect();
        let indexes = indexes.ok_or_else(|| self.malformed(line, "its indexes are not understood"))?;
        let ttl = entry.get("ttl").and_then(Value::as_str).map(str::to_owned);
        let created = self.db.create_collection(schema).await.map_err(Failure::from);
        created.map_err(|failure| self.at(Some(line), failure.of_data()))?;
        let options = ImportOptions { key: None, mode: Mode::Insert, way: Way::Fitting, resume: None };
        self.importer = Some(Importer::new(self.db, &table, options).await?);
        self.endings.push(Ending { table, indexes, ttl });
        Ok(())
    }

    async fn finish_table(&mut self) -> Result<(), Failure> {
        if let Some(mut importer) = self.importer.take() {
            importer.finish().await.map_err(|failed| self.at(failed.line, *failed.failure))?;
        }
        Ok(())
    }

    fn at(&self, line: Option<u64>, failure: Failure) -> Failure {
        match line {
            Some(line) => {
                failure.about(&format!("{}, line {line}", self.name)).with("file", self.name).with("line", line)
            }
            None => failure,
        }
    }

    fn malformed(&self, line: u64, reason: &str) -> Failure {
        self.at(Some(line), Failure::new("malformed_input", reason))
    }
}
